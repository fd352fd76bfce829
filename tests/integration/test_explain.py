"""ExplainEnvironment: whether a create would find it prepared; if not, what differs, in words."""
import json
import os
import pathlib
import shutil
import subprocess

import grpc
import packages
import pyenvd_pb2 as pb
import pytest
from archives import make_sample, make_zip
from host import IS_ROOT, PATIENCE, WORKER, CTL, Host, archive, digest_of, failure_of, wait_for
from installers import UV
from remote import Remote
from test_ctl_upload import elsewhere

USER, OTHER = 65534, 65533
ANSWER = "#!/bin/sh\nprintf '\\npyenvd:cpython|%s|cpython-3|linux-x86_64|23.0\\n'\n"
asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')


def explain(client, archives=(), timeout=PATIENCE, **fields):
    request = pb.CreateEnvironmentRequest(archives=archives, **fields)
    return client.environments.ExplainEnvironment(
        pb.ExplainEnvironmentRequest(request=request), timeout=timeout)


def texts(response):
    return [difference.text for difference in response.differences]


def python_file(path):
    return pb.PythonFile(path=str(path))


@pytest.fixture
def sources(host):
    make_sample(host.sources / 'a.zip')
    make_sample(host.sources / 'b.zip', salt='b')
    (host.sources / 'f.py').write_text('x = 1\n')
    (host.sources / 'g.py').write_text('x = 2\n')
    return host.sources



# ---- whether it is there

def test_before_and_after_a_create(host, client, sources):
    fields = {'archives': [archive(sources / 'a.zip', 'a')],
              'python_files': [python_file(sources / 'f.py')], 'variables': {'A': '1'}}
    before = host.snapshot()
    first = explain(client, **fields)
    assert not first.known and not first.ready and not first.HasField('nearest')
    assert first.missing == [str(sources / 'a.zip'), str(sources / 'f.py')]
    assert host.snapshot() == before and client.status().layers == 0 and not client.leases()
    made = client.create(**fields)
    second = explain(client, **fields)
    assert second.known and second.ready and not second.missing and not second.differences
    assert first.dependency_hash == second.dependency_hash == made.dependency_hash
    shown = client.admin.Show(pb.ShowRequest(id=made.dependency_hash)).environment
    assert list(second.components) == list(shown.components)
    uses = shown.uses
    explain(client, **fields)
    assert client.admin.Show(pb.ShowRequest(id=made.dependency_hash)).environment.uses == uses
    assert len(client.leases()) == 1


def test_what_was_collected_is_forgotten(host, client, sources):
    fields = {'archives': [archive(sources / 'a.zip', 'a')]}
    client.release(client.create(**fields).lease_id)
    client.collect()
    wait_for(lambda: not client.layers(), 'the layer to be gone')
    gone = explain(client, **fields)
    assert not gone.known and gone.missing == [str(sources / 'a.zip')]


def test_layers_that_were_not_used_together_before(client, sources):
    a, b = archive(sources / 'a.zip', 'a'), archive(sources / 'b.zip', 'b')
    client.create([a])
    only = client.create([b])
    both = explain(client, [a, b])
    assert both.ready and not both.known and not both.missing
    # As near as the other, but used later.
    assert both.nearest.dependency_hash == only.dependency_hash
    assert texts(both) == ["archive 'a' only here"]


def test_without_anything_in_common_there_is_no_nearest(client, sources):
    client.create(variables={'A': '1'})
    alone = explain(client, variables={'B': '1'})
    assert not alone.HasField('nearest') and not alone.differences and alone.ready


@asks_for_root
def test_what_was_made_for_one_user_alone_is_not_ready_for_all(sources, host):
    fields = {'archives': [archive(sources / 'a.zip', 'a')]}
    client = host.connect()
    client.create(**fields)
    assert host.stop() == 0
    host.start('--sharing', 'all')
    assert explain(client, **fields).known and not explain(client, **fields).ready


# ---- what differs

