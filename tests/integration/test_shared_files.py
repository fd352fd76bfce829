"""Layers of requirements have files in common on the disk, where they are the same."""
import ctypes
import hashlib
import os
import pathlib
import re
import subprocess

import packages
import pyenvd_pb2 as pb
import pytest
from host import IS_ROOT, Host, wait_for
from remote import Remote
from test_install import USER, Directory, flags, install, python_of, requirements, run

CHECKS = {'file': os.path.isfile, 'dir': os.path.isdir, 'link': os.path.islink}
WRITES_TO_SIBLINGS = '''
import os
import pathlib

def build_wheel(*_):
    for path in PATHS:
        try:
            os.chmod(path, 0o666)
            pathlib.Path(path).open('a')
            print('WRITTEN')
        except OSError as error:
            print('REFUSED', error)
        try:
            os.link(path, 'linked')
            print('WRITTEN')
        except OSError as error:
            print('REFUSED', error)
    raise SystemExit(1)
'''


@pytest.fixture(scope='module')
def made():
    with Directory() as directory:
        packages.sample(directory / 'packages')
        packages.wheel(directory / 'packages', 'large', files={
            'large/__init__.py': 'VALUES = [\n' + '    1,\n' * 40000 + ']\n'})
        subprocess.run(['/usr/bin/python3', '-m', 'venv', directory / 'venv'], check=True)
        yield directory


def landlock_version():
    return ctypes.CDLL(None).syscall(444, None, 0, 1)


def two_sets(host, client, made, create=install):
    first = create(client, made, requirements(host, 'large\nbeta\n', made / 'packages', '1.txt'))
    second = create(client, made, requirements(host, 'large\ndelta\n', made / 'packages', '2.txt'))
    return first, second


def tree_of(response):
    return pathlib.Path(response.layers[0].directory)


def files_of(response):
    tree = tree_of(response)
    return {str(path.relative_to(tree)): path for path in tree.rglob('*')
            if path.is_file() and not path.is_symlink()}


def common(first, second):
    """Names of files that are the same, and the same on the disk (by an inode or by blocks)."""
    one, two = files_of(first), files_of(second)
    same = {name for name in one.keys() & two.keys()
            if one[name].read_bytes() == two[name].read_bytes() and one[name].stat().st_size}
    return same, {name for name in same if os.path.samefile(one[name], two[name])}


def shared_bytes(client, response):
    return client.admin.Show(pb.ShowRequest(id=response.layers[0].layer_id)).layer.shared_bytes


def verify(response):
    """The tree is what its manifest says."""
    tree = tree_of(response)
    lines = (tree.parent / 'manifest').read_text().splitlines()
    named = set()
    for line in lines:
        name, *words = line.split()
        if not name.startswith('./'):
            continue
        name = re.sub(r'\\(\d{3})', lambda found: chr(int(found[1], 8)), name)
        words = dict(word.split('=', 1) for word in words)
        path = tree / name
        named.add(path)
        found = path.lstat()
        assert CHECKS[words['type']](path), path
        assert int(float(words['time'])) == int(found.st_mtime), path
        if words['type'] == 'file':
            assert found.st_mode & 0o7777 == int(words['mode'], 8), path
            assert found.st_size == int(words['size']), path
            assert hashlib.sha256(path.read_bytes()).hexdigest() == words['sha256digest'], path
    assert named == set(tree.rglob('*'))


def can_clone(directory):
    source = directory / 'clone-from'
    source.write_text('x' * 4096)
    return subprocess.run(['cp', '--reflink=always', source, directory / 'clone-to'],
                          capture_output=True, check=False).returncode == 0


def bytes_on_disk(*paths):
    total = subprocess.run(['du', '-scB1', *paths], capture_output=True, text=True, check=True)
    return int(total.stdout.splitlines()[-1].split()[0])


