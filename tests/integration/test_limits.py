"""Limits that are set, and the one that the disk sets.

What is refused names what was too large, and leaves nothing behind. Of the limits of one
archive test_hostile.py shows the plain cases; here are their edges.
"""
import gzip
import io
import os
import pathlib
import signal
import sqlite3
import struct
import subprocess
import tarfile
import zipfile

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import FILE, make_sample, make_tar, make_zip
from host import IS_ROOT, PATIENCE, Host, archive, ttl, wait_for
from remote import Remote

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
MIB = 1 << 20
OTHER = 4242


def expect(failure, reason, *words):
    assert failure[:2] == (EXHAUSTED, reason), failure
    for word in words:
        assert str(word) in failure.message, failure


def expect_refusal(host, client, reason, *words, archives, **fields):
    """The create fails so, and all is as it was before."""
    before = host.snapshot()
    expect(client.fail_to_create(archives, **fields), reason, *words)
    wait_for(lambda: host.snapshot() == before, f'{host.snapshot()} to be {before} again')
    assert not client.status().leftovers


# ---- of one archive

def sized(path, sizes, kind):
    """An archive with files of these sizes."""
    data = [(f'f{i}', b'x' * size) for i, size in enumerate(sizes)]
    if kind == 'zip':
        return make_zip(path, [(name, 0o100644, text) for name, text in data])
    return make_tar(path, [(name, FILE, text) for name, text in data], kind)


@pytest.mark.parametrize('kind', ['zip', 'w', 'w:gz'])
def test_as_many_bytes_as_allowed_and_one_more(kind):
    with Host('--max-layer-bytes', '100K') as host:
        client = host.connect()
        fits = sized(host.sources / 'fits', [50 << 10, 50 << 10], kind)
        large = sized(host.sources / 'large', [50 << 10, (50 << 10) + 1], kind)
        assert client.create([archive(fits, 'a')]).layers[0].size_bytes == 100 << 10
        expect_refusal(host, client, 'LIMIT_EXCEEDED', large, 100 << 10, 'max_layer_bytes',
                       archives=[archive(large, 'a')])
        # It is a limit of each archive and not of all in a request.
        more = sized(host.sources / 'more', [100 << 10], kind)
        client.create([archive(fits, 'a'), archive(more, 'b')])
        # The good one of a request that is refused stays as a layer; nothing else does.
        expect(client.fail_to_create([archive(fits, 'a'), archive(large, 'b')]),
               'LIMIT_EXCEEDED', large)
        assert len(client.layers()) == 2
        host.expect_tidy(client)


@pytest.mark.parametrize('kind', ['zip', 'w'])
def test_as_many_entries_as_allowed_and_one_more(kind):
    with Host('--max-layer-entries', '20') as host:
        client = host.connect()
        fits = sized(host.sources / 'fits', [1] * 20, kind)
        large = sized(host.sources / 'large', [1] * 21, kind)
        client.create([archive(fits, 'a')])
        expect_refusal(host, client, 'LIMIT_EXCEEDED', large, 20, 'max_layer_entries',
                       archives=[archive(large, 'a')])


def test_python_files_are_limited_too():
    with Host('--max-layer-bytes', '100K') as host:
        client = host.connect()
        large = host.sources / 'large.py'
        large.write_bytes(b'#' * (100 << 10) + b'\n')
        expect_refusal(host, client, 'LIMIT_EXCEEDED', large, 'max_layer_bytes', archives=[],
                       python_files=[pb.PythonFile(path=str(large))])


