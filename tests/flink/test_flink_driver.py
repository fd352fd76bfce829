"""The adapter's class, called as Flink calls it, with a real daemon; for each line of Flink."""
import os
import pathlib
import signal
import subprocess
import zipfile

import packages
import pyenvd_pb2 as pb
import pytest
from archives import make_sample
from cluster import UID
from conftest import INPUTS, Line
from driver import Driver, Refused
from host import BUILD, IS_ROOT, PATIENCE, Host, children_of, wait_for

RUNNER = BUILD / 'client' / 'pyflink-udf-runner.sh'
LOG = 'flink-python-udf-boot.log'
asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: namespaces')


@pytest.fixture(params=['2.3', '1.20'])
def any_line(request):
    return Line(request.param)


@pytest.fixture
def java(line, host):
    with Driver(line, host.socket) as it:
        yield it


@pytest.fixture
def given(host):
    return Given(host.sources)


class Given:
    """What a Flink job brings: files of the distributed cache, which have no names of their own."""

    def __init__(self, directory):
        self.directory = directory
        self.archive = self.put(make_sample(directory / 'a.zip'), 'blob_1')
        with zipfile.ZipFile(directory / 'pyflink.zip', 'w') as file:
            for name in 'pyflink', 'pyflink/fn_execution', 'pyflink/fn_execution/beam':
                file.writestr(f'{name}/__init__.py', '')
            file.writestr('pyflink/fn_execution/beam/beam_boot.py',
                          'import os, sys\nprint(*sys.argv[1:], os.getcwd(), flush=True)\n'
                          'sys.stdin.read()\n')
        self.package = self.put(directory / 'pyflink.zip', 'blob_2')
        (directory / 'blob_3').write_text('x = 1\n', encoding='utf-8')
        self.module = directory / 'blob_3'
        self.packages = directory / 'packages'
        self.packages.mkdir()
        packages.wheel(self.packages, 'greeting', '4.2')
        self.requirements = directory / 'blob_4'
        self.requirements.write_text('greeting==4.2\n', encoding='utf-8')

    @staticmethod
    def put(path, name):
        return path.rename(path.with_name(name))

    def commands(self):
        return [('archive', self.archive, 'a.zip#venv'), ('file', self.package, 'p.zip'),
                ('file', self.module, 'm.py'),
                ('requirements', self.requirements, self.packages)]


def start_worker(program, variables):
    """As Beam does, with the JVM's own variables beneath; but that its parent is a shell, which
    is the JVM's user too, and stays."""
    prefix = ['setpriv', f'--reuid={UID}', '--regid=pyenvd', '--clear-groups'] if IS_ROOT else []
    return subprocess.Popen(
        [*prefix, 'sh', '-c', '"$@"; exit', 'sh', program, '--id=1',
         '--provision_endpoint=localhost:1'],
        stdin=subprocess.PIPE, env={'PATH': '/usr/bin:/bin', **variables})


def creations(client):
    return client.admin.ListCreations(pb.ListRequest(), timeout=PATIENCE).creations


def test_the_environment_is_leased_and_given_back(host, given, any_line):
    client = host.connect()
    with Driver(any_line, host.socket) as java:
        base = java.open(*given.commands())
        lease, = client.leases()
        assert lease.base_directory == base and lease.holder_pid == java.pid
        assert lease.label.startswith('Flink job ')
        token, = java.ask('token')
        assert pathlib.Path(token).parent == pathlib.Path(base)
        assert java.ask('boot-log') == ['Failed to create stage bundle factory!']
        variables = dict(row.split('=', 1) for row in java.ask('variables'))
        assert variables['BOOT_LOG_DIR'] == base
        java.ask('close')
        assert not client.leases()
        # Also where a cancelled task is interrupted again and again.
        java.ask('open')
        assert java.ask('close-interrupted') == ['true']
        assert not client.leases()
    host.expect_tidy(client)


def test_a_worker_is_started_by_the_runner_in_the_same_environment(host, given, java):
    client = host.connect()
    base = java.open(*given.commands())
    program, variables = java.worker()
    assert program == str(RUNNER)
    assert variables == {'PYENVD_SOCKET': str(host.socket), 'python': '/usr/bin/python3',
                         'PYENVD_SPEC': f'{base}/environment.pyenv', 'BOOT_LOG_DIR': base}
    before = client.status().counters
    worker = start_worker(program, variables)
    log = pathlib.Path(base, LOG)
    wait_for(lambda: log.exists() and '--provision_endpoint' in log.read_text(),
             'the worker to tell of itself')
    lease, = [it for it in client.leases() if it.guardian_pid]
    assert lease.guardian_pid == worker.pid
    after = client.status().counters
    assert after.create_hits == before.create_hits + 1
    assert client.status().environments == 1
    assert f'--provision_endpoint=localhost:1 {lease.working_directory}' in log.read_text()
    assert lease.working_directory in '\n'.join(java.ask('boot-log'))
    worker.communicate()
    java.ask('close')
    wait_for(lambda: not client.leases(), 'the leases to end')
    host.expect_tidy(client)


def test_without_the_system_environment_its_paths_do_not_count(host, given, line):
    with Driver(line, host.socket, PYTHONPATH='/opt/other') as java:
        java.open(*given.commands())
        assert any('/opt/other' in row for row in java.ask('variables'))
        java.ask('close')
        java.open(('without-system-env',))
        assert not any('/opt/other' in row for row in java.ask('variables'))
        _, variables = java.worker()
        assert variables['PATH'] == variables['PYTHONPATH'] == ''


