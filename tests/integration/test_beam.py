"""What Beam is told of a lease: how to start a worker, and that a process has nothing to retrieve."""
import os
import pathlib
import stat

import grpc
import pyenvd_pb2 as pb
import pytest
from archives import make_sample
from beam_messages import runner
from host import IS_ROOT, archive, failure_of, ttl, wait_for
from remote import Remote

PROCESS, DOCKER = 'beam:env:process:v1', 'beam:env:docker:v1'


def field(number, value):
    """A length-delimited field, by hand."""
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def process(command):
    return pb.ProcessWorker(command=command)


def docker(image):
    return pb.DockerWorker(container_image=image)


def worker_components(client, response):
    shown = client.admin.Show(pb.ShowRequest(id=response.dependency_hash)).environment
    return [(it.name, it.value) for it in shown.components if it.kind == 'worker']


def test_a_process_has_all_variables_of_the_lease(client):
    response = client.create(process_worker=process('/b/r.sh'),
                             variables={'b': '', 'a': 'ü', 'B': '1', 'A' * 300: 'x' * 70_000})
    names = sorted(response.variables, key=str.encode)
    assert names[1] == 'B' and names[-1] == 'b'
    payload = field(3, '/b/r.sh') + b''.join(
        field(4, field(1, name) + field(2, response.variables[name])) for name in names)
    assert response.beam_environment == field(2, PROCESS) + field(3, payload)


def test_beam_reads_it_and_would_write_the_same(client, host):
    response = client.create([archive(make_sample(host.sources / 'a.zip'), 'data')],
                             process_worker=process('/b/r.sh'), python='python3',
                             variables={'EMPTY': '', 'WORD': 'ü'})
    environment = runner.Environment.FromString(response.beam_environment)
    assert environment.urn == PROCESS
    assert not (environment.capabilities or environment.dependencies)
    payload = runner.ProcessPayload.FromString(environment.payload)
    assert (payload.os, payload.arch, payload.command) == ('', '', '/b/r.sh')
    assert dict(payload.env) == dict(response.variables)
    assert payload.env['BOOT_LOG_DIR'] == response.base_directory
    assert payload.SerializeToString(deterministic=True) == environment.payload
    assert environment.SerializeToString(deterministic=True) == response.beam_environment


def test_a_container_is_its_image(client):
    response = client.create(docker_worker=docker('img:1'))
    assert response.beam_environment.hex() == (
        '12126265616d3a656e763a646f636b65723a76311a070a05696d673a31')
    environment = runner.Environment.FromString(response.beam_environment)
    assert environment.urn == DOCKER
    assert runner.DockerPayload.FromString(environment.payload).container_image == 'img:1'


def test_who_says_nothing_gets_a_process_of_our_command(client):
    said = [client.create(), client.create(process_worker=process(''))]
    payloads = [runner.ProcessPayload.FromString(
        runner.Environment.FromString(it.beam_environment).payload) for it in said]
    command = payloads[0].command
    assert command.startswith('/') and command.endswith('/pyflink-udf-runner.sh')
    said.append(client.create(process_worker=process(command)))
    assert payloads[1].command == command
    assert len({it.dependency_hash for it in said}) == 1
    assert not worker_components(client, said[0])


def test_the_worker_is_part_of_the_identity(client):
    made = [client.create(**fields) for fields in (
        {}, {'process_worker': process('/b/r.sh')}, {'process_worker': process('/b/s.sh')},
        {'docker_worker': docker('img:1')}, {'docker_worker': docker('img:2')},
        {'docker_worker': docker('/b/r.sh')})]
    assert len({it.dependency_hash for it in made}) == len(made)
    assert worker_components(client, made[1]) == [('process', '/b/r.sh')]
    assert worker_components(client, made[3]) == [('docker', 'img:1')]


@pytest.mark.parametrize('worker', [{}, {'process_worker': process('/b/r.sh')},
                                    {'docker_worker': docker('img:1')}])
def test_a_retry_gives_the_same_bytes(host, client, worker):
    fields = {'archives': [archive(make_sample(host.sources / 'a.zip'), 'data')],
              'python': 'python3', 'variables': {'X': '1', 'Y': '2'}, 'request_id': 'again',
              'holder': ttl(), **worker}
    first = client.create(**fields)
    assert client.create(**fields).beam_environment == first.beam_environment
    host.restart()
    second = client.create(**fields)
    assert second.lease_id == first.lease_id
    assert second.beam_environment == first.beam_environment
    other = {'docker_worker': docker('img:2')}
    fields.pop('process_worker', None)
    fields.pop('docker_worker', None)
    assert client.fail_to_create(**fields, **other).reason == 'REQUEST_ID_REUSED'


