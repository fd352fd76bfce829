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
JOB = pathlib.Path(__file__).with_name('job.py').resolve()
times = []

signal.signal(signal.SIGINT, signal.default_int_handler)


def note_time(words, seconds):
    cores = len(os.sched_getaffinity(0))
    times.append(f'{words}: {seconds:.2f} s ({cores} processors, load {os.getloadavg()[0]:.1f})')


def pytest_terminal_summary(terminalreporter):
    for line in times:
        terminalreporter.write_line(f'seen: {line}')


@pytest.fixture(scope='session')
def cluster():
    directory = pathlib.Path(tempfile.mkdtemp(prefix='pyenvd-flink-'))
    it = Cluster(directory, FLINK / 'client')
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

    def start(self, name, with_runner=True):
        runner = BUILD / 'client' if with_runner else None
        return self.cluster.start_task_manager(name, runner, PYENVD_SOCKET=str(self.host.socket))

    def submit(self, *arguments, hold=False, parallelism=1):
        directory = self.directory / str(len(self.runs))
        for path in directory, directory / 'trace':
            path.mkdir()
            self.cluster.give(path)
        if hold:
            (directory / 'trace' / 'hold').touch()
        # A subtask asks for more numbers when those it has are through: each gets some.
        job = self.cluster.submit('-p', parallelism, '-D', 'python.fn-execution.bundle.size=1',
                                  *arguments, '-py', JOB, '--count', self.count, '--trace', directory / 'trace',
                                  '--output', directory / 'output')
        run = Run(self, job, directory)
        run.count = self.count
        self.runs.append(run)
        return run

    def stock(self):
        """What Flink is told of the environment."""
        return ('-pyarch', f'{INPUTS}/venv.tgz#venv,{INPUTS}/model.zip#model',
                '-pyexec', 'venv/bin/python', '-pyfs', INPUTS / 'words.py',
                '-pyreq', f'{INPUTS}/requirements.txt#{INPUTS}/packages')

    def bundle(self, *options):
        """What pyenvd is told of it, instead. No interpreter of the other name would start."""
        path = self.directory / 'env.pyenv'
        self.host.ctl('bundle', '-o', path, '--archive', f'{INPUTS}/venv.tgz#venv',
                      '--archive', f'{INPUTS}/model.zip#model', '--python', 'venv/bin/python',
                      '--python-file', INPUTS / 'words.py', '--requirements',
                      f'{INPUTS}/requirements.txt#{INPUTS}/packages', *options)
        return '-pyfs', path, '-pyexec', '/nonexistent/python'
