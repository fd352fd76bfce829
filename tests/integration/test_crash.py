"""Processes are killed at the worst moments; nothing is lost that was promised, and nothing
is left behind that was not.

A moment is caught so: all workers are stopped as soon as the disk shows it, and it is looked
whether it still lasts. If the worker was faster, the same is done again.
"""
import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import threading
import zipfile

import grpc
import pyenvd_pb2 as pb
import pytest
from archives import make_sample, make_zip
from host import Host, archive, failure_of, state_of, ttl, wait_for

FILES = 2000
SIZE = 30_000
TRIES = 20
DIED = (grpc.StatusCode.INTERNAL, 'WORKER_DIED')


@pytest.fixture(scope='module')
def big(tmp_path_factory):
    """60 MB that cannot be compressed, in many files."""
    content = random.Random(1)
    return make_zip(tmp_path_factory.mktemp('crash') / 'big.zip',
                    [(f'd{i % 40}/f{i}', 0o100644, content.randbytes(SIZE))
                     for i in range(FILES)], zipfile.ZIP_STORED)


@pytest.fixture
def twin(host):
    """Has the size of the big one, and other content."""
    path = host.sources / 'twin.zip'
    content = random.Random(2)
    return make_zip(path, [(f'd{i % 40}/f{i}', 0o100644, content.randbytes(SIZE))
                           for i in range(FILES)], zipfile.ZIP_STORED)


def count(directory):
    """How many files lie below a directory that may be going."""
    return sum(len(names) for _, _, names in os.walk(directory))


def expect_whole(response, source, target='a'):
    """The lease's directory holds what is in the zip: names, sizes, some files' content."""
    root = os.path.realpath(os.path.join(response.working_directory, target))
    with zipfile.ZipFile(source) as wanted:
        sizes = {info.filename: info.file_size for info in wanted.infolist()}
        found = {}
        for directory, _, names in os.walk(root):
            for name in names:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, root)] = os.stat(path).st_size
        assert found == sizes
        for name in random.Random(3).sample(sorted(sizes), min(20, len(sizes))):
            assert pathlib.Path(root, name).read_bytes() == wanted.read(name)


def state_is(pid, states):
    return state_of(pid) in states


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(host):
    """Stops all workers; the pids of those that are stopped now."""
    pids = host.workers()
    send(pids, signal.SIGSTOP)
    for pid in pids:
        wait_for(lambda pid=pid: state_is(pid, ('T', 'Z', '')), 'the worker to stop')
    return [pid for pid in pids if state_is(pid, 'T')]


@contextlib.contextmanager
def stopped(host, is_now, is_over, is_near=None):
    """Stops all workers while is_now(); gives their pids, none if is_over() came first. From
    is_near() on they go by small steps."""
    is_near = is_near or is_now
    wait_for(lambda: is_near() or is_over(), 'the moment to come')
    pids = stop(host)
    try:
        while not is_now() and is_near() and not is_over():
            send(pids, signal.SIGCONT)
            pids = stop(host)
        yield pids if is_now() else []
    finally:
        send(pids, signal.SIGCONT)


def begin(client, *arguments, **fields):
    """A create in a thread; a Future of its response, or of its failure."""
    def run():
        try:
            return client.create(*arguments, **fields)
        except grpc.RpcError as error:
            return failure_of(error)
    pool = concurrent.futures.ThreadPoolExecutor(1)
    future = pool.submit(run)
    pool.shutdown(wait=False)
    return future


def undo(host, client, before):
    """Gives back what a create made that was too fast."""
    for lease in client.leases():
        client.release(lease.lease_id)
    client.collect()
    wait_for(lambda: host.snapshot() == before, 'the create to be undone')


def extracting(host, least, spare=()):
    """A function: is a layer, none of these, being filled and has it so many files?"""
    def is_now():
        for layer in set(os.listdir(host.state / 'layers')) - set(spare):
            path = host.state / 'layers' / layer
            with contextlib.suppress(FileNotFoundError):
                # The mode is the last that changes before the answer.
                if count(path / 'tree') >= least and path.stat().st_mode & 0o200:
                    return True
        return False
    return is_now


# ---- the daemon dies, its worker lives

