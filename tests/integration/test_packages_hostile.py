"""That the hostile sdists do what they say, so that a test in which they achieve nothing shows
something. Through `confined` only, as an ordinary user, in namespaces of processes and of the
network that end with the test.
"""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

import packages
import pytest
from installers import PATIENCE, Installer, environment, offline

USER = 64242
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='only root may become another user')

# Runs "$@" as the user, then says so and stays until nobody holds our end of its stdin.
INIT = '''
user=$1
shift
setpriv --reuid=$user --regid=$user --clear-groups --no-new-privs -- \\
	prlimit --nproc=100 --fsize=100000000 -- "$@" </dev/null >output 2>&1
echo ended $?
read -r _
'''


@pytest.fixture(autouse=True, scope='module')
def is_confined():
    if os.access('/usr', os.W_OK):
        pytest.fail('run this through tests/integration/confined')


@pytest.fixture(scope='module')
def python():
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        subprocess.run(['/usr/bin/python3', '-m', 'venv', f'{top}/venv'], check=True)
        yield pathlib.Path(top, 'venv/bin/python')


@pytest.fixture
def place():
    """A directory of the user's."""
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)
        made = pathlib.Path(top, 'place')
        made.mkdir()
        os.chown(made, USER, USER)
        yield made


class Cage:
    """A command of the user's in namespaces of its own; whatever it started ends at close()."""

    def __init__(self, command, directory, mount=''):
        self.output = directory / 'output'
        words = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--net',
                 'sh', '-c', f'{mount}\n{INIT}', 'cage', str(USER), *command]
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(words, cwd=directory, env=environment(directory),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait(self):
        """Until the command itself has ended; its exit code."""
        line = self.process.stdout.readline()
        assert line.startswith('ended '), (line, self.text())
        return int(line.split()[1])

    def text(self):
        return self.output.read_text(errors='replace')

    def close(self):
        self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@contextlib.contextmanager
def hook_in_cage(directory, deed, mount='', wheels=None, **plan):
    """The sdist's hook, without an installer around it. wheels: where its wheel is to go."""
    path = packages.hostile_sdist(directory, deed, **plan)
    with tarfile.open(path) as tar:
        tar.extractall(directory)
    source = directory / path.name.removesuffix('.tar.gz')
    code = f'import sys; sys.path.insert(0, {str(source)!r}); import backend; ' \
           f'backend.build_wheel({str(wheels or directory)!r})'
    cage = Cage(['/usr/bin/python3', '-B', '-c', code], directory, mount)
    try:
        yield cage
    finally:
        cage.close()


@contextlib.contextmanager
def install_in_cage(name, python, directory, deed, **plan):
    path = packages.hostile_sdist(directory, deed, **plan)
    installer = Installer(name, python, directory)
    cage = Cage(installer.command(f'hostile-{deed}\n', *offline(path.parent)), directory)
    try:
        yield installer, cage
    finally:
        cage.close()


def wait_for(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def outcomes(reports):
    return {report.what: report.outcome for report in reports}


@pytest.mark.parametrize('tool', ['pip', 'uv'])
def test_it_finds_its_prefix_and_reports_in_the_wheel(tool, python, place):
    with install_in_cage(tool, python, place, 'write-outside',
                         places=[place]) as (installer, cage):
        assert cage.wait() == 0, cage.text()
        text = (installer.site() / 'hostile_write_outside/report.txt').read_text()
        found = outcomes(packages.reports_in(text))
        assert found['prefix'] == str(installer.prefix)
        assert found[f'create:{place}'] == 'done' and found['create:/etc'] == 'EROFS'
        assert place / packages.marker_of('hostile-write-outside') in \
            packages.files_of('hostile-write-outside', place)
    for path in packages.files_of('hostile-write-outside', '/dev/shm'):
        path.unlink()


@pytest.mark.parametrize('tool', ['pip', 'uv'])
def test_it_reports_when_it_fails(tool, python, place):
    with install_in_cage(tool, python, place, 'fail') as (_, cage):
        assert cage.wait() == 1
        assert outcomes(packages.reports_in(cage.text())) == {'fails': 'done'}


@pytest.mark.parametrize('tool', ['pip', 'uv'])
def test_its_daemon_outlives_the_install(tool, python, place):
    with install_in_cage(tool, python, place, 'fork-daemon') as (installer, cage):
        assert cage.wait() == 0, cage.text()
        left = packages.processes_of('hostile-fork-daemon')
        assert len(left) == 1
        status = pathlib.Path(f'/proc/{left[0]}/status').read_text()
        assert f'Uid:\t{USER}\t' in status
        beat = installer.prefix / (packages.marker_of('hostile-fork-daemon') + '.heartbeat')
        wait_for(lambda: beat.exists() and beat.read_text())
        first = beat.read_text()
        wait_for(lambda: beat.read_text() not in ('', first))
    wait_for(lambda: not packages.processes_of('hostile-fork-daemon'))


def test_its_storm_is_bounded(place):
    with hook_in_cage(place, 'fork-storm', count=20) as cage:
        assert cage.wait() == 0
        assert outcomes(packages.reports_in(cage.text())) == {'made': '20', 'stopped-by': 'all'}
        assert len(packages.processes_of('hostile-fork-storm')) == 20


def test_its_storm_says_what_stopped_it(place):
    with hook_in_cage(place, 'fork-storm') as cage:
        assert cage.wait() == 0
        found = outcomes(packages.reports_in(cage.text()))
        assert found['stopped-by'] == 'EAGAIN' and 0 < int(found['made']) < 100


def test_it_prints_and_does_not_end(place):
    with hook_in_cage(place, 'print-forever', bytes=4 << 20) as cage:
        wait_for(lambda: cage.output.exists() and cage.output.stat().st_size > 4 << 20)
        assert cage.process.poll() is None


def test_it_fills_a_disk(place):
    small = place / 'small'
    small.mkdir()
    mount = f'mount -t tmpfs -o size=20m,mode=777 none {small} && export TMPDIR={small}'
    with hook_in_cage(place, 'fill-the-disk', mount, small, then='fail') as cage:
        assert cage.wait() == 8, cage.text()
        found = outcomes(packages.reports_in(cage.text()))
    assert found[f'at:{small}'] == found['stopped-by'] == 'ENOSPC'
    assert 10 << 20 < int(found['written']) <= 20 << 20


def test_it_hangs_whatever_it_is_told(place):
    with hook_in_cage(place, 'hang') as cage:
        wait_for(lambda: cage.output.exists() and 'hangs done' in cage.text())
        wait_for(lambda: packages.processes_of('hostile-hang'))
        for pid in packages.processes_of('hostile-hang'):
            os.kill(pid, signal.SIGINT)
        assert packages.processes_of('hostile-hang')


@pytest.mark.parametrize('tool', ['pip', 'uv'])
def test_it_leaves_what_should_not_be_in_a_layer(tool, python, place):
    with install_in_cage(tool, python, place, 'litter') as (installer, cage):
        assert cage.wait() == 0, cage.text()
        text = (installer.site() / 'hostile_litter/report.txt').read_text()
        found = outcomes(packages.reports_in(text))
        at = installer.prefix
        for what in ('set-user-id', 'link-outside', 'link-to-root', 'link-to-itself', 'hard-link',
                     'fifo', 'socket', 'unreadable', 'strange-name'):
            assert found[f'{what}:{at}'] == 'done', (what, found)
        assert found[f'device:{at}'] == 'EPERM'
        assert found[f'hard-link-outside:/etc/passwd:{at}'] in ('EXDEV', 'EPERM')


def test_it_uses_a_network_where_there_is_one(place):
    """Here it has loopback alone, down, and the abstract sockets of its own namespace."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        address = server.getsockname()
        with hook_in_cage(place, 'use-network', tcp=[address], udp=[address],
                          unix=['/no/such/socket'], names=['index.invalid']) as cage:
            assert cage.wait() == 0, cage.text()
            found = outcomes(packages.reports_in(cage.text()))
    at = ':'.join(map(str, address))
    assert found['interfaces'] == 'lo' and found['unix:/no/such/socket'] == 'ENOENT'
    assert found[f'tcp:{at}'] == found[f'udp:{at}'] == 'ENETUNREACH'
    assert found['name:index.invalid'].startswith('EAI')


def test_it_reads_what_it_may(place):
    open_one, secret = place / 'open', place / 'secret'
    open_one.write_text('known')
    secret.write_text('unknown')
    secret.chmod(0o600)
    with hook_in_cage(place, 'read-secrets', files=[open_one, secret]) as cage:
        assert cage.wait() == 0, cage.text()
        found = outcomes(packages.reports_in(cage.text()))
    assert bytes.fromhex(found[f'read:{open_one}']) == b'known'
    assert found[f'read:{secret}'] == 'EACCES'
    assert bytes.fromhex(found['variable:HOME']).decode() == str(place)


@pytest.mark.parametrize('tool', ['pip', 'uv'])
def test_it_may_kill_the_installer_and_no_more(tool, python, place):
    with install_in_cage(tool, python, place, 'attack-parents') as (_, cage):
        assert cage.wait() == 128 + signal.SIGKILL, cage.text()
        # The init is root's, and still there; so are we.
        assert cage.process.poll() is None


def test_it_dies(place):
    with hook_in_cage(place, 'die') as cage:
        assert cage.wait() == 128 + signal.SIGSEGV


@pytest.mark.parametrize('tool', ['pip', 'uv'])
@pytest.mark.parametrize('member', ['../../../../outside.py', '{place}/outside.py',
                                    'climber-1.0.data/data/../../outside.py',
                                    'climber-1.0.data/data/../../../../../outside.py',
                                    'climber-1.0.data/scripts/../../../outside.py'])
def test_a_wheel_that_climbs(tool, python, place, member):
    """pip refuses it; uv leaves out what climbs out of the wheel, and says nothing."""
    packages.wheel_with(place, 'climber', member.format(place=place), 'OUTSIDE = True\n')
    installer = Installer(tool, python, place)
    cage = Cage(installer.command('climber\n', *offline(place)), place)
    try:
        assert (cage.wait() == 0) == (tool == 'uv'), cage.text()
    finally:
        cage.close()
    assert all(installer.prefix in path.parents for path in place.rglob('outside.py'))


@pytest.mark.parametrize('tool', ['pip', 'uv'])
def test_modes_of_a_wheel_that_should_not_be(tool, python, place):
    """They make plain files of links, and drop what sets the user."""
    packages.wheel_with(place, 'linker', 'linker/passwd', '/etc/passwd', mode=0o120777)
    packages.wheel_with(place, 'setter', 'setter/tool', '#!/bin/sh\n', mode=0o106755)
    installer = Installer(tool, python, place)
    cage = Cage(installer.command('linker\nsetter\n', *offline(place)), place)
    try:
        assert cage.wait() == 0, cage.text()
    finally:
        cage.close()
    link, program = (installer.site() / name for name in ('linker/passwd', 'setter/tool'))
    assert not link.is_symlink() and link.read_text() == '/etc/passwd'
    assert not program.stat().st_mode & 0o7000


def test_it_does_nothing_as_root(place):
    path = packages.hostile_sdist(place, 'litter')
    with tarfile.open(path) as tar:
        tar.extractall(place)
    done = subprocess.run([sys.executable, '-c', 'import backend; backend.build_wheel(".")'],
                          cwd=place / 'hostile_litter-1.0', text=True, check=False,
                          stdout=subprocess.PIPE)
    assert done.returncode == 9
    with pytest.raises(AssertionError, match='the build did nothing'):
        packages.reports_in(done.stdout)