def test_each_kind_of_difference_has_its_words(host, client, sources):
    python = host.sources / 'python'
    python.write_text(ANSWER % '3.11.2')
    python.chmod(0o755)
    known = {'archives': [archive(sources / 'a.zip', 'venv'), archive(sources / 'b.zip', 'm')],
             'python_files': [python_file(sources / 'f.py')], 'python': str(python),
             'python_path': '/opt/x', 'variables': {'FOO': 'sesame', 'OLD': '1'}}
    made = client.create(**known)
    python.write_text(ANSWER % '3.12.1')
    response = explain(
        client, [archive(sources / 'b.zip', 'venv'), archive(sources / 'b.zip', 'm')],
        python_files=[python_file(sources / 'f.py'), python_file(sources / 'g.py')],
        python=str(python), python_path='/opt/y', variables={'FOO': 'tahini', 'NEW': '1'},
        docker_worker=pb.DockerWorker(container_image='img:1'))
    here, there = (digest_of((sources / name).read_bytes())[:12] for name in ('b.zip', 'a.zip'))
    assert response.nearest.dependency_hash == made.dependency_hash
    assert texts(response) == [
        f"archive 'venv' has other content (sha256 {here}… here, {there}… there)",
        "python file 'g.py' only here",
        'interpreter: cpython 3.12.1 here, cpython 3.11.2 there',
        "python path: '/opt/y' here, '/opt/x' there",
        'variable FOO has another value',
        'variable NEW only here',
        'variable OLD only there',
        "workers: containers of the image 'img:1' here, processes of the default command there",
    ]
    assert [(it.kind, it.name) for it in response.differences][:2] == [
        ('archive', 'venv'), ('python-file', 'g.py')]
    whole = str(response) + host.log.read_text()
    assert 'sesame' not in whole and 'tahini' not in whole
    for path in host.state.glob('index.db*'):
        assert b'sesame' not in path.read_bytes() and b'tahini' not in path.read_bytes()


def test_the_order_of_python_files(client, sources):
    files = [python_file(sources / 'f.py'), python_file(sources / 'g.py')]
    client.create(python_files=files)
    assert texts(explain(client, python_files=files[::-1])) == [
        'python files are in another order']


def test_bytecode(client, sources):
    client.create([archive(sources / 'a.zip', 'a')])
    response = explain(client, [archive(sources / 'a.zip', 'a')], bytecode=pb.BYTECODE_NEVER)
    assert texts(response) == [
        "archive 'a' compiled otherwise (bytecode: never here, virtualenvs there)"]
    assert response.missing


def test_the_nearest_has_most_in_common(client, sources):
    near = client.create([archive(sources / 'a.zip', 'a')], variables={'A': '1', 'B': '2'})
    client.create([archive(sources / 'b.zip', 'a')], variables={'A': '1'})
    response = explain(
        client, [archive(sources / 'a.zip', 'a')], variables={'A': '1', 'B': '3'})
    assert response.nearest.dependency_hash == near.dependency_hash
    assert texts(response) == ['variable B has another value']


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


def requirements(host, made, text, name='requirements.txt'):
    path = host.sources / name
    path.write_text(text)
    return pb.Requirements(path=str(path), package_directory=str(made / 'packages'))


def test_requirements_are_told_by_line(made):
    with Host('--uv', str(UV)) as host:
        client = host.connect()
        fields = {'python': str(made / 'venv/bin/python')}
        wanted = requirements(host, made, 'alpha==1.0\ndelta\n')
        missing = explain(client, requirements=wanted, **fields)
        assert missing.missing == [wanted.path] and not client.layers()
        created = client.create(requirements=wanted, **fields)
        known = explain(client, requirements=wanted, **fields)
        assert known.known and known.ready
        assert known.dependency_hash == missing.dependency_hash == created.dependency_hash

        def differences(text):
            return texts(explain(client, requirements=requirements(host, made, text, 'other.txt'),
                                 **fields))
        assert differences('alpha==1.1 ; python_version > "3"\ndelta\n') == [
            'requirements differ: +alpha==1.1 ; python_version > "3", -alpha==1.0']
        assert differences('delta\nalpha==1.0\n') == [
            'requirements name the same, but their order, options, constraints, hashes or '
            'packages differ']
        assert differences('--prefer-binary\nalpha==1.0\ndelta\n')[0].startswith(
            'requirements name the same')
        assert texts(explain(client, **fields)) == ['requirements only there']
        host.flags = (*host.flags, '--installer', 'pip')
        host.restart()
        assert texts(explain(client, requirements=wanted, **fields)) == [
            'requirements are the same, installed by pip here, by uv there']