@pytest.mark.parametrize('installer', ['uv', 'pip'])
def test_what_two_sets_have_in_common_is_there_once(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        first, second = two_sets(host, client, made)
        same, linked = common(first, second)
        package = 'lib/python3.11/site-packages/large'
        assert {f'{package}/__init__.py', f'{package}/__pycache__/__init__.cpython-311.pyc'} <= same
        assert shared_bytes(client, first) == 0
        assert shared_bytes(client, second) == sum(
            files_of(second)[name].stat().st_size for name in same)
        if not can_clone(host.sources):
            assert linked == same
            one, two = tree_of(first), tree_of(second)
            assert bytes_on_disk(one, two) < \
                bytes_on_disk(one) + bytes_on_disk(two) - shared_bytes(client, second)
        for response in first, second:
            verify(response)
            assert run(response, response.interpreter, '-c',
                       'import large; print(large.__file__, len(large.VALUES))') == \
                f'{tree_of(response)}/{package}/__init__.py 40000\n'
        shown = host.ctl('show', second.layers[0].layer_id).stdout
        assert re.search(r'^shared size: +.*bytes\)$', shown, re.M), shown
        # What is counted does not depend on who shares with whom.
        assert client.status().layer_bytes == sum(layer.size_bytes for layer in client.layers())


def test_a_layer_goes_without_the_others(made):
    with Host(*flags('uv')) as host:
        client = host.connect()
        first, second = two_sets(host, client, made)
        client.release(first.lease_id)
        gone = [layer.layer_id for layer in client.collect().layers]
        assert gone == [first.layers[0].layer_id]
        wait_for(lambda: not tree_of(first).parent.exists(), 'the first layer to be removed')
        verify(second)
        third = install(client, made, requirements(host, 'large\n', made / 'packages', '3.txt'))
        assert common(second, third)[0] and shared_bytes(client, third)
        verify(third)
        host.expect_tidy(client)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
@pytest.mark.parametrize('sharing', ['user', 'all'])
def test_users_share_files_only_if_they_share_layers(made, sharing):
    with Host(*flags('uv'), '--sharing', sharing) as host:
        client = host.connect()
        first = install(client, made, requirements(
            host, 'large\nbeta\n', made / 'packages', '1.txt'))
        with Remote(host, USER) as user:
            second = user.call('create', requirements=requirements(
                host, 'large\ndelta\n', made / 'packages', '2.txt'), python=python_of(made))
        same, linked = common(first, second)
        assert same
        if sharing == 'user':
            assert not linked and not shared_bytes(client, second)
        else:
            assert shared_bytes(client, second)
            assert can_clone(host.sources) or linked == same


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_a_daemon_of_ones_own_shares_as_well(made):
    with Host(*flags('uv'), uid=USER) as host:
        with Remote(host, USER) as user:
            def create(_, made, wanted):
                return user.call('create', requirements=wanted, python=python_of(made))
            first, second = two_sets(host, None, made, create)
        same, linked = common(first, second)
        assert same and (linked == same or can_clone(host.sources))
        verify(first)
        verify(second)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: what nobody else can change')
def test_what_was_tampered_with_is_not_shared(made):
    with Host(*flags('uv')) as host:
        client = host.connect()
        first = install(client, made, requirements(
            host, 'large\nbeta\n', made / 'packages', '1.txt'))
        path = files_of(first)['lib/python3.11/site-packages/large/__init__.py']
        before = path.stat()
        good = path.read_bytes()
        path.write_bytes(good.replace(b'1', b'2'))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        second = install(client, made, requirements(
            host, 'large\ndelta\n', made / 'packages', '2.txt'))
        name = str(path.relative_to(tree_of(first)))
        assert files_of(second)[name].read_bytes() == good
        same, _ = common(first, second)
        assert name not in same
        assert shared_bytes(client, second) == sum(
            files_of(second)[name].stat().st_size for name in same) > 0
        verify(second)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
@pytest.mark.skipif(landlock_version() < 2, reason='nothing but Landlock is between them')
def test_an_installer_cannot_write_where_its_layer_may_share(made):
    """Of a daemon of one's own all layers belong to whom the installer is."""
    with Host(*flags('uv'), uid=USER) as host:
        with Remote(host, USER) as user:
            first = user.call('create', requirements=requirements(
                host, 'large\n', made / 'packages', '1.txt'), python=python_of(made))
            paths = [str(path) for path in files_of(first).values()]
            directory = host.sources / 'hostile'
            directory.mkdir(mode=0o755)
            packages.sdist(directory, 'greedy', backend=f'PATHS = {paths!r}\n{WRITES_TO_SIBLINGS}')
            failure = user.fail('create', requirements=requirements(
                host, 'greedy\n', directory, '2.txt'), python=python_of(made))
        assert failure.reason == 'BUILD_FAILED', failure
        log = ''.join(path.read_text() for path in (host.state / 'logs').iterdir())
        assert 'REFUSED' in log and 'WRITTEN' not in log
