"""Beam pipelines, whose workers are started by Beam's own pool, and by pyenvd's."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import pytest
from cluster import User, free_port, lives, processes
from conftest import FLINK, INPUTS
from host import ROOT, wait_for

import inputs

PYTHON = FLINK / 'client' / 'bin' / 'python'
PIPELINE = pathlib.Path(__file__).with_name('pipeline.py').resolve()
BRIDGE = ROOT / 'tests' / 'peers' / 'bridge.py'
COUNT = 20
SPEC = (f'archive {INPUTS}/venv.tgz#venv;archive {INPUTS}/model.zip#model;'
        f'python venv/bin/python;python-file {INPUTS}/words.py')


def workers_of(host):
    """Pids of what runs in a lease's directory."""
    found = []
    for pid in processes():
        try:
            directory = os.readlink(f'/proc/{pid}/cwd')
        except OSError:
            continue
        if directory.startswith(f'{host.state}/leases/') and lives(pid):
            found.append(pid)
    return found


def expect_nothing(host, client):
    wait_for(lambda: not workers_of(host), 'the workers to end')
    wait_for(lambda: not client.leases(), 'the leases to end')
    host.expect_tidy(client)


class Runner(User):
    """Who runs pipelines."""

    def __init__(self):
        super().__init__(tempfile.mkdtemp(prefix='beam-'))
        self.started = []

    def spawn(self, name, *command, **options):
        with open(self.directory / f'{name}.log', 'wb') as log:
            process = subprocess.Popen(self.as_user(*command), stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True, **options)
        self.started.append(process)
        return process

    def start(self, name, config, hold=False):
        """A pipeline; its process."""
        output, trace = self.make_directory(name), self.make_directory(f'{name}.trace')
        if hold:
            (trace / 'hold').touch()
        return self.spawn(
            name, PYTHON, PIPELINE, '--output', output, '--count', COUNT, '--trace', trace,
            '--runner=PortableRunner', '--job_endpoint=embed', '--environment_type=EXTERNAL',
            f'--environment_config={config}', cwd=self.directory)

    def pids(self, name):
        """Of its workers."""
        return [int(it) for it in os.listdir(self.directory / f'{name}.trace') if it.isdigit()]

    def finish(self, name, config):
        """All of it; the lines that it gave, sorted."""
        assert self.start(name, config).wait(200) == 0, \
            (self.directory / f'{name}.log').read_text(encoding='utf-8')
        return sorted(line for path in (self.directory / name).glob('part-*')
                      for line in path.read_text(encoding='utf-8').splitlines())

    def start_own_pool(self):
        """Beam's, where what the functions need has been put by hand; its address."""
        directory = self.make_directory('pool')
        shutil.unpack_archive(INPUTS / 'model.zip', directory / 'model')
        shutil.copy(INPUTS / 'words.py', directory)
        port = free_port()
        self.spawn('pool', PYTHON, '-m', 'apache_beam.runners.worker.worker_pool_main',
                   f'--service_port={port}', cwd=directory,
                   env={**os.environ, 'PATH': f'{PYTHON.parent}:{os.environ["PATH"]}',
                        'PYTHONPATH': str(directory)})

        def listens():
            with socket.socket() as it:
                return it.connect_ex(('127.0.0.1', port)) == 0
        wait_for(listens, "Beam's own pool")
        return f'localhost:{port}'

    def start_bridge(self, host):
        """From a loopback port to the daemon: the port, and its process."""
        path = self.directory / 'port'
        process = self.spawn('bridge', sys.executable, BRIDGE, host.socket, path)
        wait_for(path.exists, 'the bridge')
        return path.read_text(encoding='ascii'), process

    def close(self):
        for process in self.started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        shutil.rmtree(self.directory)


@pytest.fixture
def runner():
    it = Runner()
    yield it
    it.close()


@pytest.fixture
def client(host):
    return host.connect()


def ours(host, url=None):
    return json.dumps({'url': url or f'unix:{host.socket}', 'params': {'pyenvd.spec': SPEC}})


def expected():
    a, b, c = inputs.WEIGHTS
    return sorted(f'{n} {a * n + b * n * n + c} {inputs.spell(n)}' for n in range(COUNT))


def test_a_pipeline_gives_the_same_as_with_beams_own_pool(host, client, runner):
    own = runner.finish('own', runner.start_own_pool())
    assert own == expected()
    for name in 'first', 'second':
        assert runner.finish(name, ours(host)) == own
        assert runner.pids(name)
        expect_nothing(host, client)
    assert client.status().counters.layers_made == 3


def test_workers_end_with_a_runner_that_is_killed(host, client, runner):
    process = runner.start('killed', ours(host), hold=True)
    pids = wait_for(lambda: runner.pids('killed'), 'a worker')
    lease, = client.leases()
    assert [lease.holder_pid] == pids == workers_of(host)
    assert lease.guardian_pid == process.pid
    process.kill()
    process.wait()
    wait_for(lambda: not lives(pids[0]), 'the worker to be ended')
    expect_nothing(host, client)


def test_a_worker_is_gone_when_it_is_stopped(host, client):
    """A real one, on its way to a runner that does not answer; and another that goes on."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        for name in 'stopped', 'other':
            url = f'127.0.0.1:{server.getsockname()[1]}'
            assert client.start_worker(name, {'pyenvd.spec': SPEC},
                                       control_endpoint={'url': url}) == ''
            server.accept()[0].close()
        stopped, other = sorted(client.leases(), key=lambda it: it.label == 'other')
        assert client.stop_worker('stopped') == ''
        assert not lives(stopped.holder_pid) and lives(other.holder_pid)
        assert workers_of(host) == [other.holder_pid]
        assert client.stop_worker('other') == ''
    expect_nothing(host, client)


def test_a_bridge_stands_for_the_runners_behind_it(host, client, runner):
    """A worker whose runner is gone has nobody to talk to, and ends by itself."""
    port, bridge = runner.start_bridge(host)
    config = ours(host, f'localhost:{port}')
    assert runner.finish('bridged', config) == expected()
    expect_nothing(host, client)
    process = runner.start('killed', config, hold=True)
    pid, = wait_for(lambda: runner.pids('killed'), 'a worker')
    lease, = client.leases()
    assert lease.guardian_pid == bridge.pid
    process.kill()
    process.wait()
    (runner.directory / 'killed.trace' / 'hold').unlink()
    wait_for(lambda: not lives(pid), 'the worker to end')
    expect_nothing(host, client)
    runner.start('orphaned', config, hold=True)
    pid, = wait_for(lambda: runner.pids('orphaned'), 'a worker')
    bridge.kill()
    bridge.wait()
    wait_for(lambda: not lives(pid), 'the worker to be ended')
    expect_nothing(host, client)