def test_credentials_of_requirements_go_nowhere(made):
    with Host('--uv', str(UV)) as host:
        client = host.connect()
        fields = {'python': str(made / 'venv/bin/python')}
        client.create(requirements=requirements(host, made, 'alpha==1.0\n'), **fields)
        text = '--index-url https://ann:sesame@127.0.0.1:1/\nbeta @ https://ann:sesame@h/b.zip\n'
        wanted = requirements(host, made, text, 'secret.txt')
        wanted.package_directory = ''
        response = explain(client, requirements=wanted, **fields)
        assert texts(response) == ['requirements differ: +beta @ …, -alpha==1.0']
        failure = client.fail_to_create(requirements=wanted, **fields)
        assert 'sesame' not in str(response) + failure.message + host.log.read_text()
        for path in host.state.glob('index.db*'):
            assert b'sesame' not in path.read_bytes()


def test_requirements_for_a_python_in_an_archive_that_is_not_there(made):
    with Host('--uv', str(UV)) as host:
        client = host.connect()
        venv = archive(made / 'venv.tar.gz', 'venv')
        fields = {'archives': [venv], 'python': 'venv/bin/python',
                  'requirements': requirements(host, made, 'alpha==1.0\n')}
        response = explain(client, **fields)
        assert not response.dependency_hash and not response.ready and not response.known
        assert response.missing == [venv.path, fields['requirements'].path]
        assert 'it depends on a Python' in host.ctl(
            'explain', '-a', f'{venv.path}#venv', '-p', 'venv/bin/python', '-r',
            f"{fields['requirements'].path}#{made}/packages").stdout
        client.create([venv])
        there = explain(client, **fields)
        assert there.missing == [fields['requirements'].path] and there.dependency_hash
        made_ = client.create(**fields)
        ready = explain(client, **fields)
        assert ready.known and ready.ready
        assert ready.dependency_hash == there.dependency_hash == made_.dependency_hash


# ---- several users

@asks_for_root
def test_users_hear_of_what_they_may_use(host, client, sources):
    fields = {'archives': [archive(sources / 'a.zip', 'a')], 'variables': {'A': '1'}}
    other = fields | {'variables': {'A': '2'}}
    with Remote(host, USER) as user, Remote(host, OTHER) as stranger:
        request = pb.ExplainEnvironmentRequest(request=pb.CreateEnvironmentRequest(**fields))
        call = 'environments.ExplainEnvironment'
        made = user.call('create', **fields)
        assert user.call(call, request).known
        unseen = stranger.call(call, request)
        assert not unseen.known and not unseen.ready and not unseen.HasField('nearest')
        assert unseen.dependency_hash == made.dependency_hash
    seen = explain(client, **fields)
    assert not seen.known and not seen.ready and seen.nearest.uid == USER
    assert texts(seen) == [f'it is the same environment, but of uid {USER}, and between users '
                           'nothing is shared']
    assert texts(explain(client, **other)) == ['variable A has another value']


@asks_for_root
def test_what_all_may_share_is_known_to_all(sources):
    with Host('--sharing', 'all') as host:
        make_sample(host.sources / 'a.zip')
        fields = {'archives': [archive(host.sources / 'a.zip', 'a')]}
        with Remote(host, USER) as user:
            user.call('create', **fields)
        with Remote(host, OTHER) as stranger:
            assert stranger.call('environments.ExplainEnvironment', pb.ExplainEnvironmentRequest(
                request=pb.CreateEnvironmentRequest(**fields))).known


# ---- failures

def fail_to_explain(client, *arguments, **fields):
    with pytest.raises(grpc.RpcError) as raised:
        explain(client, *arguments, **fields)
    return failure_of(raised.value)


def test_what_a_create_would_refuse_is_refused(host, client, sources):
    (sources / 'directory').mkdir()
    cases = [
        {'archives': [archive(sources / 'missing.zip', 'a')]},
        {'archives': [archive(sources / 'directory', 'a')]},
        {'archives': [archive(sources / 'a.zip', '../a')]},
        {'archives': [archive(sources / 'a.zip', 'a')], 'python': 'a/no/python'},
        {'python': '/nonexistent/python'},
        {'python': '/usr/bin/true'},
        {'requirements': pb.Requirements(path=str(sources / 'missing.txt')),
         'python': '/usr/bin/python3'},
        {'python_files': [pb.PythonFile(sha256='0' * 64, name='x.py')]},
        {'python_files': [python_file(sources / 'directory')],
         'docker_worker': pb.DockerWorker(container_image='img')},
    ]
    client.create([archive(sources / 'a.zip', 'a')])
    before = host.snapshot()
    for fields in cases:
        assert fail_to_explain(client, **fields) == client.fail_to_create(**fields)
        assert host.snapshot() == before
    with pytest.raises(grpc.RpcError) as raised:
        client.environments.ExplainEnvironment(pb.ExplainEnvironmentRequest(), timeout=PATIENCE)
    assert failure_of(raised.value).reason == 'REQUEST_INVALID'


