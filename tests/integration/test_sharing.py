"""What is made is made once, for all who want it; and for nobody when nobody wants it."""
import contextlib
import ctypes
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile

import pytest
import pyenvd_pb2 as pb
from archives import make_sample, make_zip
from host import ROOT, WORKER, Host, archive, state_of, ttl, wait_for

FILES = 1500
TRIES = 20
COUNTING = '''#!/bin/sh
echo start >>{log}
exec {worker}
'''


class CountingHost(Host):
    """Counts worker processes from outside: they are started through a script of ours."""

    def command(self, *flags):
        self.starts = self.directory / 'starts'
        self.starts.touch()
        self.starts.chmod(0o666)
        script = self.directory / 'worker'
        script.write_text(COUNTING.format(log=self.starts, worker=WORKER))
        script.chmod(0o755)
        command = super().command(*flags)
        command[command.index('--worker-program') + 1] = str(script)
        return command

    def count_starts(self):
        return len(self.starts.read_text().splitlines())


class Created:
    """Names that appear in a directory, as the kernel tells them (inotify(7))."""

    def __init__(self, directory):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        assert self.fd >= 0
        assert libc.inotify_add_watch(self.fd, os.fsencode(directory), 0x100) >= 0  # IN_CREATE

    def names(self):
        """Those since the last time."""
        names, events = [], b''
        with contextlib.suppress(BlockingIOError):
            while True:
                events += os.read(self.fd, 65536)
        while events:
            mask, size = struct.unpack_from('IxxxxI', events, 4)
            assert mask & 0x100, 'some were lost'
            names.append(events[16:16 + size].rstrip(b'\0').decode())
            events = events[16 + size:]
        return names

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        os.close(self.fd)


def spawn_swarm(host, count, archives):
    path = os.pathsep.join([str(ROOT / 'tests' / 'integration'), os.environ['PYTHONPATH']])
    return subprocess.Popen(
        [sys.executable, ROOT / 'tests' / 'integration' / 'swarm.py', host.socket, str(count),
         *archives], env={**os.environ, 'PYTHONPATH': path}, stdout=subprocess.PIPE, text=True)


def test_two_hundred_creates_from_eight_processes():
    with CountingHost() as host, Created(host.state / 'layers') as made:
        client = host.connect()
        archives = [make_sample(host.sources / f'{name}.zip', salt=name) for name in 'sabc']
        swarm = [spawn_swarm(host, 25, archives) for _ in range(8)]
        lines = []
        for process in swarm:
            for line in iter(process.stdout.readline, 'done\n'):
                assert line, 'a client failed'
                lines.append(line.split())
        assert len(lines) == 200
        assert len({lease for lease, *_ in lines}) == 200
        assert len({directory for _, directory, *_ in lines}) == 200
        assert len({shared for *_, shared, _ in lines}) == 1
        own = {layer for *_, layer in lines}
        assert len(own) == 3
        for lease, directory, *layers in lines:
            assert directory == f'{host.state}/leases/{lease}'
            for name, layer in zip(('shared', 'own'), layers):
                assert os.readlink(f'{directory}/work/{name}') == f'{host.state}/layers/{layer}/tree'

        # Four archives, four layers: that is what we counted, and what the daemon did.
        assert sorted(made.names()) == sorted(layer.layer_id for layer in client.layers())
        status = client.status()
        assert status.counters.layers_made == 4 and status.counters.creates == 200
        assert (status.environments, status.layers, status.leases) == (3, 4, 200)
        assert status.counters.workers_started == host.count_starts()

        for process in swarm:
            process.kill()
        wait_for(lambda: not client.leases(), 'all leases to end')
        for process in swarm:
            process.wait()
            process.stdout.close()
        wait_for(lambda: not os.listdir(host.state / 'leases'), 'their directories to go')
        assert len(client.layers()) == 4
        assert client.status().counters.leases_expired == 200
        host.expect_tidy(client)


# ---- while it is made

@pytest.fixture(scope='module')
def big(tmp_path_factory):
    """30 MB that cannot be compressed, in many files."""
    content = random.Random(7)
    return make_zip(tmp_path_factory.mktemp('sharing') / 'big.zip',
                    [(f'd{i % 30}/f{i}', 0o100644, content.randbytes(20_000))
                     for i in range(FILES)], zipfile.ZIP_STORED)


def files_of(host):
    """How many files layers have that are not finished."""
    found = 0
    for layer in os.listdir(host.state / 'layers'):
        with contextlib.suppress(FileNotFoundError):
            if (host.state / 'layers' / layer).stat().st_mode & 0o200:
                found += sum(len(names) for *_, names in
                             os.walk(host.state / 'layers' / layer / 'tree'))
    return found


