"""Virtualenvs that were made elsewhere: their scripts start the layer's interpreter."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import zipfile

import pytest
from archives import make_zip
from host import CTL, archive

PYTHON = '/usr/bin/python3'
PROGRAM = '''import sys

def main():
    print(sys.prefix, *sys.argv[1:], sep='|')
'''
INFO = 'tool-1.dist-info'
QUOTED = "it's my venv"
DEEP = 'l' * 240 + '/venv'


def make_wheel(path):
    """One with a console script, and a script that it brings, for any Python."""
    with zipfile.ZipFile(path, 'w') as wheel:
        wheel.writestr('tool.py', PROGRAM)
        brought = zipfile.ZipInfo('tool-1.data/scripts/brought')
        brought.external_attr = 0o100755 << 16
        wheel.writestr(brought, '#!python -E\nimport tool\ntool.main()\n')
        wheel.writestr(f'{INFO}/METADATA', 'Metadata-Version: 2.1\nName: tool\nVersion: 1\n')
        wheel.writestr(f'{INFO}/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\n'
                       'Root-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr(f'{INFO}/entry_points.txt', '[console_scripts]\nfoo = tool:main\n')
        wheel.writestr(f'{INFO}/RECORD', '')
    return path


@pytest.fixture(scope='session')
def build(tmp_path_factory):
    """Archives of virtualenvs that are at their place no more: plain/venv, one whose path
    has a blank and a quote, which takes pip's other form of scripts, and one far below."""
    directory = tmp_path_factory.mktemp('elsewhere')
    for path in (directory, *directory.parents[:2]):
        path.chmod(0o755)
    wheel = make_wheel(directory / 'tool-1-py3-none-any.whl')
    pip = None
    for name, root in (('plain', 'venv'), ('quoted', QUOTED), ('deep', DEEP)):
        top = directory / name
        top.mkdir()
        subprocess.run([PYTHON, '-m', 'venv', *(['--without-pip'] if pip else []), root],
                       check=True, cwd=top)
        pip = pip or top / root / 'bin' / 'pip'
        subprocess.run([pip, '--disable-pip-version-check', '--python',
                        top / root / 'bin' / 'python', 'install', '--quiet', '--no-index',
                        '--no-deps', wheel], check=True)
        assert str(top) in (top / root / 'bin' / 'foo').read_text()
        subprocess.run(['zip', '-qry', f'../{name}.zip', '.'], check=True, cwd=top)
        subprocess.run(['tar', '-czf', f'../{name}.tar.gz', '.'], check=True, cwd=top)
    for name in ('plain', 'quoted', 'deep'):
        shutil.rmtree(directory / name)
    return directory


def run(host, source, *command):
    """The fields that one line of output has."""
    done = subprocess.run([str(CTL), '--socket', str(host.socket), 'run', '--archive',
                           f'{source}#v', '--', *command],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip('\n').split('|')


def tree_of(client, source):
    return pathlib.Path(client.create([archive(source, 'v')]).layers[0].directory)


@pytest.mark.parametrize('suffix', ['zip', 'tar.gz'])
@pytest.mark.parametrize('name, root', [('plain', 'venv'), ('quoted', QUOTED), ('deep', DEEP)],
                         ids=['plain', 'quoted', 'deep'])
def test_scripts_start_the_interpreter_of_the_layer(host, client, build, name, root, suffix):
    source = build / f'{name}.{suffix}'
    expected = str(tree_of(client, source) / root)
    # What a wheel brings, pip starts by a plain line, which cannot have a blank.
    for script in ('foo', 'brought') if ' ' not in root else ('foo',):
        assert run(host, source, f'v/{root}/bin/{script}', 'a b', '$c') == \
            [expected, 'a b', '$c'], script
    if name == 'plain':
        assert f'from {expected}/' in run(host, source, 'v/venv/bin/pip', '--version')[0]


@pytest.mark.parametrize('name, root', [('plain', 'venv'), ('quoted', QUOTED)])
def test_activate_leads_to_the_layer(host, client, build, name, root):
    source = build / f'{name}.zip'
    expected = str(tree_of(client, source) / root)
    program = f'. "v/{root}/bin/activate" && echo "$VIRTUAL_ENV" && command -v foo && foo'
    assert run(host, source, 'sh', '-c', program)[0].split('\n') == \
        [expected, f'{expected}/bin/foo', expected]


def test_a_private_copy_starts_the_interpreter_of_the_layer(host, client, build):
    source = build / 'plain.zip'
    tree = tree_of(client, source)
    lease = client.create([archive(source, 'v', private_copy=True)])
    foo = pathlib.Path(lease.working_directory) / 'v' / 'venv' / 'bin' / 'foo'
    assert subprocess.check_output([foo], text=True) == f'{tree}/venv\n'


def unescape(name):
    return re.sub(r'\\(\d{3})', lambda match: chr(int(match[1], 8)), name)


def expect_manifest_holds(tree):
    """Every file is as the manifest says; how many there are."""
    count = 0
    for line in (tree.parent / 'manifest').read_text().split('\n'):
        if ' type=file ' not in line:
            continue
        name, *rest = line.split(' ')
        says = dict(word.split('=') for word in rest)
        path = tree / unescape(name)
        content, status = path.read_bytes(), path.stat()
        assert hashlib.sha256(content).hexdigest() == says['sha256digest'], name
        assert len(content) == int(says['size']), name
        assert status.st_mtime == float(says['time']), name
        assert status.st_mode & 0o7777 == int(says['mode'], 8), name
        count += 1
    return count


def test_the_manifest_tells_what_is_there(client, build):
    for name in ('plain.zip', 'quoted.tar.gz'):
        tree = tree_of(client, build / name)
        assert expect_manifest_holds(tree) > 10
        assert not list(tree.rglob('bin/foo'))[0].stat().st_mode & 0o222
        assert str(build) not in list(tree.rglob('bin/foo'))[0].read_text()


def test_what_leads_out_of_the_archive_is_neither_read_nor_written(host, client):
    outside = host.sources / 'outside'
    outside.write_text('#!/build/venv/bin/python\n')
    source = make_zip(host.sources / 'a.zip', [
        ('pyvenv.cfg', 0o100644, 'home = /usr/bin\n'),
        ('bin/python', 0o120777, PYTHON),
        ('bin/x', 0o120777, str(outside)),
        ('bin/activate', 0o120777, str(outside)),
        ('bin/y', 0o100755, '#!/build/venv/bin/python\n'),
        ('b/bin', 0o120777, '../bin'),
        ('b/pyvenv.cfg', 0o120777, '../pyvenv.cfg'),
    ])
    tree = tree_of(client, source)
    assert outside.read_text() == '#!/build/venv/bin/python\n'
    assert os.readlink(tree / 'bin' / 'x') == str(outside)
    assert (tree / 'bin' / 'y').read_text() == f'#!{tree}/bin/python\n'
    assert expect_manifest_holds(tree) == 2
