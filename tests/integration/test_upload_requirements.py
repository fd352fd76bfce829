"""Requirements as uploads: the file, what it includes and the packages come over the socket, and
make the layer that the same files make by their paths."""
import json
import subprocess

import grpc
import packages
import pyenvd_pb2 as pb
import pytest
from host import CTL, IS_ROOT, PATIENCE, Host, digest_of, wait_for
from installers import UV
from remote import Remote
from test_ctl_upload import elsewhere
from test_install import Directory, python_of, run

USER = 65534
asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: mounts, other users')


@pytest.fixture(scope='module')
def made():
    """A directory with packages and a virtualenv; for everybody."""
    with Directory() as directory:
        packages.sample(directory / 'packages')
        subprocess.run(['/usr/bin/python3', '-m', 'venv', directory / 'venv'], check=True)
        yield directory


@pytest.fixture
def host():
    with Host('--uv', str(UV)) as host:
        yield host


@pytest.fixture
def client(host):
    return host.connect()


class Files:
    """Requirements that lie somewhere, and what names them as uploads."""

    def __init__(self, directory, package_directory=None, **texts):
        self.directory = directory
        self.package_directory = package_directory
        self.names = [name.replace('__', '/') + '.txt' for name in texts]
        for name, text in zip(self.names, texts.values()):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def packages(self):
        if not self.package_directory:
            return []
        return sorted(path for path in self.package_directory.iterdir()
                      if path.suffix in ('.whl', '.gz', '.zip'))

    def by_path(self):
        return pb.Requirements(path=str(self.directory / self.names[0]),
                               package_directory=str(self.package_directory or ''))

    def contents(self):
        return ([(self.directory / name).read_bytes() for name in self.names] +
                [path.read_bytes() for path in self.packages()])

    def by_digest(self, **fields):
        def named(path, name):
            return pb.NamedArtifact(name=name, sha256=digest_of(path.read_bytes()))
        first, *others = (named(self.directory / name, name) for name in self.names)
        return pb.Requirements(uploaded=pb.UploadedRequirements(**{
            'sha256': first.sha256, 'name': first.name, 'includes': others,
            'packages': [named(path, path.name) for path in self.packages()], **fields}))

    def upload(self, client):
        for content in self.contents():
            client.upload(content)
        return self.by_digest()


def sample(host, made):
    return Files(host.sources, made / 'packages', requirements='-r sub/base.txt\nbeta\n',
                 sub__base='-c ../limits.txt\nalpha  # why\n', limits='alpha<1.1\n')


def create(client, made, wanted, **fields):
    return client.create(requirements=wanted, python=python_of(made), **fields)


def refuse(client, made, wanted, **fields):
    failure = client.fail_to_create(requirements=wanted, python=python_of(made), **fields)
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT, failure.message
    return failure


# -- what is the same

@pytest.mark.parametrize('first', ['paths', 'uploads'])
def test_uploads_and_paths_make_the_same_layer(host, client, made, first):
    files = sample(host, made)
    ways = {'paths': files.by_path(), 'uploads': files.upload(client)}
    one = create(client, made, ways.pop(first))
    two = create(client, made, *ways.values())
    assert one.dependency_hash == two.dependency_hash
    assert [it.layer_id for it in one.layers] == [it.layer_id for it in two.layers]
    assert [it.origin for it in two.layers] == [pb.LAYER_ORIGIN_FOUND]
    assert run(two, two.interpreter, '-c', 'import alpha; print(alpha.VERSION)') == '1.0\n'
    assert client.status().counters.layers_made == 1
    host.expect_tidy(client)


def test_without_packages_it_is_an_index_or_nothing(host, client, made):
    (host.sources / 'none').mkdir()
    files = Files(host.sources, host.sources / 'none', requirements='# nothing\n')
    files.upload(client)
    by_index, by_nothing = (create(client, made, files.by_digest(no_index=value))
                            for value in (False, True))
    assert by_index.dependency_hash != by_nothing.dependency_hash
    assert create(client, made, files.by_path()).dependency_hash == by_nothing.dependency_hash
    files.package_directory = None
    assert create(client, made, files.by_path()).dependency_hash == by_index.dependency_hash


def test_the_second_time_nothing_is_read(host, client, made):
    wanted = sample(host, made).upload(client)
    first = create(client, made, wanted)
    before = client.status().counters.workers_started
    again = create(client, made, wanted)
    assert not first.hit and again.hit
    assert client.status().counters.workers_started == before
    assert [it.source for it in again.layers] == [f'sha256:{wanted.uploaded.sha256}']


def test_the_variables_name_no_file(host, client, made):
    files = sample(host, made)
    by_path = create(client, made, files.by_path()).variables
    uploaded = create(client, made, files.upload(client)).variables
    assert set(by_path) - set(uploaded) == {'_PYTHON_REQUIREMENTS_FILE',
                                            '_PYTHON_REQUIREMENTS_CACHE'}
    assert uploaded['_PYTHON_REQUIREMENTS_INSTALL_DIR']