def test_one_that_nobody_waits_for_ends(host, client, sources):
    """While a Python is asked that does not answer."""
    asked = host.sources / 'asked'
    os.mkfifo(asked)
    python = host.sources / 'python'
    python.write_text(f'#!/bin/sh\ncat {asked}\n')
    python.chmod(0o755)
    request = pb.CreateEnvironmentRequest(archives=[archive(sources / 'a.zip', 'a')],
                                          python=str(python))
    call = client.environments.ExplainEnvironment.future(
        pb.ExplainEnvironmentRequest(request=request), timeout=PATIENCE)
    with open(asked, 'w', encoding='ascii'):  # somebody reads it: it is being asked
        assert call.cancel()
        wait_for(lambda: not host.workers(), 'the worker to end')
    assert host.stop() == 0


def test_so_many_at_a_time_and_no_more(sources):
    with Host('--max-creates', '1') as host:
        client = host.connect()
        asked, python = host.sources / 'asked', host.sources / 'python'
        os.mkfifo(asked)
        python.write_text(f'#!/bin/sh\ncat {asked}\n')
        python.chmod(0o755)
        request = pb.CreateEnvironmentRequest(python=str(python))
        call = client.environments.ExplainEnvironment.future(
            pb.ExplainEnvironmentRequest(request=request), timeout=PATIENCE)
        with open(asked, 'w', encoding='ascii'):
            assert fail_to_explain(client).reason == 'TOO_MANY'
        assert failure_of(call.exception()).reason == 'INTERPRETER_UNUSABLE'
        assert explain(client).ready


# ---- from a shell

def test_pyenvctl_says_it_in_lines(host, client, sources):
    arguments = ['-a', f'{sources}/a.zip#a', '-e', 'A=1']
    new = host.ctl('explain', *arguments).stdout.split('\n')
    assert new[0].startswith('not known:') and new[1].split() == [
        'to', 'prepare:', f'{sources}/a.zip']
    assert new[2].split(maxsplit=1) == ['nearest:', 'none has anything of it']
    made = json.loads(host.ctl('--json', 'create', *arguments).stdout)['dependency_hash']
    assert host.ctl('explain', *arguments).stdout.split() == ['known', 'and', 'ready:', made]
    other = host.ctl('explain', '-a', f'{sources}/a.zip#a', '-e', 'A=2').stdout.splitlines()
    assert other[0].startswith('ready, not known:')
    assert other[1].split()[:4] == ['nearest:', made, '(3', 'of']
    assert other[2].split(maxsplit=1) == ['differs:', 'variable A has another value']
    answer = json.loads(host.ctl('--json', 'explain', *arguments).stdout)
    assert answer['known'] is True and answer['dependency_hash'] == made
    offline = subprocess.run([CTL, '--json', 'hash', '--worker-program', WORKER, *arguments],
                             capture_output=True, check=True)
    assert json.loads(offline.stdout)['dependency_hash'] == made
    assert host.ctl('explain', '-a', '/nonexistent', check=False).returncode == 1


@asks_for_root
def test_what_only_pyenvctl_can_read_is_looked_for_among_uploads(host, client):
    outside = host.directory / 'outside'
    outside.mkdir()
    source = make_zip(outside / 'a.zip', [('x', 0o100644, 'x')])
    options = ['explain', '--archive', 'a.zip#a']
    refused = elsewhere(host, [source], *options)
    assert refused.returncode == 1 and 'was not uploaded yet' in refused.stderr
    assert client.status().counters.uploads == 0
    assert elsewhere(host, [source], 'upload', 'a.zip').returncode == 0
    told = elsewhere(host, [source], *options)
    assert told.returncode == 0 and f'{host.sources}/a.zip' in told.stdout
    assert elsewhere(host, [source], 'create', '--archive', 'a.zip#a').returncode == 0
    assert elsewhere(host, [source], *options).stdout.startswith('known and ready')
    assert pathlib.Path(host.state, 'artifacts').exists()
