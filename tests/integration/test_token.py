"""Retrieval tokens of containers: all files of the request, as Beam's retrieval service reads
them (AbstractLegacyArtifactRetrievalService)."""
import concurrent.futures
import os
import pathlib
import stat
import subprocess

import grpc
import pyenvd_pb2 as pb
import pytest
from archives import make_sample
from beam_messages import artifacts
from google.protobuf import json_format
from host import IS_ROOT, Host, archive, digest_of, ttl, wait_for
from remote import Remote

USER, OTHER = 65534, 65533
DOCKER = pb.DockerWorker(container_image='img:1')
asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')


def token(client, lease):
    request = pb.CreateRetrievalTokenRequest(lease_id=lease.lease_id)
    return pathlib.Path(client.environments.CreateRetrievalToken(request).retrieval_token)


def load(path):
    """What Beam makes of a token: {name: (permissions, content)}. Unknown fields are errors;
    each location is found by its name, and opened by its path, as given: LocalFileSystem
    takes no URI of scheme 'file'."""
    proxy = json_format.Parse(path.read_bytes().decode('utf-8'), artifacts.ProxyManifest())
    assert proxy.HasField('manifest')
    assert len(proxy.location) == len(proxy.manifest.artifact)
    where = {location.name: location.uri for location in proxy.location}
    found = {}
    for artifact in proxy.manifest.artifact:
        content = pathlib.Path(where[artifact.name]).read_bytes()
        assert digest_of(content) == artifact.sha256
        found[artifact.name] = artifact.permissions, content
    assert len(found) == len(where) == len(proxy.location)
    return found


def paths_of(path):
    proxy = json_format.Parse(path.read_text(), artifacts.ProxyManifest())
    return [location.uri for location in proxy.location]


def create(client, archives=(), **fields):
    return client.create(archives, docker_worker=DOCKER, holder=ttl(), **fields)


def kept(host):
    return sorted(path.name for path in (host.state / 'artifacts').iterdir())


def test_it_names_every_file_of_the_request(host, client):
    zipped = make_sample(host.sources / 'a.zip')
    other = make_sample(host.sources / 'b.zip', salt='b')
    module = host.sources / 'm.py'
    module.write_text('x = 1\n')
    wanted = {'python_archives/venv': zipped, 'python_archives/models/a': other,
              'python_files/0/m.py': module, 'python_files/1/lib.zip': zipped,
              'python_files/2/lib.whl': zipped}
    wanted = {name: (0o644, path.read_bytes()) for name, path in wanted.items()}
    lease = create(client, [archive(zipped, 'venv'), archive(other, 'models/a')], python_files=[
        pb.PythonFile(path=str(module)), pb.PythonFile(path=str(zipped), name='lib.zip'),
        pb.PythonFile(path=str(zipped), name='lib.whl')])
    # Whatever becomes of them now.
    zipped.unlink()
    other.write_bytes(b'something else')
    module.write_text('x = 2\n')
    path = token(client, lease)
    assert load(path) == wanted
    assert str(path.parent) == lease.base_directory
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert len(kept(host)) == 3, 'each content once'
    status = client.status()
    assert status.artifacts == 3 and status.leased_bytes >= status.artifact_bytes > 0
    host.expect_tidy(client)


def test_names_are_text_of_any_kind(host, client):
    path = make_sample(host.sources / 'a.zip')
    names = ['a"b\\c', 'ü \n\x7f', '{}', '\U0001f40d']
    lease = create(client, [archive(path, target) for target in names],
                   python_files=[pb.PythonFile(path=str(path), name=name) for name in names])
    assert set(load(token(client, lease))) == (
        {f'python_archives/{name}' for name in names} |
        {f'python_files/{i}/{name}' for i, name in enumerate(names)})


def test_without_files_there_is_nothing_to_retrieve(client):
    assert token(client, create(client)).read_bytes() == b'{"manifest": {}}'


def test_an_empty_file_is_a_file(host, client):
    module = host.sources / '__init__.py'
    module.touch()
    lease = create(client, python_files=[pb.PythonFile(path=str(module))])
    assert load(token(client, lease)) == {'python_files/0/__init__.py': (0o644, b'')}


def test_a_lease_keeps_its_files_until_it_ends(host, client):
    path = make_sample(host.sources / 'a.zip')
    leases = [create(client, [archive(path, 'a')]) for _ in range(2)]
    tokens = [token(client, lease) for lease in leases]
    for lease in leases:
        assert load(token(client, lease))
        assert not client.collect().artifacts
        assert client.release(lease.lease_id)
    wait_for(lambda: not any(map(os.path.exists, tokens)), 'the tokens to go')
    # As with layers: what nobody leases stays for the next until it is collected.
    assert len(kept(host)) == 1
    assert [it.sha256 for it in client.collect().artifacts] == [digest_of(path.read_bytes())]
    wait_for(lambda: not kept(host), 'the artifact to go')
    host.expect_tidy(client)


