"""That the packages and the index which tests of installing stand on are what they say, shown
by real pip and uv without pyenvd; and what these two say when they fail: the daemon tells its
users the kind of a failure by it, so a new version that speaks otherwise must fail here.
"""
import errno
import filecmp
import os
import pathlib
import socket
import subprocess
import tempfile

import packages
import pytest
from installers import Installer, offline, online, real_wheels
from package_index import PackageIndex

TOOLS = ['pip', 'uv']
PATIENCE = 120


@pytest.fixture(scope='module')
def python():
    """A virtualenv's of the system's Python: its pip is the one that ensurepip brings."""
    with tempfile.TemporaryDirectory() as top:
        subprocess.run(['/usr/bin/python3', '-m', 'venv', f'{top}/venv'], check=True)
        yield pathlib.Path(top, 'venv/bin/python')


@pytest.fixture(scope='module')
def directory():
    """The sample, and a few that do not install."""
    with tempfile.TemporaryDirectory() as top:
        made = pathlib.Path(top, 'packages')
        packages.sample(made)
        packages.sdist(made, 'broken', backend='import sys\n\n\ndef build_wheel(*_):\n'
                       '    print("said by the build")\n    sys.exit(3)')
        packages.setuptools_sdist(made, 'classic')
        packages.wheel(made, 'foreign', tag='cp27-cp27m-win32')
        packages.wheel(made, 'needy', requires=['nosuchpackage'])
        packages.wheel(made, 'big', files={'big.bin': os.urandom(4_000_000)})
        yield made


@pytest.fixture(params=TOOLS)
def tool(request, python, tmp_path):
    return Installer(request.param, python, tmp_path)


def index_of(directory, **fields):
    return PackageIndex(sorted(directory.iterdir()), **fields)


def run_python(tool, code, *arguments):
    return subprocess.run([tool.python, *arguments, '-c', code], check=True, text=True,
                          env={'PYTHONPATH': str(tool.site())}, stdout=subprocess.PIPE).stdout


# ---- the packages

def test_packages_are_the_same_each_time(tmp_path):
    made = [packages.sample(tmp_path / name) for name in ('one', 'two')]
    assert [path.name for path in made[0]] == [path.name for path in made[1]]
    for pair in zip(*made):
        assert filecmp.cmp(*pair, shallow=False), pair


def test_all_kinds_are_installed_from_a_directory(tool, directory):
    done = tool.install('beta\ndelta\nepsilon\nzeta\n', *offline(directory))
    assert done.returncode == 0, done.stdout
    said = run_python(tool, 'import alpha, beta, delta, delta_pure, epsilon, zeta\n'
                      'print(alpha.VERSION, delta_pure.PURE)')
    assert said.split() == ['1.1', 'True']
    for name in 'beta', 'delta', 'epsilon-script', 'zeta':
        script = tool.prefix / 'bin' / name
        done = subprocess.run([script], env={'PYTHONPATH': str(tool.site())}, check=True,
                              text=True, stdout=subprocess.PIPE)
        assert done.stdout == f'{name.split("-")[0]} 1.0\n'
    assert (tool.prefix / 'share/epsilon/notes.txt').read_text() == 'notes\n'
    assert (tool.site() / 'epsilon/table.csv').exists()
    assert list(tool.prefix.glob('include/**/epsilon.h'))


def test_an_sdist_is_built_by_setuptools_of_the_same_directory(tool, directory, tmp_path):
    made = tmp_path / 'packages'
    made.mkdir()
    packages.setuptools_sdist(made, 'classic')
    packages.add_build_tools(made, real_wheels())
    done = tool.install('classic\n', *offline(made))
    assert done.returncode == 0, done.stdout
    assert run_python(tool, 'import classic; classic.main()') == 'classic 1.0\n'


def test_a_record_that_lies_is_believed(tool, tmp_path):
    """So nobody may go by it: the tree is what there is."""
    packages.lying_wheel(tmp_path, 'lying')
    done = tool.install('lying\n', *offline(tmp_path))
    assert done.returncode == 0, done.stdout
    assert (tool.site() / 'lying/__init__.py').exists()
    assert not (tool.site() / 'lying/missing.py').exists()


# ---- the index

@pytest.mark.parametrize('login', [None, ('ann', 'sesame')])
def test_the_index_counts_what_it_is_asked(tool, directory, login):
    with index_of(directory, login=login) as index:
        done = tool.install('beta\nzeta\n', *online(index))
        assert done.returncode == 0, done.stdout
        assert index.asked('/simple/beta/') and index.asked('/files/zeta-*')
        assert not index.asked('/simple/gamma/')
        before = index.asked()
        done = tool.install('beta\n', *offline(directory))
        assert done.returncode == 0 and index.asked() == before
    if login:
        assert 'sesame' not in done.stdout


def test_a_passing_failure_passes(tool, directory):
    with index_of(directory) as index:
        index.fail('/simple/alpha/', 503, times=1)
        done = tool.install('alpha\n', *online(index), retries=2)
        assert done.returncode == 0, done.stdout
        assert index.asked('/simple/alpha/') == 2


def test_a_yanked_version_is_taken_only_by_its_number(tool, directory):
    with index_of(directory, yanked={'gamma-1.0-py3-none-any.whl': 'it was bad'}) as index:
        assert tool.install('gamma\n', *online(index)).returncode == 1
        assert tool.install('gamma==1.0\n', *online(index)).returncode == 0


@pytest.mark.parametrize('how', ['cut', 'hang', 404, 500])
def test_a_wheel_that_does_not_come_whole_is_not_installed(tool, directory, how):
    with index_of(directory) as index:
        index.fail('/files/*', how)
        done = tool.install('big\n', *online(index), timeout=1)
        assert done.returncode in (1, 2) and index.asked('/files/*')
        assert not list(tool.prefix.glob('**/big.bin'))


