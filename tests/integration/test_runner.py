"""The runner that Flink starts instead of its own, with a package that stands in for pyflink."""
import json
import os
import pathlib
import re
import signal
import subprocess
import zipfile

import packages
import pytest
from host import BUILD, CTL, IS_ROOT, PATIENCE, Host, wait_for
from installers import UV

RUNNER = BUILD / 'client' / 'pyflink-udf-runner.sh'
PYTHON = '/usr/bin/python3'
LOG = 'flink-python-udf-boot.log'
FLINK = ['--id=1-1', '--provision_endpoint=localhost:1']
# A worker that tells how it was started, and ends as it is told.
BOOT = '''\
import json, os, signal, sys, time


def on_term(number, frame):
    print('told to end')
    sys.exit(5)


signal.signal(signal.SIGTERM, on_term)
told = {'arguments': sys.argv[1:], 'cwd': os.getcwd(), 'variables': dict(os.environ),
        'pid': os.getpid(), 'leads': os.getsid(0) == os.getpid(), 'executable': sys.executable,
        'model': open('model/hello.txt').read() if os.path.exists('model') else None}
print(json.dumps(told), flush=True)
while os.environ.get('WAIT'):
    time.sleep(0.01)
sys.exit(7)
'''
STOCK = '#!/bin/sh\necho "$0 $*" >"$OUTPUT"\nexit 9\n'


class TaskManager:
    """What it gives to workers: a directory for their log, variables, arguments."""

    def __init__(self, host):
        self.host = host
        self.directory = host.directory / 'taskmanager'
        self.directory.mkdir()
        self.log = self.directory / LOG
        self.package = host.sources / 'package.zip'
        with zipfile.ZipFile(self.package, 'w') as file:
            for name in 'pyflink', 'pyflink/fn_execution', 'pyflink/fn_execution/beam':
                file.writestr(f'{name}/__init__.py', '')
            file.writestr('pyflink/fn_execution/beam/beam_boot.py', BOOT)
        self.model = host.sources / 'model.zip'
        with zipfile.ZipFile(self.model, 'w') as file:
            file.writestr('hello.txt', 'hello')
        self.options = [f'archive {self.model}#model', f'python-file {self.package}']

    def variables(self, **more):
        return {'PATH': '/usr/bin:/bin', 'PYENVD_SOCKET': str(self.host.socket),
                'BOOT_LOG_DIR': str(self.directory), **more}

    def start(self, prefix=(), **variables):
        return subprocess.Popen([*prefix, RUNNER, *FLINK], cwd=self.directory, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                env=self.variables(**variables))

    def run(self, **variables):
        """Returns the exit code, and what the worker told of itself in the boot log."""
        code = self.start(**variables).wait(PATIENCE)
        return code, self.told()

    def told(self):
        lines = [line for line in self.log.read_text().splitlines() if line.startswith('{')]
        return json.loads(lines[-1]) if lines else None

    def fail(self, **variables):
        """The words in the boot log, of a start that must fail."""
        code, told = self.run(**variables)
        assert (code, told) == (1, None)
        return self.log.read_text()

    def spec(self, *more):
        return '; '.join([*self.options, *more])


@pytest.fixture
def manager(host):
    return TaskManager(host)


def test_options_in_a_variable(host, client, manager):
    code, told = manager.run(PYENVD_SPEC=manager.spec('env X=1 2', f'python {PYTHON}'),
                             PYTHONPATH='/mine::/yours', KEPT='yes')
    # It is Python's own, with nothing between.
    assert code == 7
    assert told['arguments'] == FLINK
    assert told['model'] == 'hello'
    assert told['leads']
    assert told['cwd'].startswith(f'{host.state}/leases/')
    variables = told['variables']
    assert 'PYENVD_SPEC' not in variables
    assert (variables['X'], variables['KEPT']) == ('1 2', 'yes')
    assert variables['BOOT_LOG_DIR'] == str(manager.directory)
    path = variables['PYTHONPATH'].split(':')
    assert path[0].startswith(f'{host.state}/layers/') and path[-2:] == ['/mine', '/yours']
    wait_for(lambda: not client.leases(), 'the lease to end')
    host.expect_tidy(client)