def test_what_a_bundle_cannot_say_flinks_own_script_starts(host, given, java):
    """Under this lease: its variables and working directory."""
    odd = given.put(given.archive, 'blob#5')
    base = java.open(('archive', odd, 'a.zip'), ('file', given.package, 'p.zip'))
    program, variables = java.worker()
    # The package that stands in for pyflink says where that is.
    assert program.startswith(f'{host.state}/layers/')
    assert program.endswith('/pyflink/bin/pyflink-udf-runner.sh')
    assert variables['BOOT_LOG_DIR'] == base
    assert variables['_PYTHON_WORKING_DIR'].startswith(f'{base}/')
    assert 'PYENVD_SPEC' not in variables


def test_what_the_daemon_refuses_fails_in_its_words(host, given, java):
    given.archive.write_bytes(b'PK\3\4 but no more')
    with pytest.raises(Refused, match=f"IOException: pyenvd cannot prepare.*'{given.archive}'"):
        java.open(*given.commands())
    assert not host.connect().leases()


def test_a_bundle_is_left_to_the_runner(host, given, line):
    path = given.put(given.module, 'blob_6')
    with Driver(line, host.socket, PYFLINK_UDF_RUNNER_DIR=str(RUNNER.parent)) as java:
        base = java.open(('file', path, 'env.pyenv'))
        assert pathlib.Path(base).name.startswith('python-dist-')
        program, variables = java.worker()
        assert program == str(RUNNER) and 'PYENVD_SPEC' not in variables
        java.ask('close')
    assert host.connect().status().counters.creates == 0


def test_that_there_is_no_daemon_is_said_once_for_all_flink_jobs(host, java):
    host.stop()
    for _ in range(2):
        assert pathlib.Path(java.open()).name.startswith('python-dist-')
        java.ask('close')
        assert java.ask('end-job') == ['collected']
    said = f"prepared by Flink itself: there is no pyenvd at '{host.socket}'"
    log = java.log.read_text(encoding='utf-8')
    assert log.count(said) == log.count('WARN') == 1
    host.start()
    java.open()
    java.ask('close')
    host.stop()
    java.open()
    assert java.log.read_text(encoding='utf-8').count(said) == 2


def test_nothing_of_a_flink_job_that_is_over_stays_in_the_jvm(host, given, java):
    java.open(*given.commands())
    java.ask('worker')
    assert java.ask('threads')
    java.ask('close')
    wait_for(lambda: not java.ask('threads'), 'its thread to end')
    assert java.ask('end-job') == ['collected']


def test_an_open_that_is_interrupted_leaves_nothing(host, line, java):
    """While the daemon's worker is stopped in the middle of it."""
    client = host.connect()
    java.ask('archive', INPUTS / 'venv.tgz', 'venv.tgz')
    java.ask('begin-open')
    creation = wait_for(lambda: [it for it in creations(client) if it.worker_pid],
                        'the extraction to begin')[0]
    os.kill(creation.worker_pid, signal.SIGSTOP)
    assert java.ask('interrupt') == ['InterruptedException']
    wait_for(lambda: not creations(client), 'the extraction to end')
    assert not client.leases() and not client.layers()
    host.expect_tidy(client)


@asks_for_root
def test_files_that_the_daemon_does_not_see_are_uploaded(host, line):
    client = host.connect()
    outside = host.directory / 'outside'
    outside.mkdir()
    Given(outside)
    script = ('set -eu; mount -t tmpfs -o mode=755 tmpfs "$2"; cp -r "$1"/. "$2"; shift 2; '
              'exec "$@"')
    prefix = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh',
              str(outside), str(host.sources)]
    it = Given.__new__(Given)
    it.archive, it.package, it.module, it.requirements = [
        host.sources / f'blob_{i}' for i in range(1, 5)]
    it.packages = host.sources / 'packages'
    with Driver(line, host.socket, prefix) as java:
        base = java.open(*it.commands())
        counters = client.status().counters
        assert counters.uploads == 5
        assert pathlib.Path(base, 'work', 'venv').exists()
        java.ask('close')
        # Nothing is sent twice.
        java.ask('open')
        assert client.status().counters.uploads == 5
        assert client.status().counters.layers_made == counters.layers_made == 4
        java.ask('close')


class Sealed(Host):
    """Its daemon sees no process of ours."""

    def command(self, *flags):
        return ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc',
                *super().command(*flags)]

    def kill(self):
        """Not unshare, which would be gone before the daemon."""
        daemon, = children_of(self.pid)
        os.kill(daemon, signal.SIGKILL)
        self.process.wait(PATIENCE)


@asks_for_root
def test_a_daemon_that_does_not_see_the_jvm_is_held_by_a_connection(line):
    with Sealed('--uv', str(BUILD / 'venv' / 'bin' / 'uv')) as host:
        client = host.connect()
        given = Given(host.sources)
        with Driver(line, host.socket) as java:
            base = java.open(*given.commands())
            lease, = client.leases()
            assert lease.holder == 'connection'
            wait_for(lambda: not client.leases()[0].expires_unix_ms, 'it to be held')
            host.kill()
            host.start()
            wait_for(lambda: not client.leases()[0].expires_unix_ms, 'it to be held again')
            # No worker could have a lease of its own.
            _, variables = java.worker()
            assert variables['BOOT_LOG_DIR'] == base and 'PYENVD_SPEC' not in variables
            java.ask('close')
            assert not client.leases()
        assert 'WARN' not in java.log_text
        host.kill()
