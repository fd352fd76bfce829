"""pyenvctl hash: the dependency hash without a daemon, and the daemon's word for it."""
import json
import os
import shutil
import signal
import subprocess

import packages
import pytest
from archives import make_sample, make_zip
from host import CTL, IS_ROOT, PATIENCE, WORKER, Host, wait_for
from installers import UV

USER = 65534
NOWHERE = '/nonexistent/pyenvd.sock'
SHIM = '#!/bin/sh\nexec /usr/bin/python3 "$@"\n'


def command(*arguments):
    return [str(CTL), '--socket', NOWHERE, '--json', 'hash', '--worker-program', str(WORKER),
            *map(str, arguments)]


def hash_of(*arguments, check=True, prefix=(), **options):
    done = subprocess.run([*prefix, *command(*arguments)], capture_output=True, text=True,
                          timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False, **options)
    assert not check or done.returncode == 0, done.stderr
    return json.loads(done.stdout) if check else done


def rows(components):
    """The values of variables are keyed, each daemon with its own key."""
    return [(row['kind'], row['name'], row['kind'] == 'variable' or row['value'])
            for row in components]


def expect_equal(host, *arguments, **options):
    """What the daemon says of the same; returns the components."""
    found = hash_of(*arguments, **options)
    with_daemon = [it for it in arguments if it not in ('--installer', 'uv', 'pip')]
    made = json.loads(host.ctl('--json', 'create', *with_daemon, **options).stdout)
    assert found['dependency_hash'] == made['dependency_hash']
    shown = json.loads(host.ctl('--json', 'show', made['dependency_hash']).stdout)
    assert rows(found['components']) == rows(shown['environment']['components'])
    return {(row['kind'], row['name']): row['value'] for row in found['components']}


@pytest.fixture
def sources(host):
    """Of all that a request can name."""
    make_sample(host.sources / 'a.zip')
    make_sample(host.sources / 'b.zip', salt='b')
    make_zip(host.sources / 'env.zip', [('bin/python3', 0o100755, SHIM)])
    make_zip(host.sources / 'lib.whl', [('inside.py', 0o100644, 'x = 1\n')])
    (host.sources / 'f.py').write_text('x = 1\n')
    (host.sources / 'g.py').write_text('x = 2\n')
    (host.sources / 'empty.py').write_text('')
    package = host.sources / 'package'
    (package / 'sub').mkdir(parents=True)
    (package / '__init__.py').write_text('')
    (package / 'sub' / 'm.py').write_text('y = 1\n')
    (package / 'link').symlink_to('sub/m.py')
    tools = host.sources / 'tools'
    tools.mkdir()
    (tools / 'mypython').write_text(SHIM)
    (tools / 'mypython').chmod(0o755)
    (host.sources / 'config.yaml').write_text(f'''python:
  archives: {host.sources}/a.zip#a,{host.sources}/b.zip#models/b
  files: {host.sources}/f.py,{host.sources}/package
  executable: /usr/bin/python3
  job-options: "A:1,B:2"
''')
    return host.sources


REQUESTS = {
    'nothing': [],
    'an archive': ['-a', 'a.zip'],
    'several, with targets': ['-a', 'b.zip#models/b', '-a', 'a.zip#a', '--archive-copy', 'a.zip#c'],
    'bytecode': ['-a', 'a.zip', '-f', 'lib.whl#lib.zip', '--bytecode', 'never'],
    'python files': ['-f', 'f.py', '-f', 'g.py#renamed.py', '-f', 'lib.whl', '-f', 'lib.whl#x.zip'],
    'an empty one': ['-f', 'empty.py'],
    'a directory': ['-f', 'package/'],
    'a python': ['-p', '/usr/bin/python3'],
    'a python from PATH': ['-p', 'mypython'],
    'a python in an archive': ['-a', 'env.zip#v', '-p', 'v/bin/python3'],
    'variables': ['-e', 'A=1', '-e', 'B=', '-e', 'A=2', '--python-path', '/opt/x:/opt/y'],
    'a worker': ['--worker-command', '/opt/run', '-f', 'f.py'],
    'a container': ['--docker', 'img:1', '-f', 'f.py', '-a', 'a.zip'],
    'a configuration of Flink': ['--flink-conf', 'config.yaml'],
    'names that do not matter': ['-f', 'f.py', '--label', 'x', '--request-id', 'r'],
}