def test_two_leases_differ_in_their_paths_only(client):
    one, two = (client.create(variables={'X': '1'}, holder=ttl()) for _ in range(2))
    assert one.beam_environment != two.beam_environment
    assert one.beam_environment == two.beam_environment.replace(
        two.lease_id.encode(), one.lease_id.encode())


@pytest.mark.parametrize('worker, words', [
    ({'process_worker': process('r.sh')}, 'process_worker.command'),
    ({'process_worker': process('/' + 'r' * 4096)}, 'process_worker.command'),
    ({'docker_worker': docker('')}, 'docker_worker.container_image'),
    ({'docker_worker': docker('i' * 513)}, 'docker_worker.container_image'),
])
def test_a_worker_that_cannot_be_is_refused(client, worker, words):
    failure = client.fail_to_create(**worker)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, 'REQUEST_INVALID')
    assert words in failure.message
    assert not client.leases()


# ---- retrieval tokens

USER, OTHER = 65534, 65533


def token(client, lease_id):
    request = pb.CreateRetrievalTokenRequest(lease_id=lease_id)
    return client.environments.CreateRetrievalToken(request).retrieval_token


def no_token(client, lease_id):
    with pytest.raises(grpc.RpcError) as caught:
        token(client, lease_id)
    return failure_of(caught.value)


def test_a_token_says_that_there_is_nothing_to_retrieve(client):
    lease = client.create(holder=ttl())
    path = pathlib.Path(token(client, lease.lease_id))
    assert path.read_bytes().hex() == '7b226d616e6966657374223a207b7d7d'
    assert str(path.parent) == lease.base_directory
    found = path.lstat()
    assert stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) == 0o400
    assert found.st_uid == os.geteuid()
    uuid = path.name.removeprefix('retrieval_token_').removesuffix('.json')
    assert [len(part) for part in uuid.split('-')] == [8, 4, 4, 4, 12] and uuid[14] == '4'


def test_each_token_is_a_new_file_and_none_is_written_again(client):
    lease = client.create(holder=ttl())
    before = pathlib.Path(token(client, lease.lease_id))
    stamp = before.stat()
    paths = {token(client, lease.lease_id) for _ in range(20)}
    assert len(paths) == 20 and str(before) not in paths
    after = before.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        stamp.st_ino, stamp.st_mtime_ns, stamp.st_ctime_ns)


def test_a_token_dies_with_its_lease_and_not_before(host, client):
    lease = client.create(holder=ttl())
    path = token(client, lease.lease_id)
    host.restart()
    assert os.path.exists(path)
    assert os.path.exists(token(client, lease.lease_id))
    assert client.release(lease.lease_id)
    wait_for(lambda: not os.path.exists(lease.base_directory), 'the lease to be removed')
    failure = no_token(client, lease.lease_id)
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, 'NOT_FOUND')
    host.expect_tidy(client)


@pytest.mark.parametrize('lease_id, code', [
    ('', grpc.StatusCode.INVALID_ARGUMENT),
    ('x' * 129, grpc.StatusCode.INVALID_ARGUMENT),
    ('../layers', grpc.StatusCode.NOT_FOUND),
])
def test_what_is_no_lease_has_no_token(client, lease_id, code):
    assert no_token(client, lease_id).code == code


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')
def test_a_token_is_for_its_user_and_administrators(host, client):
    with Remote(host, USER) as user, Remote(host, OTHER) as other:
        lease = user.call('create', holder=ttl())
        request = pb.CreateRetrievalTokenRequest(lease_id=lease.lease_id)
        call = 'environments.CreateRetrievalToken'
        paths = [user.call(call, request).retrieval_token, token(client, lease.lease_id)]
        for path in paths:
            found = os.stat(path)
            assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (USER, 0o400)
        failure = other.fail(call, request)
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')
        assert len(os.listdir(lease.base_directory)) == 3


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')
def test_a_directory_that_its_user_locked_gets_no_token(host, client):
    with Remote(host, USER) as user:
        lease = user.call('create', holder=ttl())
    os.chmod(lease.base_directory, 0o500)
    assert 'denied' in no_token(client, lease.lease_id).message
    os.chmod(lease.base_directory, 0o700)
    assert os.path.exists(token(client, lease.lease_id))