class Held:
    """A create whose worker is stopped in the middle of the extraction."""

    def __init__(self, host, source, **fields):
        self.host = host
        for i in range(TRIES):
            path = host.sources / f'held{i}.zip'
            shutil.copyfile(source, path)
            with zipfile.ZipFile(path, 'a') as file:  # another content each time
                file.writestr('number', str(i))
            self.source = path
            self.client = host.connect()
            self.call = self.begin(self.client, archive(path, 'a'), **fields)
            wait_for(lambda: files_of(host) or self.call.done(), 'files to appear')
            self.pids = host.workers()
            for pid in self.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            for pid in self.pids:
                wait_for(lambda pid=pid: state_of(pid) in 'TZ', 'the worker to stop')
            if self.pids and 0 < files_of(host) < FILES:
                return
            self.go_on()
            self.client.release(self.call.result().lease_id)
        raise AssertionError('the worker was never caught')

    @staticmethod
    def begin(client, *archives, **fields):
        request = pb.CreateEnvironmentRequest(archives=archives, holder=ttl(), **fields)
        return client.environments.CreateEnvironment.future(request, timeout=120)

    def go_on(self):
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def creations(self, kind):
        answer = self.client.admin.ListCreations(pb.ListRequest(page_size=1000), timeout=60)
        return [creation for creation in answer.creations if creation.kind == kind]

    def wait_for_waiters(self, count):
        """On the one layer that is being made of the archive."""
        def has_all():
            waiters = [creation.waiters for creation in self.creations('layer')
                       if creation.subject == str(self.source)]
            assert len(waiters) == 1
            return waiters[0] == count
        wait_for(has_all, f'{count} to wait')

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.go_on()


def test_all_wait_for_the_same_work(host, client, big):
    with Held(host, big) as held:
        others = [host.connect() for _ in range(3)]
        calls = [held.begin(other, archive(held.source, 'a')) for other in others for _ in range(4)]
        # Another environment, which shares the archive.
        small = make_sample(host.sources / 'small.zip')
        calls.append(held.begin(client, archive(held.source, 'x'), archive(small, 'y')))
        held.wait_for_waiters(14)
        assert len(held.creations('environment')) == 14
        assert not any(call.done() for call in calls)
        made = client.status().counters.layers_made
    responses = [call.result() for call in [held.call, *calls]]
    assert len({response.layers[0].layer_id for response in responses}) == 1
    assert sorted(response.layers[0].origin for response in responses) == [
        pb.LAYER_ORIGIN_JOINED] * 13 + [pb.LAYER_ORIGIN_MADE]
    assert len({response.lease_id for response in responses}) == 14
    assert client.status().counters.layers_made - made <= 2
    assert len(os.listdir(f'{responses[0].working_directory}/a')) == 31


def test_where_the_time_went_is_told(host, big):
    with Held(host, big) as held:
        began = time.monotonic()
        wait_for(lambda: time.monotonic() > began + 0.1, 'some time to go by')
        held_us = (time.monotonic() - began) * 1e6
    timings = held.call.result().timings
    assert timings.prepare_us > held_us
    assert timings.resolve_us + timings.prepare_us + timings.lease_us <= timings.total_us
    assert timings.lease_us > 0


def test_equal_content_at_two_places_is_made_once(host, client, big):
    with Held(host, big) as held:
        twin = host.sources / 'twin.zip'
        shutil.copyfile(held.source, twin)
        call = held.begin(client, archive(twin, 'a'))
        wait_for(lambda: len(held.creations('environment')) == 2, 'both to wait')
    assert call.result().layers[0].layer_id == held.call.result().layers[0].layer_id
    assert call.result().layers[0].source == str(twin)
    host.expect_tidy(client)


def test_who_leaves_stops_nobody_elses_work(host, client, big):
    with Held(host, big) as held:
        call = held.begin(client, archive(held.source, 'a'))
        held.wait_for_waiters(2)
        held.call.cancel()
        held.wait_for_waiters(1)
        assert [pid for pid in held.pids if state_of(pid) == 'T']
    assert call.result().layers[0].origin in (pb.LAYER_ORIGIN_MADE, pb.LAYER_ORIGIN_JOINED)
    assert len(client.leases()) == 1
    host.expect_tidy(client)


def left(host, client, held, before):
    """All have left: the worker is gone, with all that it made."""
    wait_for(lambda: all(state_of(pid) in ('', 'Z') for pid in held.pids), 'the worker to go')
    wait_for(lambda: host.snapshot() == before, 'what it made to go')
    assert not client.leases() and not held.creations('layer')


@pytest.mark.parametrize('leave', ['cancel', 'close'])
def test_the_last_who_leaves_stops_it(host, client, big, leave):
    before = host.snapshot()
    with Held(host, big) as held:
        for layer in client.layers():
            assert layer.state == pb.LAYER_STATE_PREPARING
        call = held.begin(client, archive(held.source, 'a'))
        held.wait_for_waiters(2)
        call.cancel()
        held.wait_for_waiters(1)
        if leave == 'cancel':
            held.call.cancel()
        else:
            held.client.close()
            held.client.connect()
        client.collect()
        left(host, client, held, before)
    host.expect_tidy(client)


def test_who_comes_when_the_last_has_left_gets_it_made(host, client, big):
    with Held(host, big) as held:
        held.call.cancel()
        # On the same connection, so that the daemon hears of it right after.
        call = held.begin(held.client, archive(held.source, 'a'))
        response = call.result()
    assert response.layers[0].origin != pb.LAYER_ORIGIN_FOUND
    assert sum(len(names) for *_, names in os.walk(f'{response.working_directory}/a/')) == FILES + 1
    assert client.release(response.lease_id)
    host.expect_tidy(client)