@pytest.mark.skipif(not IS_ROOT, reason='only root may make pid namespaces')
def test_a_task_manager_in_a_container(client, manager):
    """Both it, which is process 1 there, and the worker have other numbers for the daemon."""
    process = manager.start(['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c',
                             '"$0" "$@"; exit $?'],
                            PYENVD_SPEC=manager.spec(f'python {PYTHON}'), WAIT='yes')
    told = wait_for(lambda: manager.log.exists() and manager.told(), 'the worker')
    lease, = client.leases()
    assert told['pid'] == 2 and 2 not in (lease.guardian_pid, lease.holder_pid)
    os.kill(lease.holder_pid, signal.SIGTERM)
    assert process.wait(PATIENCE) == 5
    wait_for(lambda: not client.leases(), 'the lease to end')


def test_a_bundle_is_uploaded_once(host, client, manager):
    bundle = manager.directory / 'env.pyenv'
    made = subprocess.run([CTL, 'bundle', '-o', bundle, '--archive', f'{manager.model}#model',
                           '--python-file', manager.package, '--python', PYTHON],
                          check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert made.returncode == 0, made.stderr
    manager.model.unlink()
    manager.package.unlink()
    for _ in range(2):
        code, told = manager.run(PYTHONPATH=f'/mine:{bundle}', python='/nonexistent/python')
        assert (code, told['model']) == (7, 'hello')
        entries = told['variables']['PYTHONPATH'].split(':')
        assert entries[-1] == '/mine' and str(bundle) not in entries
    counters = client.status().counters
    assert (counters.uploads, counters.layers_made) == (2, 2)


def test_a_bundle_says_what_a_configuration_said(manager):
    configuration = manager.directory / 'config.yaml'
    configuration.write_text(f'python.archives: {manager.model}#model\n'
                             f'python.files: {manager.package}\npython.executable: {PYTHON}\n'
                             'python.job-options: X:told\n')
    bundle = manager.directory / 'env.pyenv'
    make = [CTL, 'bundle', '-o', bundle, '--flink-conf', configuration]
    subprocess.run(make, check=True, timeout=PATIENCE)
    code, told = manager.run(PYTHONPATH=str(bundle), python='/nonexistent/python')
    assert (code, told['model'], told['variables']['X']) == (7, 'hello', 'told')
    before = bundle.read_bytes()
    configuration.write_text(f'python.archives: {manager.model}#/model\n')
    made = subprocess.run(make, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert made.returncode and '/model' in made.stderr
    assert bundle.read_bytes() == before and not list(manager.directory.glob('*.tmp'))


def test_the_spec_wins_and_may_name_a_bundle(manager):
    bundle = manager.directory / 'env.pyenv'
    bundle.write_text('\n'.join(['pyenvd bundle 1', *manager.options, 'env X=bundle', '']))
    for spec, value in (str(bundle), 'bundle'), (manager.spec('env X=spec'), 'spec'):
        code, told = manager.run(PYENVD_SPEC=spec, PYTHONPATH=str(bundle), python=PYTHON)
        assert (code, told['variables']['X']) == (7, value)


@pytest.mark.parametrize('python', ['python3', PYTHON, None])
def test_flinks_python_is_taken_where_the_spec_names_none(manager, tmp_path, python):
    variables = {'python': python} if python else {'PATH': f'{tmp_path}:/usr/bin:/bin'}
    (tmp_path / 'python').symlink_to(PYTHON)
    code, told = manager.run(PYENVD_SPEC=manager.spec(), **variables)
    assert code == 7
    assert pathlib.Path(told['executable']).samefile(PYTHON)


def test_sigterm_reaches_python_and_ends_the_lease(client, manager):
    process = manager.start(PYENVD_SPEC=manager.spec(f'python {PYTHON}'), WAIT='yes')
    told = wait_for(lambda: manager.log.exists() and manager.told(), 'the worker')
    assert told['pid'] == process.pid
    assert [it.holder_pid for it in client.leases()] == [process.pid]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 5
    assert manager.log.read_text().endswith('told to end\n')
    wait_for(lambda: not client.leases(), 'the lease to end')


def test_the_boot_log_is_added_to(manager):
    manager.log.write_text('of another worker\n')
    code, _ = manager.run(PYENVD_SPEC=manager.spec(f'python {PYTHON}'))
    assert code == 7
    assert manager.log.read_text().startswith('of another worker\npyenvd: ')


def test_the_boot_log_names_environment_and_lease(client, manager):
    for how in 'prepared', 'found':
        manager.log.unlink(missing_ok=True)
        process = manager.start(PYENVD_SPEC=manager.spec(f'python {PYTHON}'), WAIT='yes')
        wait_for(lambda: manager.log.exists() and manager.told(), 'the worker')
        lease, = client.leases()
        words = re.escape(f'pyenvd: environment {lease.dependency_hash}, lease {lease.lease_id}, '
                          f'{how} within ')
        assert re.match(words + r'[0-9]+\.[0-9] ms\n{', manager.log.read_text())
        process.terminate()
        assert process.wait(PATIENCE) == 5


@pytest.mark.parametrize('spec, words', [
    ('nonsense x', "'PYENVD_SPEC', line 1: 'nonsense' is nothing that a bundle says"),
    ('env A=1; archive', "'PYENVD_SPEC', line 2: 'archive' needs a value"),
    ('archive a.zip', "'a.zip' is neither an absolute name nor a file of the bundle"),
    ('archive /nowhere/a.zip#a', "'/nowhere/a.zip'"),
    ('/nowhere/env.pyenv', "cannot read '/nowhere/env.pyenv'"),
    ('python /nowhere/python', "'/nowhere/python'"),
])
def test_what_is_wrong_is_in_the_boot_log(client, manager, spec, words):
    assert words in manager.fail(PYENVD_SPEC=spec, python=PYTHON)
    assert not client.leases()


def test_a_bundle_that_was_cut_is_refused(manager):
    bundle = manager.directory / 'env.pyenv'
    subprocess.run([CTL, 'bundle', '-o', bundle, '--python-file', manager.package], check=True,
                   timeout=PATIENCE)
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[:-1])
    assert f"'{bundle}' has {len(whole) - 1} bytes" in manager.fail(PYTHONPATH=str(bundle))


def test_without_a_daemon_the_boot_log_says_so(host, manager):
    assert host.stop() == 0
    words = manager.fail(PYENVD_SPEC=manager.spec(f'python {PYTHON}'))
    assert f"no daemon at '{host.socket}'" in words


# ---- where nothing is said of pyenvd

def stock_in(directory):
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / 'pyflink-udf-runner.sh'
    path.write_text(STOCK)
    path.chmod(0o755)
    return path


def run_stock(manager, **variables):
    """Which runner was executed, and how; Flink's own exit code is told."""
    output = manager.directory / 'output'
    assert manager.start(OUTPUT=str(output), **variables).wait(PATIENCE) == 9
    assert not manager.log.exists()
    return output.read_text().split()


@pytest.mark.parametrize('variable, below', [('FLINK_HOME', 'bin'), ('FLINK_BIN_DIR', '')])
def test_the_runner_of_flinks_distribution(client, manager, variable, below):
    path = stock_in(manager.directory / 'flink' / below)
    variables = {variable: str(manager.directory / 'flink'), 'PYTHONPATH': '/mine'}
    assert run_stock(manager, **variables) == [str(path), *FLINK]
    assert client.status().counters.creates == 0


def test_the_runner_of_the_python_package(manager):
    """FLINK_HOME is another one's; the interpreter is in an archive that Flink extracted."""
    archives = manager.directory / 'python-archives'
    path = stock_in(archives / 'venv' / 'pyflink' / 'bin')
    (archives / 'venv' / 'pyflink' / '__init__.py').touch()
    (archives / 'venv' / 'python').symlink_to(PYTHON)
    assert run_stock(manager, python='venv/python', _PYTHON_WORKING_DIR=str(archives),
                     PYTHONPATH=str(archives / 'venv'), FLINK_HOME='/nowhere') == [str(path), *FLINK]


def test_no_stock_runner_is_said_in_the_boot_log(manager):
    words = manager.fail(python='none/python')
    assert "cannot execute 'none/python' to find Flink's own runner" in words


def test_a_bundle_holds_requirements_and_their_packages(tmp_path):
    count = len(packages.sample(tmp_path / 'packages'))
    (tmp_path / 'requirements.txt').write_text('beta\n')
    with Host('--uv', str(UV)) as host:
        manager = TaskManager(host)
        bundle = manager.directory / 'env.pyenv'
        host.ctl('bundle', '-o', bundle, '--python-file', manager.package, '--requirements',
                 f'{tmp_path}/requirements.txt#{tmp_path}/packages', '--python', PYTHON)
        for _ in range(2):
            code, told = manager.run(PYTHONPATH=str(bundle))
            assert code == 7, manager.log.read_text()
            path = told['variables']['PYTHONPATH'].split(':')
            assert [it for it in path if pathlib.Path(it, 'beta').is_dir()]
        counters = host.connect().status().counters
        assert (counters.uploads, counters.layers_made) == (2 + count, 2)