def bomb_tar(path, mebibytes):
    """A tar.gz with one file of zeros, put together from members made once."""
    info = tarfile.TarInfo('zeros')
    info.size = mebibytes * MIB
    zeros = gzip.compress(bytes(16 * MIB), 6)
    with open(path, 'wb') as file:
        file.write(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT)))
        for _ in range(mebibytes // 16):
            file.write(zeros)
        file.write(gzip.compress(bytes(1024)))
    path.chmod(0o644)
    return path


def bomb_zip(path, size):
    """A zip that says that `size` bytes are in it."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('zeros', bytes(MIB))
    data = bytearray(raw.getvalue())
    at = data.index(b'PK\1\2')
    data[22:26] = data[at + 24:at + 28] = struct.pack('<L', size)
    path.write_bytes(data)
    path.chmod(0o644)
    return path


def test_more_than_the_ratio_beyond_a_gibibyte():
    with Host('--max-ratio', '300') as host:
        client = host.connect()
        below = bomb_tar(host.sources / 'below.tar.gz', 64)
        assert 64 * MIB > 300 * below.stat().st_size
        client.create([archive(below, 'a')], holder=ttl())
        for bomb in (bomb_tar(host.sources / 'bomb.tar.gz', 1088),
                     bomb_zip(host.sources / 'bomb.zip', 1100 * MIB)):
            expect_refusal(host, client, 'LIMIT_EXCEEDED', bomb, bomb.stat().st_size, '300',
                           'max_ratio', archives=[archive(bomb, 'a')])


# ---- of one user

def test_leases_of_one_user():
    with Host('--max-leases', '3') as host:
        client = host.connect()
        source = make_sample(host.sources / 'a.zip')
        leases = [client.create([archive(source, 'a')], holder=ttl()).lease_id for _ in range(3)]
        expect_refusal(host, client, 'TOO_MANY', f'uid {os.geteuid()}', 3, 'leases',
                       archives=[archive(source, 'a')], holder=ttl())
        if IS_ROOT:
            with Remote(host, uid=OTHER) as other:
                other.call('create', [archive(source, 'a')], holder=ttl())
        assert client.release(leases.pop())
        leases.append(client.create([archive(source, 'a')], holder=ttl()).lease_id)
        host.restart()  # those of before count, too
        expect_refusal(host, client, 'TOO_MANY', 3, archives=[archive(source, 'a')])


def test_a_repeated_request_is_no_further_lease():
    with Host('--max-leases', '1') as host:
        client = host.connect()
        source = make_sample(host.sources / 'a.zip')
        first = client.create([archive(source, 'a')], request_id='same', holder=ttl())
        again = client.create([archive(source, 'a')], request_id='same', holder=ttl())
        assert again.lease_id == first.lease_id


def in_flight(client):
    rows = client.admin.ListCreations(pb.ListRequest(), timeout=PATIENCE).creations
    return sum(row.kind == 'environment' for row in rows)


def test_creates_of_one_user_in_flight():
    with Host('--max-creates', '3') as host:
        client = host.connect()
        source = make_tar(host.sources / 'a.tar', [
            (f'f{i}', FILE, os.urandom(40_000)) for i in range(500)])
        calls = [client.environments.CreateEnvironment.future(pb.CreateEnvironmentRequest(
            archives=[archive(source, 'a')], holder=ttl()), timeout=PATIENCE)]
        worker = wait_for(host.workers, 'the work to begin')[0]
        os.kill(worker, signal.SIGSTOP)
        calls += [client.environments.CreateEnvironment.future(pb.CreateEnvironmentRequest(
            archives=[archive(source, 'a')], holder=ttl()), timeout=PATIENCE) for _ in range(2)]
        wait_for(lambda: in_flight(client) == 3, 'three to be in flight')
        assert client.status().leases == 0
        expect_refusal(host, client, 'TOO_MANY', f'uid {os.geteuid()}', 3, 'creates',
                       archives=[archive(source, 'b')])
        if IS_ROOT:
            small = make_sample(host.sources / 'b.zip')
            with Remote(host, uid=OTHER) as other:
                other.call('create', [archive(small, 'b')], holder=ttl())
        calls.pop().cancel()
        wait_for(lambda: in_flight(client) == 2, 'one to be given up')
        calls.append(client.environments.CreateEnvironment.future(pb.CreateEnvironmentRequest(
            archives=[archive(source, 'b')], holder=ttl()), timeout=PATIENCE))
        os.kill(worker, signal.SIGCONT)
        assert len({call.result().lease_id for call in calls}) == 3
        client.create([archive(source, 'c')])
        host.expect_tidy(client)


# ---- of the disk

class SmallHost(Host):
    """The state directory is on a small file system of its own."""

    def __init__(self, kind, *flags, size=80):
        self.kind, self.size = kind, size
        self.disk = None
        super().__init__(*flags)

    def start(self, *flags):
        if not self.disk:
            self.disk = self.directory / 'disk'
            self.disk.mkdir(mode=0o755)
            self.mount()
            self.disk.chmod(0o755)
            self.state = self.disk / 'state'
        return super().start(*flags)

    def mount(self):
        if self.kind == 'tmpfs':
            subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={self.size}M', 'small',
                            self.disk], check=True)
            return
        image = self.directory / 'image'
        with open(image, 'wb') as file:
            file.truncate(self.size * MIB)
        subprocess.run(['mkfs.ext4', '-q', '-m', '0', image], check=True)
        if subprocess.run(['mount', '-o', 'loop', image, self.disk], check=False).returncode:
            pytest.skip('there are no loop devices here')

    def close(self):
        # Nobody but the daemon and its children uses it: these end first.
        if self.process and self.process.poll() is None:
            self.stop()
        subprocess.run(['umount', self.disk], check=True)
        super().close()

    def room(self):
        fs = os.statvfs(self.disk)
        return fs.f_bavail * fs.f_frsize

    def fill(self, leave=0):
        """Takes all of the disk but `leave` bytes; to the last byte with 0."""
        with open(self.disk / 'filler', 'ab', buffering=0) as file:
            step = MIB
            while step:
                if self.room() < leave + step:
                    step //= 2
                    continue
                try:
                    file.write(bytes(step))
                except OSError:
                    step //= 2
            # What is left in the last block.
            os.fsync(file)
        if not leave:
            assert self.room() == 0

    def unfill(self):
        (self.disk / 'filler').unlink()

    def check_index(self):
        """The daemon has stopped."""
        database = sqlite3.connect(self.state / 'index.db')
        try:
            assert database.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        finally:
            database.close()


@pytest.fixture(params=['tmpfs', 'ext4'])
def kind(request):
    if not IS_ROOT:
        pytest.skip('asks for root: a file system to mount')
    return request.param


def noise(path, mebibytes, kind='tar'):
    entries = [(f'd{i % 7}/f{i}', os.urandom(256 << 10)) for i in range(mebibytes * 4)]
    if kind == 'tar':
        return make_tar(path, [(name, FILE, data) for name, data in entries])
    return make_zip(path, [(name, 0o100644, data) for name, data in entries], zipfile.ZIP_STORED)


@pytest.mark.parametrize('shape', ['tar', 'zip'])
@pytest.mark.parametrize('reserve', ['0', '16M'])
def test_what_does_not_fit_is_refused_and_what_is_smaller_works(kind, shape, reserve):
    with SmallHost(kind, '--reserve-bytes', reserve) as host:
        client = host.connect()
        large = noise(host.sources / 'large', 90, shape)
        small = noise(host.sources / 'small', 8, shape)
        room = host.room()
        for _ in range(2):
            # Without a reserve it may be the index that meets the end of the disk first.
            words = [large, 'the disk has', 'reserve'] if reserve != '0' else []
            expect_refusal(host, client, 'NO_SPACE', *words, archives=[archive(large, 'a')])
        assert host.room() > room - MIB
        answer = client.create([archive(small, 'a')], holder=ttl())
        assert answer.layers[0].size_bytes == 8 * MIB
        assert len(os.listdir(pathlib.Path(answer.working_directory, 'a'))) == 7
        host.expect_tidy(client)
        assert host.stop() == 0
        host.check_index()


def test_a_private_copy_that_does_not_fit(kind):
    with SmallHost(kind) as host:
        client = host.connect()
        source = noise(host.sources / 'a', 30)
        client.create([archive(source, 'a')], holder=ttl())
        host.fill(leave=10 * MIB)
        # What is kept aside for the index may have to give way: then it comes back.
        expect_refusal(host, client, 'NO_SPACE', 'private copy', 'No space left',
                       archives=[archive(source, 'a', True)])
        client.create([archive(source, 'b')], holder=ttl())


def test_what_a_container_would_retrieve_does_not_fit(kind):
    with SmallHost(kind) as host:
        client = host.connect()
        source = noise(host.sources / 'a', 20)
        client.create([archive(source, 'a')], holder=ttl())
        host.fill(leave=30 * MIB)
        room = host.room()
        expect_refusal(host, client, 'NO_SPACE', source, 'the disk has', 'private copy',
                       archives=[archive(source, 'a')],
                       docker_worker=pb.DockerWorker(container_image='img:1'))
        assert host.room() > room - MIB and not client.artifacts()


def test_a_full_disk_can_be_emptied(kind):
    with SmallHost(kind) as host:
        client = host.connect()
        sources = [noise(host.sources / name, 8) for name in 'ab']
        answers = [client.create([archive(source, 'a')], holder=ttl()) for source in sources]
        idle = client.create([archive(sources[0], 'z')], holder=ttl())
        host.fill()

        other = noise(host.sources / 'c', 8)
        failure = client.fail_to_create([archive(other, 'a')], holder=ttl())
        expect(failure, 'NO_SPACE')
        assert len(client.layers()) == 2 and client.status().leases == 3

        assert client.release(answers[0].lease_id) and client.release(idle.lease_id)
        wait_for(lambda: set(os.listdir(host.state / 'leases')) == {answers[1].lease_id},
                 'the directories of what was released to go')
        assert [lease.lease_id for lease in client.leases()] == [answers[1].lease_id]
        done = client.collect()
        assert [layer.layer_id for layer in done.layers] == [answers[0].layers[0].layer_id]
        wait_for(lambda: len(client.layers()) == 1, 'the layer to be removed')
        wait_for(lambda: host.room() > 3 * MIB, 'its room to be free')
        host.expect_tidy(client)
        assert not client.status().leftovers
        host.unfill()
        client.create([archive(other, 'a')], holder=ttl())
        assert host.stop() == 0
        host.check_index()


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_daemon_starts_on_a_full_disk(kind, end):
    with SmallHost(kind) as host:
        client = host.connect()
        sources = [noise(host.sources / name, 8) for name in 'ab']
        answers = [client.create([archive(source, 'a')], holder=ttl()) for source in sources]
        host.fill()
        getattr(host, end)()
        host.fill()  # what stopping gave back
        host.start()
        client = host.connect()
        assert {lease.lease_id for lease in client.leases()} == {
            answer.lease_id for answer in answers}
        for answer in answers:
            assert client.release(answer.lease_id)
        assert len(client.collect().layers) == 2
        wait_for(lambda: not client.layers(), 'the layers to be removed')
        wait_for(lambda: host.room() > 10 * MIB, 'their room to be free')
        host.expect_tidy(client)
        assert host.stop() == 0
        host.check_index()
        host.start()
        client = host.connect()
        assert not client.leases() and not client.layers()
