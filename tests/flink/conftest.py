"""One Flink cluster for all tests; a host with a daemon, and TaskManagers, for each.

PYENVD_BUILD: where pyenvd was built; below it is what tests/flink/run put there.
"""
import json
import os
import pathlib
import shutil
import signal
import tempfile

import pytest
from cluster import Cluster
from host import BUILD, Host

import inputs

FLINK = BUILD / 'flink'
INPUTS = FLINK / 'inputs'
ADAPTERS = FLINK / 'java'
JOB = pathlib.Path(__file__).with_name('job.py').resolve()
times = []

signal.signal(signal.SIGINT, signal.default_int_handler)


def note_time(words, seconds):
    cores = len(os.sched_getaffinity(0))
    times.append(f'{words}: {seconds:.2f} s ({cores} processors, load {os.getloadavg()[0]:.1f})')


def pytest_terminal_summary(terminalreporter):
    for line in times:
        terminalreporter.write_line(f'seen: {line}')


class Line:
    """A version of Flink with all that there is for it: "2.3", or another one that is tested."""

    def __init__(self, name='2.3'):
        more = '' if name == '2.3' else f'-{name}'
        self.client = FLINK / f'client{more}'
        self.inputs = FLINK / f'inputs{more}'
        self.home, = self.client.glob('lib/python3*/site-packages/pyflink')
        self.flink_python, = self.home.glob('opt/flink-python-*.jar')
        self.jar, = ADAPTERS.glob(f'flink-pyenvd-{name}/flink-pyenvd-*.jar')
        self.tests = self.jar.parent / 'test-classes'


@pytest.fixture(scope='session')
def line(request):
    return Line(getattr(request, 'param', '2.3'))


@pytest.fixture(scope='session')
def cluster(line):
    directory = pathlib.Path(tempfile.mkdtemp(prefix='pyenvd-flink-'))
    it = Cluster(directory, line.client)
    it.inputs = line.inputs
    yield it
    it.close()
    shutil.rmtree(directory)


@pytest.fixture
def host():
    with Host('--uv', str(BUILD / 'venv' / 'bin' / 'uv')) as it:
        yield it


@pytest.fixture
def flink(cluster, host):
    it = Flink(cluster, host)
    yield it
    it.close()


class Run:
    """A Flink job that was submitted, and what its workers told of themselves."""

    def __init__(self, flink, job, directory):
        self.cluster = flink.cluster
        self.job = job
        self.directory = directory

    def traces(self):
        lines = [line for path in self.directory.glob('trace/[0-9]*')
                 for line in path.read_text(encoding='utf-8').split('\n')]
        return sorted((json.loads(line) for line in lines if line.endswith('}')),
                      key=lambda it: it['time'])

    def pids(self):
        return {it['pid'] for it in self.traces()}

    def wait_for_workers(self, count, but=()):
        """Until so many others have begun with a record."""
        def begun():
            assert self.job.get().get('state') != 'FAILED', self.job.causes()
            pids = self.pids() - set(but)
            return pids if len(pids) >= count else None
        return self.cluster.wait_for(begun, f'{count} Python workers')

    def let_go(self):
        (self.directory / 'trace' / 'hold').unlink(missing_ok=True)

    def lines(self):
        return sorted(line for path in self.directory.glob('output/**/part-*')
                      for line in path.read_text(encoding='utf-8').splitlines())

    def expect_finished(self):
        """With all lines, each once."""
        self.job.finish()
        count = self.count
        assert self.lines() == inputs.expected(count)

    def note_time(self, words):
        note_time(f'{words}: RUNNING to first record',
                  self.traces()[0]['time'] - self.job.began())


class Flink:
    """The cluster, for one test with its host."""

    count = 20

    def __init__(self, cluster, host):
        self.cluster = cluster
        self.host = host
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='flink-', dir=cluster.directory))
        self.runs = []
        cluster.give(self.directory)

    def close(self):
        for run in self.runs:
            run.let_go()
            if run.job.get().get('state') not in ('FINISHED', 'FAILED', 'CANCELED'):
                run.job.cancel()
        self.cluster.stop_task_managers()
        shutil.rmtree(self.directory)

    def start(self, name, with_runner=True, home=None, through=(), **variables):
        runner = BUILD / 'client' if with_runner else None
        return self.cluster.start_task_manager(name, runner, home, through,
                                               PYENVD_SOCKET=str(self.host.socket), **variables)

    def submit(self, *arguments, hold=False, parallelism=1, **how):
        directory = self.directory / str(len(self.runs))
        for path in directory, directory / 'trace':
            path.mkdir()
            self.cluster.give(path)
        if hold:
            (directory / 'trace' / 'hold').touch()
        # A subtask asks for more numbers when those it has are through: each gets some.
        job = self.cluster.submit('-p', parallelism, '-D', 'python.fn-execution.bundle.size=1',
                                  *arguments, '-py', JOB, '--count', self.count, '--trace', directory / 'trace',
                                  '--output', directory / 'output', **how)
        run = Run(self, job, directory)
        run.count = self.count
        self.runs.append(run)
        return run

    def stock(self):
        """What Flink is told of the environment."""
        given = self.cluster.inputs
        return ('-pyarch', f'{given}/venv.tgz#venv,{given}/model.zip#model',
                '-pyexec', 'venv/bin/python', '-pyfs', given / 'words.py',
                '-pyreq', f'{given}/requirements.txt#{given}/packages')

    def bundle(self, *options):
        """What pyenvd is told of it, instead. No interpreter of the other name would start."""
        path = self.directory / 'env.pyenv'
        self.host.ctl('bundle', '-o', path, '--archive', f'{INPUTS}/venv.tgz#venv',
                      '--archive', f'{INPUTS}/model.zip#model', '--python', 'venv/bin/python',
                      '--python-file', INPUTS / 'words.py', '--requirements',
                      f'{INPUTS}/requirements.txt#{INPUTS}/packages', *options)
        return '-pyfs', path, '-pyexec', '/nonexistent/python'