# ---- what they say

ZEROS = 'alpha==1.0 --hash=sha256:' + '0' * 64 + '\n'
NO_VERSION = 'ERROR: Could not find a version that satisfies the requirement '
NO_SOLUTION = 'error: No solution found when resolving dependencies'
FULL = 'No space left on device'


@pytest.mark.parametrize('requirements, pip, uv', [
    ('nosuchpackage\n', NO_VERSION + 'nosuchpackage (from versions: none)',
     'Because nosuchpackage was not found in the provided package locations'),
    ('needy\n', NO_VERSION + 'nosuchpackage (from needy) (from versions: none)',
     'Because nosuchpackage was not found in the provided package locations'),
    ('alpha==9.9\n', NO_VERSION + 'alpha==9.9 (from versions: 1.0, 1.1, 2.0)',
     'Because there is no version of alpha==9.9'),
    ('beta\ngamma\n', 'ERROR: ResolutionImpossible: ', NO_SOLUTION),
    ('future\n', "ERROR: Package 'future' requires a different Python: ",
     'Because future==1.0 requires Python >=3.99'),
    ('foreign\n', NO_VERSION + 'foreign (from versions: none)',
     'Because foreign==1.0 has no wheels with a matching Python implementation tag'),
    (ZEROS, 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.',
     '  cause: Hash mismatch for `alpha==1.0`'),
    ('broken\n', 'error: metadata-generation-failed', 'error: Failed to build `broken==1.0`'),
    ('classic\n', '× pip subprocess to install build dependencies did not run successfully.',
     '  cause: Failed to resolve requirements from `build-system.requires`'),
    ('alpha=>1\n', "ERROR: Invalid requirement: 'alpha=>1'", "error: Couldn't parse requirement"),
], ids=['no package', 'no dependency', 'no version', 'conflict', 'other python', 'other platform',
        'hash', 'build', 'build requirement', 'syntax'])
def test_what_they_say_of_a_directory(tool, directory, requirements, pip, uv):
    done = tool.install(requirements, *offline(directory))
    assert done.returncode in (1, 2)
    assert {'pip': pip, 'uv': uv}[tool.name] in done.stdout, done.stdout


def test_a_build_s_own_words_are_quoted_and_indented(tool, directory):
    done = tool.install('broken\n', *offline(directory))
    said = [line for line in done.stdout.splitlines() if 'said by the build' in line]
    assert said and all(line.startswith('      ') for line in said), done.stdout


def pip_log(tool):
    path = tool.directory / 'log'
    return path.read_text(encoding='utf-8')


def logged(tool):
    """pip keeps silent about pages that it cannot get, but for its log."""
    return ['--log', tool.directory / 'log'] if tool.name == 'pip' else []


@pytest.mark.parametrize('how, pip, uv', [
    (500, "ResponseError('too many 500 error responses')",
     'HTTP status server error (500 Internal Server Error)'),
    (503, "ResponseError('too many 503 error responses')",
     'HTTP status server error (503 Service Unavailable)'),
    (401, '401 Client Error: Unauthorized', '(401 Unauthorized)'),
    (403, '403 Client Error: Forbidden', 'returned a 403 Forbidden error'),
    ('hang', 'Read timed out. (read timeout=1.0)', '  cause: operation timed out'),
], ids=str)
def test_what_they_say_of_an_index(tool, directory, how, pip, uv):
    with index_of(directory) as index:
        index.fail('/simple/*', how)
        done = tool.install('alpha\n', *online(index), *logged(tool), timeout=1)
    assert done.returncode in (1, 2)
    if tool.name == 'uv':
        assert uv in done.stdout, done.stdout
    else:
        assert NO_VERSION + 'alpha (from versions: none)' in done.stdout
        lines = [line for line in pip_log(tool).splitlines() if 'Could not fetch URL' in line]
        assert lines and pip in lines[0], lines


def test_what_they_say_where_nobody_listens(tool):
    with socket.socket() as it:
        it.bind(('127.0.0.1', 0))
        url = f'http://127.0.0.1:{it.getsockname()[1]}/simple/'
        done = tool.install('alpha\n', '--index-url', url, *logged(tool))
    assert 'Connection refused' in (pip_log(tool) if tool.name == 'pip' else done.stdout)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may leave the network')
def test_what_they_say_without_a_network(tool):
    done = tool.install('alpha\n', '--index-url', 'http://127.0.0.1:81/simple/', *logged(tool),
                        prefix_words=['unshare', '--net'])
    assert 'Network is unreachable' in (pip_log(tool) if tool.name == 'pip' else done.stdout)


def test_a_wrong_hash_of_the_index_is_refused(tool, directory):
    with index_of(directory, wrong_hash=['alpha-1.0-py3-none-any.whl']) as index:
        done = tool.install('alpha==1.0\n', *online(index))
        assert done.returncode == 1 and index.asked('/files/alpha-1.0-*')
    words = {'pip': 'DO NOT MATCH THE HASHES', 'uv': 'Hash mismatch for `alpha==1.0`'}
    assert words[tool.name] in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount')
def test_what_they_say_on_a_full_disk(tool, directory):
    tool.prefix.mkdir()
    mount = f'mount -t tmpfs -o size=1m none {tool.prefix} && exec "$@"'
    done = tool.install('big\n', *offline(directory),
                        prefix_words=['unshare', '--mount', 'sh', '-c', mount, 'sh'])
    assert done.returncode in (1, 2)
    lines = [line for line in done.stdout.splitlines() if FULL in line]
    assert lines and lines[0].startswith(('ERROR: ', '  cause: ')), done.stdout
    assert os.strerror(errno.ENOSPC) == FULL
