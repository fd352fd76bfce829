"""A real virtualenv: made, zipped with its links, and used by a real Python."""
import os
import pathlib
import shutil
import subprocess

import pytest
from host import CTL, IS_ROOT, Host, archive

PYTHON = '/usr/bin/python3'
PROGRAM = 'import numpy, sys; print(numpy.arange(4).sum(), sys.prefix)'


@pytest.fixture(scope='session')
def venv(tmp_path_factory):
    """A zip and a tar.gz of a virtualenv with numpy."""
    directory = tmp_path_factory.mktemp('venv')
    for path in (directory, *directory.parents[:2]):
        path.chmod(0o755)
    subprocess.run([PYTHON, '-m', 'venv', 'env'], check=True, cwd=directory)
    subprocess.run(['env/bin/python', '-m', 'pip', '--disable-pip-version-check', 'install',
                    '--quiet', '--no-cache-dir', 'numpy==2.2.6'], check=True, cwd=directory)
    subprocess.run(['zip', '-qry', 'env.zip', 'env'], check=True, cwd=directory)
    subprocess.run(['tar', '-czf', 'env.tar.gz', 'env'], check=True, cwd=directory)
    shutil.rmtree(directory / 'env')
    return directory


def run_numpy(host, venv, *prefix, name='env.zip'):
    done = subprocess.run(
        [*prefix, str(CTL), '--socket', str(host.socket), 'run', '--archive',
         f'{venv / name}#v', '--python', 'v/env/bin/python', '--', 'python', '-c', PROGRAM],
        capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    total, prefix_of = done.stdout.split()
    assert total == '6' and str(host.state) in prefix_of


@pytest.mark.parametrize('name', ['env.zip', 'env.tar.gz'])
def test_numpy_is_imported(host, venv, name):
    run_numpy(host, venv, name=name)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_numpy_is_imported_by_an_ordinary_user(host, venv):
    run_numpy(host, venv, 'setpriv', '--reuid=65534', '--regid=pyenvd', '--clear-groups')


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_numpy_is_imported_with_a_daemon_of_ones_own(venv):
    with Host(uid=65534) as host:
        run_numpy(host, venv, 'setpriv', '--reuid=65534', '--regid=65534', '--clear-groups')


def stale(tree):
    """Python files without fresh bytecode, as a new interpreter would see it."""
    program = ('import importlib.util as u, os, sys\n'
               'for at, _, names in os.walk(sys.argv[1]):\n'
               '  for name in names:\n'
               '    path = os.path.join(at, name)\n'
               '    if not name.endswith(".py"): continue\n'
               '    s = os.stat(path)\n'
               '    try: head = open(u.cache_from_source(path), "rb").read(16)\n'
               '    except OSError: head = b""\n'
               '    want = u.MAGIC_NUMBER + bytes(4) + int(s.st_mtime).to_bytes(4, "little")'
               ' + s.st_size.to_bytes(4, "little")\n'
               '    if head != want: print(path)\n')
    return subprocess.check_output([PYTHON, '-c', program, str(tree)], text=True).split('\n')[:-1]


def test_bytecode_is_made_where_it_is_missing(host, client, venv):
    work = host.sources / 'work'
    shutil.unpack_archive(venv / 'env.tar.gz', work)
    for cache in list(work.rglob('__pycache__')):
        shutil.rmtree(cache)
    # A stale one as well: the source is newer than it says.
    numpy = next(work.glob('env/lib/python*/site-packages/numpy'))
    subprocess.run([PYTHON, '-m', 'py_compile', numpy / 'version.py'], check=True)
    os.utime(numpy / 'version.py', (1_600_000_000, 1_600_000_000))
    subprocess.run(['tar', '-cf', host.sources / 'bare.tar', 'env'], check=True, cwd=work)
    shutil.rmtree(work)
    bare = archive(host.sources / 'bare.tar', 'v')
    never = pathlib.Path(client.create([bare], bytecode=2).layers[0].directory)
    made = pathlib.Path(client.create([bare]).layers[0].directory)
    assert never != made
    assert len(stale(never)) > 400
    left = stale(made)
    assert len(left) < 5, left  # what is no Python stays without
    assert not any(path.stat().st_mode & 0o222 for path in made.rglob('*.pyc'))
    manifest = subprocess.check_output(['bsdtar', '-tf', made.parent / 'manifest'], text=True)
    assert sum(line.endswith('.pyc') for line in manifest.split('\n')) > 400


def test_an_interpreter_out_of_the_archive_is_never_run_by_the_daemon(host, client):
    from archives import make_zip
    proof = host.directory / 'run' / 'proof'
    script = f'#!/bin/sh\ntouch {proof}\nexec /usr/bin/python3 "$@"\n'
    source = make_zip(host.sources / 'a.zip', [
        ('pyvenv.cfg', 0o100644, 'home = /usr/bin\n'),
        ('bin/python', 0o100755, script),
        ('lib/x.py', 0o100644, 'x = 1\n'),
    ])
    tree = pathlib.Path(client.create([archive(source, 'a')], bytecode=1).layers[0].directory)
    assert not proof.exists() and not list(tree.rglob('*.pyc'))
