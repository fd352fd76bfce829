"""A standalone Flink cluster on loopback, out of the Python package.

Its configuration, logs and temporary files are below one directory, and all its processes are
children of who made it: close() leaves none of them, and none of the Python workers that they
started. As root it is run by an ordinary user of pyenvd's group, as a cluster would be.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from host import IS_ROOT, wait_for

UID = 65534
PATIENCE = 200
SMALL_JVM = '-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData'
ENDED = ('FINISHED', 'FAILED', 'CANCELED')


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as it:
        return it.getsockname()[1]


def environment_of(pid):
    """The variables that a process was started with; {} when it is gone."""
    try:
        data = pathlib.Path(f'/proc/{pid}/environ').read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
    pairs = (entry.partition(b'=') for entry in data.split(b'\0') if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def lives(pid):
    """Not gone, and no zombie that nobody has asked after yet."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='utf-8', errors='replace')
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rsplit(')', 1)[1].split()[0] not in 'ZX'


def processes():
    return [int(name) for name in os.listdir('/proc') if name.isdigit()]


class User:
    """An ordinary user, if we are root, with a directory of its own."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.give(self.directory)

    def give(self, path):
        if IS_ROOT:
            shutil.chown(path, UID, 'pyenvd')

    def make_directory(self, name):
        path = self.directory / name
        path.mkdir()
        self.give(path)
        return path

    def as_user(self, *words):
        prefix = []
        if IS_ROOT:
            prefix = ['setpriv', f'--reuid={UID}', '--regid=pyenvd', '--clear-groups']
        return [*prefix, *map(str, words)]


class TaskManager:
    """One slot. runner: the directory for PYFLINK_UDF_RUNNER_DIR; None: Flink's own way.
    home: where Flink is, if not where the cluster has it. through: a command, and root's, by
    which it is started; then its process is that. options: of Flink's, as -Dkey=value."""

    def __init__(self, cluster, name, runner, home, through, options, variables):
        self.name = name
        self.directory = cluster.make_directory(name)
        self.log = cluster.directory / f'{name}.log'
        extra = dict(variables)
        if runner:
            extra['PYFLINK_UDF_RUNNER_DIR'] = str(runner)
        self.process = cluster.spawn(
            self.log, extra,
            [*through, *cluster.command(home, 'taskmanager.sh'), 'start-foreground',
             f'-Dtaskmanager.resource-id={name}', f'-Dio.tmp.dirs={self.directory}', *options])

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """Pids of all that was started for its Python workers, living ones."""
        return [pid for pid in processes()
                if environment_of(pid).get('BOOT_LOG_DIR', '').startswith(f'{self.directory}/') and
                lives(pid)]

    def files(self):
        """What it keeps for Python: names below its python-dist directories."""
        return sorted(str(path.relative_to(top)) for top in self.directory.glob('python-dist-*')
                      for path in top.rglob('*'))

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