def test_files_of_equal_content_do_not_include_themselves(host, client, made):
    files = Files(host.sources, made / 'packages', requirements='-r sub/requirements.txt\n',
                  sub__requirements='-r sub/requirements.txt\n', sub__sub__requirements='alpha\n')
    one = create(client, made, files.by_path())
    two = create(client, made, files.upload(client))
    assert one.dependency_hash == two.dependency_hash


def test_a_repeated_request_gives_the_same_lease(host, client, made):
    files = sample(host, made)
    wanted = files.upload(client)
    one, two = (create(client, made, wanted, request_id='one') for _ in range(2))
    assert one.lease_id == two.lease_id
    wanted.uploaded.includes[0].name = 'other.txt'
    failure = client.fail_to_create(requirements=wanted, python=python_of(made), request_id='one')
    assert failure.reason == 'REQUEST_ID_REUSED'


# -- what is refused

def test_an_include_that_was_not_brought_is_named(host, client, made):
    wanted = sample(host, made).upload(client)
    del wanted.uploaded.includes[1:]
    before = host.snapshot()
    failure = refuse(client, made, wanted)
    assert failure.reason == 'REQUEST_INVALID'
    assert failure.message.startswith("'sub/base.txt', line 1: it includes 'limits.txt', which")
    assert host.snapshot() == before


def test_what_includes_itself_is_refused(host, client, made):
    files = Files(host.sources, requirements='-r base.txt\n', base='-r ./base.txt\n')
    failure = refuse(client, made, files.upload(client))
    assert failure.reason == 'REQUIREMENTS_INVALID' and "'base.txt' includes itself" in failure.message


def test_what_is_missing_is_named(host, client, made):
    files = sample(host, made)
    contents = files.contents()
    for content in contents[:-1]:
        client.upload(content)
    failure = client.fail_to_create(requirements=files.by_digest(), python=python_of(made))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, 'ARTIFACT_NOT_FOUND')
    assert digest_of(contents[-1]) in failure.message
    assert files.packages()[-1].name in failure.message
    client.upload(contents[-1])
    assert create(client, made, files.by_digest())


def uploaded(**fields):
    return pb.UploadedRequirements(**{'sha256': digest_of(b''), **fields})


def named(name):
    return pb.NamedArtifact(name=name, sha256=digest_of(b''))


@pytest.mark.parametrize('wanted, words', [
    (pb.Requirements(path='/r.txt', uploaded=uploaded()), 'one of these ways'),
    (pb.Requirements(package_directory='/p', uploaded=uploaded()), 'one of these ways'),
    (pb.Requirements(), 'requirements.path is empty'),
    (pb.Requirements(uploaded=uploaded(sha256='0')), 'uploaded.sha256 is not a SHA-256'),
    (pb.Requirements(uploaded=uploaded(name='a/b')), "'a/b' is not a file name"),
    (pb.Requirements(uploaded=uploaded(includes=[named('')])), 'includes'),
    (pb.Requirements(uploaded=uploaded(includes=[named('./a.txt')])), "'./a.txt' is not that"),
    (pb.Requirements(uploaded=uploaded(includes=[named('a/../b')])), "'a/../b' is not that"),
    (pb.Requirements(uploaded=uploaded(includes=[named('a'), named('a')])), 'given twice'),
    (pb.Requirements(uploaded=uploaded(includes=[named('requirements.txt')])), 'the file itself'),
    (pb.Requirements(uploaded=uploaded(packages=[named('a.txt')])), "'a.txt' is not that of a p"),
    (pb.Requirements(uploaded=uploaded(packages=[named('../a.whl')])), 'is not a file name'),
    (pb.Requirements(uploaded=uploaded(packages=[named('a.whl')] * 2)), 'given twice'),
    (pb.Requirements(uploaded=uploaded(packages=[pb.NamedArtifact(name='a.whl')])), 'SHA-256'),
])
def test_what_makes_no_sense_is_refused(client, made, wanted, words):
    client.upload(b'')
    failure = refuse(client, made, wanted)
    assert failure.reason == 'REQUEST_INVALID' and words in failure.message, failure.message


@pytest.mark.parametrize('count, size', [(1100, 10), (900, 200)])
def test_there_are_limits(client, made, count, size):
    client.upload(b'')
    names = [named(f'{i:0{size}}.whl') for i in range(count)]
    failure = client.fail_to_create(python=python_of(made), requirements=pb.Requirements(
        uploaded=uploaded(packages=names)))
    assert failure.reason == 'LIMIT_EXCEEDED', failure.message


def test_as_many_as_may_be(client, made):
    client.upload(b'')
    names = [named(f'{i:085}.whl') for i in range(1023)]
    # They are read, all of them; what an installer says of them is another matter.
    failure = client.fail_to_create(python='/nowhere/python', requirements=pb.Requirements(
        uploaded=uploaded(packages=names)))
    assert failure.reason == 'INTERPRETER_NOT_FOUND', failure.message
    response = create(client, made, pb.Requirements(uploaded=uploaded(packages=names)))
    assert response.layers[0].layer_id