@pytest.mark.parametrize('request_', REQUESTS.values(), ids=REQUESTS)
def test_it_is_what_the_daemon_says(host, sources, request_):
    path = f'{sources}/tools:{os.environ["PATH"]}'
    expect_equal(host, *request_, cwd=sources, env={**os.environ, 'PATH': path})


def test_the_order_of_archives_is_none_and_that_of_files_is_one(sources):
    def of(*arguments):
        return hash_of(*arguments, cwd=sources)['dependency_hash']
    assert of('-a', 'a.zip', '-a', 'b.zip') == of('-a', 'b.zip', '-a', 'a.zip')
    assert of('-f', 'f.py', '-f', 'g.py') != of('-f', 'g.py', '-f', 'f.py')
    assert of('-f', 'f.py') != of('-f', 'g.py#f.py')


def test_it_says_what_it_was_made_from_and_no_secret(sources):
    text = subprocess.run(
        [CTL, 'hash', '--worker-program', WORKER, '-a', 'a.zip#v', '-e', 'TOKEN=sesame'],
        cwd=sources, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    lines = [line.split() for line in text.splitlines()]
    assert [line[0] for line in lines] == ['dependency', 'archive:', 'variable:',
                                           'archive-content:', 'bytecode:']
    digest = subprocess.check_output(['sha256sum', sources / 'a.zip'], text=True).split()[0]
    assert lines[3][1:] == ['v', '=', digest] and 'sesame' not in text


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')
def test_everybody_gets_the_same(host, sources):
    arguments = ['-a', 'a.zip', '-f', 'package', '-p', '/usr/bin/python3']
    root = expect_equal(host, *arguments, cwd=sources)
    for prefix in (['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups'],
                   ['setpriv', '--bounding-set=-all', '--inh-caps=-all']):
        other = hash_of(*arguments, cwd=sources, prefix=prefix)
        assert {(it['kind'], it['name']): it['value'] for it in other['components']} == root


# ---- requirements

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Packages, and a virtualenv that has a pip: as a directory and as an archive."""
    directory = tmp_path_factory.mktemp('made')
    packages.sample(directory / 'packages')
    subprocess.run(['/usr/bin/python3', '-m', 'venv', directory / 'venv'], check=True)
    for path in [directory, *directory.parents][:3]:
        path.chmod(0o755)
    shutil.make_archive(directory / 'venv', 'gztar', directory / 'venv')
    return directory


FILES = {
    'requirements.txt': '# ours\nalpha==1.0 \\\n\nbeta\n-r more/more.txt\n-c constraints.txt\n',
    'more/more.txt': 'delta ; python_version > "3"\nbeta\n',
    'constraints.txt': 'delta<9\n',
    'pip.txt': '--prefer-binary\nalpha==1.0\n',
}


@pytest.fixture
def files(made, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    for path in [tmp_path, *tmp_path.parents][:3]:
        path.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize('installer', ['uv', 'pip'])
@pytest.mark.parametrize('name', ['requirements.txt', 'pip.txt'])
@pytest.mark.parametrize('python', ['of the host', 'in an archive'])
def test_requirements_as_the_daemon_installs_them(made, files, installer, name, python):
    environment = ['-p', made / 'venv/bin/python'] if python == 'of the host' else \
        ['-a', f'{made}/venv.tar.gz#venv', '-p', 'venv/bin/python']
    with Host('--installer', installer, '--uv', str(UV)) as host:
        found = expect_equal(host, '--installer', installer, *environment, '-r',
                             f'{files}/{name}#{made}/packages')
    assert found[('installer', '')] == ('pip' if name == 'pip.txt' else installer)
    named = [name for kind, name in found if kind == 'requirement']
    assert named == (['alpha==1.0'] if name == 'pip.txt' else
                     ['alpha==1.0', 'beta', 'delta ; python_version > "3"'])


def test_what_of_requirements_matters(made, files):
    def of(*more, name='requirements.txt', directory=made / 'packages', python='venv/bin/python'):
        wanted = f'{files}/{name}' + (f'#{directory}' if directory else '')
        return hash_of('--installer', 'uv', '-p', made / python, '-r', wanted,
                       *more)['dependency_hash']
    first = of()
    assert of('--label', 'x') == first
    others = {of('--bytecode', 'never'), of(directory=None), of(name='pip.txt'),
              of('--installer', 'pip'), of(python='venv/bin/python3')}
    (files / 'more/more.txt').write_text('delta\n')
    others.add(of())
    few = files / 'few'
    shutil.copytree(made / 'packages', few)
    assert of(directory=few) in others
    next(few.glob('alpha-2*')).unlink()
    others.add(of(directory=few))
    assert first not in others and len(others) == 7


def test_nothing_stays_of_an_archive_that_was_looked_into(made, files, tmp_path):
    place = tmp_path / 'temporary'
    place.mkdir()
    arguments = ['-a', f'{made}/venv.tar.gz#venv', '-r', files / 'requirements.txt']
    options = {'env': {**os.environ, 'TMPDIR': str(place)}}
    hash_of(*arguments, '-p', 'venv/bin/python', **options)
    assert os.listdir(place) == []
    failed = hash_of(*arguments, '-p', 'venv/bin/nothing', check=False, **options)
    assert failed.returncode == 1 and 'INTERPRETER_NOT_FOUND' in failed.stderr
    assert os.listdir(place) == []


def test_an_interrupted_one_cleans_up(files, tmp_path):
    """While a Python out of an archive is asked, and does not answer."""
    place, asked = tmp_path / 'temporary', tmp_path / 'asked'
    place.mkdir()
    os.mkfifo(asked)
    make_zip(tmp_path / 'slow.zip', [('python', 0o100755, f'#!/bin/sh\ncat {asked}\n')])
    process = subprocess.Popen(command('-a', f'{tmp_path}/slow.zip#v', '-p', 'v/python', '-r',
                                       files / 'requirements.txt'),
                               env={**os.environ, 'TMPDIR': str(place)}, start_new_session=True)
    with open(asked, 'w', encoding='ascii'):  # somebody reads it: it is being asked
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == -signal.SIGTERM
    assert os.listdir(place) == []


# ---- what cannot be known is said, as the daemon says it

REFUSED = {
    'no such archive': ['-a', 'missing.zip'],
    'a directory as an archive': ['-a', 'package'],
    'a fifo': ['-f', 'fifo'],
    'targets in the way': ['-a', 'a.zip#x', '-a', 'b.zip#x/y'],
    'a target that climbs': ['-a', 'a.zip#../x'],
    'no such python': ['-p', 'python-that-is-not-there'],
    'a python that may not be executed': ['-p', f'{os.sep}etc/passwd'],
    'no Python': ['-p', '/usr/bin/true'],
    'a python in no archive': ['-a', 'a.zip#a', '-p', 'v/bin/python'],
    'a directory for a container': ['--docker', 'img', '-f', 'package'],
    'requirements without a python': ['-r', 'f.py'],
    'requirements that are none': ['-r', 'f.py', '-p', '/usr/bin/python3'],
    'no such packages': ['-r', 'empty.py#missing', '-p', '/usr/bin/python3'],
    'paths of another host': ['--flink-conf', 'hdfs.yaml'],
}


@pytest.mark.parametrize('request_', REFUSED.values(), ids=REFUSED)
def test_a_request_that_the_daemon_refuses_has_no_hash(host, sources, request_):
    os.mkfifo(sources / 'fifo')
    (sources / 'hdfs.yaml').write_text('python.files: hdfs:///x.py\n')
    failed = hash_of(*request_, check=False, cwd=sources)
    refused = host.ctl('--json', 'create', *request_, check=False, cwd=sources)
    assert failed.returncode == refused.returncode == 1 and not failed.stdout
    here, there = (json.loads(it.stderr)['error'] for it in (failed, refused))
    assert here['reason'] == there['reason'] and here['message'] == there['message']


def test_without_the_program_that_reads_files_it_says_so(sources):
    done = subprocess.run([CTL, 'hash', '--worker-program', '/nonexistent/worker', '-a', 'a.zip'],
                          cwd=sources, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert "cannot start the worker '/nonexistent/worker'" in done.stderr


def test_what_is_wrong_in_the_command_line(sources):
    done = hash_of('--installer', 'conda', check=False)
    assert done.returncode == 2 and 'neither uv nor pip' in done.stderr
    name = b'x\xff.py'
    with open(os.path.join(os.fsencode(sources), name), 'wb'):
        done = subprocess.run([*command(), '-f', name], cwd=sources, capture_output=True,
                              check=False)
    assert done.returncode == 1 and b'UTF-8' in done.stderr


def test_it_needs_no_daemon_and_waits_for_none(sources):
    assert not os.path.exists(NOWHERE)
    wait_for(lambda: hash_of(cwd=sources), 'a hash')