@pytest.mark.parametrize('least', [1, FILES])
def test_a_worker_outlives_the_daemon(host, client, big, least):
    """Who is stopped cannot notice; its layer is removed when it has ended, not before."""
    before = host.snapshot()
    for _ in range(TRIES):
        creating = begin(client, [archive(big, 'a')])
        with stopped(host, extracting(host, least), creating.done,
                     extracting(host, least - FILES // 20)) as pids:
            if pids:
                host.kill()
                assert creating.result().code == grpc.StatusCode.UNAVAILABLE
                old, = os.listdir(host.state / 'layers')
                there = count(host.state / 'layers' / old)
                host.start()
                # The daemon serves meanwhile, the same archive too.
                response = client.create([archive(big, 'a')])
                assert response.layers[0].origin == pb.LAYER_ORIGIN_MADE
                expect_whole(response, big)
                assert all(state_is(pid, 'T') for pid in pids)
                assert count(host.state / 'layers' / old) == there
                states = {it.layer_id: it.state for it in client.layers()}
                assert states == {old: pb.LAYER_STATE_DELETING,
                                  response.layers[0].layer_id: pb.LAYER_STATE_READY}
                # Nobody waits for the old one: who else fails, what else goes, the end.
                broken = host.sources / 'broken.zip'
                broken.write_bytes(big.read_bytes()[:-1000])
                assert client.fail_to_create([archive(broken, 'b')]).reason == 'ARCHIVE_CORRUPT'
                spare = client.create([archive(make_sample(host.sources / 'c.zip'), 'c')])
                client.release(spare.lease_id)
                client.collect()
                wait_for(lambda: len(client.layers()) == 2, 'the idle layer to go')
                host.restart()
                break
        creating.result()
        undo(host, client, before)
    else:
        raise AssertionError('the worker was never caught')
    for pid in pids:
        wait_for(lambda pid=pid: state_is(pid, ('Z', '')), 'the old worker to end')
    wait_for(lambda: len(client.layers()) == 1, 'the old layer to go')
    host.expect_tidy(client)
    expect_whole(response, big)
    undo(host, client, before)


@pytest.mark.parametrize('least', [0, 1])
def test_a_request_is_repeated_after_the_daemon_died_while_it_copied(host, client, big, least):
    """What was copied before is not taken for all of it."""
    kept = client.create([archive(big, 'a')])
    before = host.snapshot()
    for i in range(TRIES):
        wanted = {'archives': [archive(big, 'a', private_copy=True)], 'holder': ttl(),
                  'request_id': f'{i}'}
        creating = begin(client, **wanted)
        with stopped(host, copying(host, {kept.lease_id}, least), creating.done) as pids:
            if pids:
                host.kill()
        if pids:
            break
        client.release(creating.result().lease_id)
        wait_for(lambda: host.snapshot() == before, 'the create to be undone')
    else:
        raise AssertionError('the worker was never caught')
    assert creating.result().code == grpc.StatusCode.UNAVAILABLE
    host.start()
    assert [lease.lease_id for lease in client.leases()] == [kept.lease_id]
    expect_whole(client.create(**wanted), big)
    host.expect_tidy(client)


def test_a_daemon_waits_for_what_is_left_of_the_last_one(host):
    """A worker that is just being started has the lock of the state directory for a moment,
    also when the daemon that starts it is dead."""
    host.kill()
    with open(host.state / 'lock', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open(host.log, 'a', encoding='utf-8') as log:
            host.process = subprocess.Popen(host.command(), stderr=log)
        files, path = pathlib.Path(f'/proc/{host.pid}/fd'), os.path.realpath(lock.name)

        def has_opened():
            with contextlib.suppress(FileNotFoundError):
                return any(os.path.realpath(file) == path for file in files.iterdir())
        wait_for(lambda: has_opened() or host.process.poll() is not None, 'the lock to be opened')
    wait_for(lambda: host.process.poll() is not None or
             host.log.read_text().count('>listening ') == 2, 'the daemon to listen')
    assert host.process.poll() is None
    host.expect_tidy()


# ---- workers die

def expect_died(creating):
    failure = creating.result()
    assert failure[:2] == DIED and 'signal 9' in failure.message


def count_waiters(client):
    creations = client.admin.ListCreations(pb.ListRequest(), timeout=60).creations
    return sum(it.waiters for it in creations if it.kind == 'layer')


@pytest.mark.parametrize('least', [0, 1, FILES // 2, FILES * 9 // 10, FILES])
def test_a_worker_is_killed_while_it_extracts(host, client, big, least):
    other = host.connect()
    before = host.snapshot()
    for _ in range(TRIES):
        creating = [begin(it, [archive(big, 'a')]) for it in (client, other)]
        with stopped(host, extracting(host, least), creating[0].done,
                     extracting(host, least - FILES // 20)) as pids:
            died = client.status().counters.workers_died
            if pids:
                wait_for(lambda: count_waiters(client) == 2, 'both to wait')
            send(pids, signal.SIGKILL)
        if pids:
            break
        for future in creating:
            future.result()
        undo(host, client, before)
    else:
        raise AssertionError('the worker was never caught')
    for future in creating:
        expect_died(future)
    # Who hears of a failure finds nothing left of it.
    assert host.snapshot() == before
    assert client.status().counters.workers_died == died + 1
    response = client.create([archive(big, 'a')])
    expect_whole(response, big)
    host.expect_tidy(client)


def maps(pid, path):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return str(path) in pathlib.Path(f'/proc/{pid}/maps').read_text(encoding='utf-8')
    return False


def test_a_worker_is_killed_while_it_digests(host, client, big, twin):
    """What has the size of a known artifact is digested before anything is made."""
    client.create([archive(big, 'a')])
    before = host.snapshot()
    for i in range(TRIES):
        source = shutil.copy(twin, host.sources / f'{i}.zip')
        creating = begin(client, [archive(source, 'a')])
        with stopped(host, lambda path=source: any(maps(pid, path) for pid in host.workers()),
                     creating.done) as pids:
            if host.snapshot() != before:
                pids = []
            send(pids, signal.SIGKILL)
        # It may have been stopped between its answer and its end.
        if pids and not isinstance(creating.result(), pb.CreateEnvironmentResponse):
            break
        client.release(creating.result().lease_id)
        client.collect()
        wait_for(lambda: host.snapshot() == before, 'the create to be undone')
    else:
        raise AssertionError('the worker was never caught')
    expect_died(creating)
    assert host.snapshot() == before
    expect_whole(client.create([archive(source, 'a')]), source)
    host.expect_tidy(client)


def copying(host, spare, least, most=FILES):
    """A function: has a lease, none of these, so many files of its own?"""
    return lambda: any(least <= count(host.state / 'leases' / lease) < most
                       for lease in set(os.listdir(host.state / 'leases')) - set(spare))


@pytest.mark.parametrize('least', [1, FILES * 9 // 10])
def test_a_worker_is_killed_while_it_copies(host, client, big, least):
    kept = client.create([archive(big, 'a')])
    before = host.snapshot()
    wanted = [archive(big, 'a', private_copy=True)]
    for _ in range(TRIES):
        creating = begin(client, wanted)
        with stopped(host, copying(host, {kept.lease_id}, least), creating.done) as pids:
            send(pids, signal.SIGKILL)
        if pids:
            break
        client.release(creating.result().lease_id)
        wait_for(lambda: host.snapshot() == before, 'the create to be undone')
    else:
        raise AssertionError('the worker was never caught')
    expect_died(creating)
    wait_for(lambda: host.snapshot() == before, 'the lease to go')
    expect_whole(client.create(wanted), big)
    expect_whole(kept, big)
    host.expect_tidy(client)


def expect_leftover(client, path):
    wait_for(lambda: client.status().leftovers, 'the leftover to be reported')
    text, = client.status().leftovers
    assert str(path) in text and 'signal 9' in text


def finish_removal(host, client, path, how):
    if how == 'restart':
        host.kill()
        host.start()
    else:
        client.collect(max_bytes=1 << 40)
    wait_for(lambda: not path.exists(), 'the rest to be removed')
    assert not client.status().leftovers


def waits_for_lock(pid):
    lines = pathlib.Path('/proc/locks').read_text(encoding='ascii').splitlines()
    return any('-> FLOCK' in line and f' {pid} ' in line for line in lines)


@pytest.mark.parametrize('how', ['collect', 'restart'])
@pytest.mark.parametrize('is_begun', [False, True])
def test_a_worker_is_killed_while_it_removes_a_layer(host, client, big, is_begun, how):
    """The layer is not used again, whatever is left of it, and goes at the next chance."""
    before = host.snapshot()
    for _ in range(TRIES):
        response = client.create([archive(big, 'a')])
        client.release(response.lease_id)
        wait_for(lambda it=response: not os.path.exists(it.base_directory), 'the lease to go')
        path = host.state / 'layers' / response.layers[0].layer_id
        lock = os.open(path, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert len(client.collect().layers) == 1
        if is_begun:
            os.close(lock)
        else:
            wait_for(lambda: any(map(waits_for_lock, host.workers())), 'the worker to wait')
        least = 1 if is_begun else FILES

        def is_now(path=path, least=least):
            return least <= count(path / 'tree') < least + FILES - 1
        with stopped(host, is_now, lambda path=path: not path.exists()) as pids:
            send(pids, signal.SIGKILL)
        if not is_begun:
            os.close(lock)
        if pids:
            break
        wait_for(lambda: host.snapshot() == before, 'the layer to go')
    else:
        raise AssertionError('the worker was never caught')
    expect_leftover(client, path)
    again = client.create([archive(big, 'a')])
    assert again.layers[0].layer_id != response.layers[0].layer_id
    finish_removal(host, client, path, how)
    expect_whole(again, big)
    host.expect_tidy(client)
    undo(host, client, before)


@pytest.mark.parametrize('how', ['collect', 'restart'])
def test_a_worker_is_killed_while_it_removes_a_lease(host, client, big, how):
    kept = client.create([archive(big, 'a')])
    before = host.snapshot()
    for _ in range(TRIES):
        response = client.create([archive(big, 'a', private_copy=True)])
        path = pathlib.Path(response.base_directory)
        assert count(path) == FILES
        assert client.release(response.lease_id)
        with stopped(host, copying(host, {kept.lease_id}, 1), lambda path=path:
                     not path.exists()) as pids:
            send(pids, signal.SIGKILL)
        if pids:
            break
        wait_for(lambda: host.snapshot() == before, 'the lease to go')
    else:
        raise AssertionError('the worker was never caught')
    expect_leftover(client, path)
    assert [lease.lease_id for lease in client.leases()] == [kept.lease_id]
    finish_removal(host, client, path, how)
    expect_whole(kept, big)
    host.expect_tidy(client)


# ---- the daemon dies, again and again

class Player(threading.Thread):
    """A client that does this and that until the daemon is gone, and knows what it was told."""

    def __init__(self, game, client, seed):
        super().__init__()
        self.game, self.client, self.random = game, client, random.Random(seed)
        self.kept, self.released = {}, set()  # lease id: (response, source)
        self.asked = {}  # request id: (source, the fields of a create without an answer)
        self.unsure = set()  # lease ids whose release was not answered
        self.failure = None

    def run(self):
        try:
            while True:
                self.random.choice([self.create, self.create, self.release, self.collect])()
                self.game.count()
        except grpc.RpcError as error:
            self.failure = failure_of(error)

    def create(self):
        source = self.random.choice(self.game.sources)
        fields = {'archives': [archive(source, 'a', self.random.random() < 0.2)],
                  'request_id': f'{self.random.getrandbits(64):x}',
                  'holder': self.random.choice([None, ttl()])}
        self.asked[fields['request_id']] = source, fields
        response = self.client.create(**fields)
        del self.asked[fields['request_id']]
        self.kept[response.lease_id] = response, source

    def release(self):
        if not self.kept:
            return
        lease = self.random.choice(sorted(self.kept))
        del self.kept[lease]
        self.unsure.add(lease)
        assert self.client.release(lease)
        self.unsure.remove(lease)
        self.released.add(lease)

    def collect(self):
        self.client.collect()


class Game:
    """Counts the answers that all players got, and says when it is enough."""

    def __init__(self, sources, enough):
        self.sources, self.enough = sources, enough
        self.lock, self.answers, self.is_enough = threading.Lock(), 0, threading.Event()

    def count(self):
        with self.lock:
            self.answers += 1
            if self.answers >= self.enough:
                self.is_enough.set()


def expect_sound_index(host):
    index = sqlite3.connect(f'file:{host.state}/index.db?mode=ro', uri=True)
    with contextlib.closing(index):
        assert index.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        assert not index.execute('PRAGMA foreign_key_check').fetchall()


def play(host, client, rules, sources):
    """One round: some players, a kill, a start; what they were told holds."""
    game = Game(sources, rules.randrange(1, 60))
    players = [Player(game, host.connect(), rules.getrandbits(32)) for _ in range(4)]
    for player in players:
        player.start()
    assert game.is_enough.wait(120)
    host.kill()
    for player in players:
        player.join()
        assert player.failure and player.failure.code == grpc.StatusCode.UNAVAILABLE
    host.start()
    expect_sound_index(host)
    expected = set()
    for player in players:
        # A call that got no answer is repeated.
        for source, fields in player.asked.values():
            response = client.create(**fields)
            player.kept[response.lease_id] = response, source
        expected |= set(player.kept)
    listed = {lease.lease_id for lease in client.leases()}
    unsure = set().union(*(player.unsure for player in players))
    assert expected <= listed <= expected | unsure
    for player in players:
        assert not player.released & listed
        for response, source in player.kept.values():
            expect_whole(response, source)
    host.expect_tidy(client)
    wait_for(lambda: all(layer.state == pb.LAYER_STATE_READY for layer in client.layers()),
             'what is half made to go')
    assert not client.status().leftovers


def test_a_daemon_that_is_killed_again_and_again_keeps_its_word():
    rules = random.Random(20261121)
    with Host() as host:
        before = host.snapshot()
        sources = [make_sample(host.sources / f'{i}.zip', files=10 << i, salt=f'{i}')
                   for i in range(6)]
        client = host.connect()
        for _ in range(12):
            play(host, client, rules, sources)
            undo(host, client, before)
            for other in host.clients[1:]:
                other.close()
            del host.clients[1:]