@pytest.mark.parametrize('end', ['restart', 'kill'])
def test_it_outlives_the_daemon(host, client, end):
    path = make_sample(host.sources / 'a.zip')
    lease = create(client, [archive(path, 'a')])
    before = token(client, lease)
    if end == 'kill':
        host.kill()
        host.start()
    else:
        host.restart()
    assert not client.collect().artifacts
    assert load(before) == load(token(client, lease))


def test_the_same_again_is_not_copied_again(host, client):
    path = make_sample(host.sources / 'a.zip')
    first = create(client, [archive(path, 'a')])
    where, = paths_of(token(client, first))
    before = os.stat(where)
    again = create(client, [archive(path, 'a')])
    assert paths_of(token(client, again)) == [where]
    after = os.stat(where)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_layer_that_is_there_already_is_no_artifact_yet(host, client):
    path = make_sample(host.sources / 'a.zip')
    client.create([archive(path, 'a')])
    assert not kept(host)
    lease = create(client, [archive(path, 'a')])
    assert not lease.hit
    assert load(token(client, lease))


def test_many_at_once_share_one(host, client):
    path = make_sample(host.sources / 'a.zip')
    with concurrent.futures.ThreadPoolExecutor(10) as executor:
        leases = list(executor.map(lambda _: create(client, [archive(path, 'a')]), range(20)))
    assert host.log.read_text().count('>artifact-added ') == 1
    assert len({path for lease in leases for path in paths_of(token(client, lease))}) == 1


def test_what_was_uploaded_is_not_copied(host, client):
    content = make_sample(host.sources / 'a.zip').read_bytes()
    client.upload(content)
    before = kept(host)
    lease = create(client, [pb.Archive(sha256=digest_of(content), target_dir='a')])
    assert load(token(client, lease)) == {'python_archives/a': (0o644, content)}
    assert kept(host) == before


def test_a_repeated_request_keeps_no_more(host, client):
    path = make_sample(host.sources / 'a.zip')
    leases = [create(client, [archive(path, 'a')], request_id='again') for _ in range(2)]
    assert leases[0].lease_id == leases[1].lease_id
    assert load(token(client, leases[1]))
    host.expect_tidy(client)


def test_a_directory_cannot_be_given_to_a_container(host, client):
    directory = host.sources / 'package'
    directory.mkdir()
    failure = client.fail_to_create(python_files=[pb.PythonFile(path=str(directory))],
                                    docker_worker=DOCKER)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT, 'WORKER_MISMATCH')
    assert str(directory) in failure.message and 'directory' in failure.message
    host.expect_tidy(client)


def test_a_limit_takes_nothing_from_a_lease_and_the_rest_after_it():
    with Host('--max-bytes', '1') as host:
        client = host.connect()
        paths = [make_sample(host.sources / name, files=i) for i, name in
                 enumerate(['a.zip', 'b.zip'], 2)]
        lease = create(client, [archive(path, path.stem) for path in paths])
        assert len(load(token(client, lease))) == 2
        client.release(lease.lease_id)
        other = create(client, [archive(make_sample(host.sources / 'c.zip', files=5), 'c')])
        wait_for(lambda: len(kept(host)) == 1, 'what nobody keeps to go')
        assert load(token(client, other))


@asks_for_root
@pytest.mark.parametrize('flags', [(), ('--sharing', 'all')])
def test_it_is_for_the_leases_user_alone(flags):
    with Host(*flags) as host, Remote(host, USER) as user, Remote(host, OTHER) as other:
        client = host.connect()
        path = make_sample(host.sources / 'a.zip')
        lease = user.call('create', [archive(path, 'a')], docker_worker=DOCKER, holder=ttl())
        second = other.call('create', [archive(path, 'a')], docker_worker=DOCKER, holder=ttl())
        made = token(client, lease)
        where, = paths_of(made)
        assert where not in paths_of(token(client, second)), 'each has presented it'

        def read(uid, what):
            return subprocess.run(['cat', str(what)], user=uid, group=uid, extra_groups=[],
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  check=False).stdout
        assert read(USER, made) == made.read_bytes()
        assert read(USER, where) == path.read_bytes()
        assert not read(OTHER, made) and not read(OTHER, where)
        for write in ('sh', '-c', f'echo > {where}'), ('rm', '-f', where):
            assert subprocess.run(write, user=USER, group=USER, extra_groups=[],
                                  stderr=subprocess.DEVNULL, check=False).returncode
        assert load(made)