# -- who may

@asks_for_root
def test_only_who_brought_it_may_name_it(made):
    with Host('--uv', str(UV), '--sharing', 'all') as host:
        client = host.connect()
        wanted = sample(host, made).upload(client)
        assert create(client, made, wanted)
        with Remote(host, USER) as other:
            failure = other.fail('create', requirements=wanted, python=python_of(made))
        assert failure.reason == 'ARTIFACT_NOT_FOUND'


def test_nothing_is_collected_while_it_is_needed(host, client, made):
    wanted = sample(host, made).upload(client)
    call = client.environments.CreateEnvironment.future(
        pb.CreateEnvironmentRequest(requirements=wanted, python=python_of(made)),
        timeout=PATIENCE)
    while not call.done():
        client.collect()
    assert call.result().layers
    client.collect()
    wait_for(lambda: not list((host.state / 'artifacts').iterdir()), 'the uploads to go')
    host.expect_tidy(client)


# -- pyenvctl

@pytest.fixture
def outside(host):
    """Where files are that only elsewhere() puts among the sources."""
    path = host.directory / 'outside'
    path.mkdir()
    return path


@asks_for_root
def test_pyenvctl_brings_what_the_daemon_does_not_see(host, client, made, outside):
    Files(outside, requirements='-r sub/base.txt\nbeta\n', sub__base='-c ../limits.txt\nalpha\n',
          limits='alpha<1.1\n')
    (outside / 'packages').mkdir()
    for path in (made / 'packages').glob('*.whl'):
        (outside / 'packages' / path.name).write_bytes(path.read_bytes())
    (outside / 'packages/README').write_text('no package\n')
    options = ['--json', 'create', '--python', python_of(made), '--requirements',
               'requirements.txt#packages']
    done = elsewhere(host, outside.iterdir(), *options)
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert [it['source'] for it in response['layers']] == [f'{host.sources}/requirements.txt']
    uploads = client.status().counters.uploads
    assert uploads == 3 + len(list((made / 'packages').glob('*.whl')))
    # Again: nothing is sent. And as the daemon sees the same files.
    again = json.loads(elsewhere(host, outside.iterdir(), *options).stdout)
    seen = json.loads(host.ctl('--json', 'create', '--python', python_of(made), '--requirements',
                               f'{outside}/requirements.txt#{outside}/packages').stdout)
    assert again['dependency_hash'] == seen['dependency_hash'] == response['dependency_hash']
    counters = client.status().counters
    assert (counters.uploads, counters.layers_made) == (uploads, 1)
    host.expect_tidy(client)


@asks_for_root
def test_pyenvctl_repeats_a_request_with_uploads(host, client, made, outside):
    Files(outside, requirements='# nothing\n')
    options = ['--json', 'create', '--python', python_of(made), '--requirements',
               'requirements.txt', '--request-id', 'one']
    one, two = (elsewhere(host, outside.iterdir(), *options) for _ in range(2))
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert json.loads(one.stdout)['lease_id'] == json.loads(two.stdout)['lease_id']


@asks_for_root
def test_pyenvctl_says_what_is_missing_where_it_is(host, client, made, outside):
    Files(outside, requirements='alpha\n-r base.txt\n')
    options = ['--json', 'create', '--python', python_of(made), '--requirements',
               'requirements.txt']
    before = host.snapshot()
    done = elsewhere(host, outside.iterdir(), *options)
    error = json.loads(done.stderr)['error']
    assert done.returncode == 1 and error['reason'] == 'SOURCE_NOT_FOUND'
    assert f"'{host.sources}/base.txt' is not there" in error['message']
    Files(outside, requirements='alpha\n', base='')
    (outside / 'requirements.txt').write_text('alpha\n-e .\n')
    done = elsewhere(host, outside.iterdir(), *options)
    error = json.loads(done.stderr)['error']
    assert done.returncode == 1 and error['reason'] == 'REQUIREMENTS_INVALID'
    assert f"'{host.sources}/requirements.txt', line 2: " in error['message']
    assert host.snapshot() == before


@asks_for_root
def test_pyenvctl_brings_what_may_not_be_read_as_the_daemon_sees_it(host, client, made):
    files = Files(host.sources, requirements='-r base.txt\n', base='# nothing\n')
    (host.sources / 'base.txt').chmod(0o600)
    create = [str(CTL), '--socket', str(host.socket), '--json', 'create', '--python',
              python_of(made), '--requirements', files.by_path().path]
    user = ['setpriv', f'--reuid={USER}', '--regid=pyenvd', '--clear-groups']
    refused = subprocess.run([*user, *create], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert json.loads(refused.stderr)['error']['reason'] == 'SOURCE_UNREADABLE'
    assert not client.artifacts()
    able = [*user, '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
    done = subprocess.run([*able, *create], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {it.uid for it in client.artifacts()} == {USER}