class Cluster(User):
    def __init__(self, directory, client):
        """client: the virtual environment with apache-flink."""
        super().__init__(directory)
        self.python = pathlib.Path(client) / 'bin' / 'python'
        self.home, = pathlib.Path(client).glob('lib/python3*/site-packages/pyflink')
        self.rest = free_port()
        self.configure()
        self.task_managers = []
        log = self.directory / 'jobmanager.log'
        self.job_manager = self.spawn(
            log, {}, [*self.command(None, 'jobmanager.sh'), 'start-foreground'])
        self.wait_for(lambda: self.get('/overview'), 'the JobManager')

    # -- its files

    def configure(self):
        """The shipped configuration, flattened: nested and flat keys do not mix."""
        conf = self.make_directory('conf')
        temporary = self.make_directory('tmp')
        for name in 'logs', 'pids':
            self.make_directory(name)
        for path in (self.home / 'conf').glob('log*'):
            shutil.copy(path, conf)
        shipped = (self.home / 'conf' / 'config.yaml').read_text(encoding='utf-8')
        options = re.search(r'^env:\n  java:\n    opts:\n      all: (.*)$', shipped, re.M)[1]
        keys = {
            'env.java.opts.all': f'{options} {SMALL_JVM} -Djava.io.tmpdir={temporary}',
            'jobmanager.rpc.address': '127.0.0.1',
            'jobmanager.rpc.port': free_port(),
            'jobmanager.bind-host': '127.0.0.1',
            'jobmanager.memory.process.size': '1024m',
            'rest.address': '127.0.0.1',
            'rest.bind-address': '127.0.0.1',
            'rest.port': self.rest,
            'taskmanager.host': '127.0.0.1',
            'taskmanager.bind-host': '127.0.0.1',
            'taskmanager.numberOfTaskSlots': 1,
            'taskmanager.memory.process.size': '1280m',
            'taskmanager.memory.managed.size': '128m',
            # One that was killed is missed after two of them.
            'heartbeat.interval': 1000,
            'io.tmp.dirs': temporary,
        }
        (conf / 'config.yaml').write_text(
            ''.join(f'{key}: {value}\n' for key, value in keys.items()), encoding='utf-8')
        for path in conf.iterdir():
            path.chmod(0o644)
            self.give(path)

    # -- its processes

    def variables(self, extra):
        return {
            'PATH': '/usr/local/bin:/usr/bin:/bin',
            'LANG': 'C.UTF-8',
            'HOME': str(self.directory),
            'USER': 'flink',
            'TMPDIR': str(self.directory / 'tmp'),
            'FLINK_CONF_DIR': str(self.directory / 'conf'),
            'FLINK_LOG_DIR': str(self.directory / 'logs'),
            'FLINK_PID_DIR': str(self.directory / 'pids'),
            'PYTHONDONTWRITEBYTECODE': '1',
            **extra,
        }

    def command(self, home, program):
        return self.as_user((home or self.home) / 'bin' / program)

    def spawn(self, log, extra, command):
        """The scripts become the JVM: its pid is the child's. All are in our process group."""
        with open(log, 'ab') as file:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                    cwd=self.directory, env=self.variables(extra))

    def start_task_manager(self, name, runner=None, home=None, through=(), options=(),
                           **variables):
        """Returns when the JobManager knows it."""
        it = TaskManager(self, name, runner, home, through, options, variables)
        self.task_managers.append(it)
        self.wait_for(lambda: name in self.known() or it.process.poll() is not None, name)
        assert it.process.poll() is None, it.log.read_text(errors='replace')[-4000:]
        return it

    def known(self):
        return [it['id'] for it in (self.get('/taskmanagers') or {}).get('taskmanagers', ())]

    def stop_task_managers(self):
        """And the workers that one which was killed has left."""
        for it in self.task_managers:
            it.stop()
            for pid in it.workers():
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(it.directory, ignore_errors=True)
        self.task_managers = []

    def close(self):
        self.stop_task_managers()
        self.job_manager.terminate()
        self.job_manager.wait(PATIENCE)

    # -- what it is asked

    def get(self, path):
        """None, as long as nobody answers."""
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.rest}{path}', timeout=60) as it:
                return json.load(it)
        except (urllib.error.HTTPError, urllib.error.URLError, ConnectionError):
            return None

    def wait_for(self, condition, what):
        def is_so():
            assert self.job_manager.poll() is None, 'the JobManager has ended'
            value = condition()
            if not value:
                time.sleep(0.1)
            return value
        return wait_for(is_so, what, PATIENCE)

    def submit(self, *arguments, through=(), python=None):
        """flink run, by a command if there is one; returns a Job."""
        done = subprocess.run(
            self.as_user(*through, self.home / 'bin' / 'flink', 'run', '-d', '-pyclientexec',
                         python or self.python, *arguments),
            capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL,
            cwd=self.directory, env=self.variables({'JVM_ARGS': '-Xmx384m'}), check=False)
        found = re.search(r'submitted with JobID ([0-9a-f]{32})', done.stdout)
        assert found, done.stdout + done.stderr
        return Job(self, found[1])


class Job:
    def __init__(self, cluster, identity):
        self.cluster = cluster
        self.identity = identity

    def get(self, part=''):
        return self.cluster.get(f'/jobs/{self.identity}{part}') or {}

    def wait_to_end(self):
        """Returns the state in which it is then."""
        self.cluster.wait_for(lambda: self.get().get('state') in ENDED, 'the Flink job to end')
        return self.get()['state']

    def began(self):
        """When it came to be RUNNING, by the clock."""
        return self.get()['timestamps']['RUNNING'] / 1000

    def causes(self):
        """The stack traces of all that went wrong."""
        history = self.get('/exceptions').get('exceptionHistory', {})
        return '\n'.join(it.get('stacktrace', '') for it in history.get('entries', ()))

    def finish(self):
        state = self.wait_to_end()
        assert state == 'FINISHED', f'{state}: {self.causes()}'

    def cancel(self):
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.cluster.rest}/jobs/{self.identity}', method='PATCH')
        with urllib.request.urlopen(request, timeout=60):
            return self.wait_to_end()
