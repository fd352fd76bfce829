"""The protocol, as an unmodified grpcio sees it."""
import os
import signal
import socket
import threading

import beam_messages
import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)
from host import archive, wait_for

WORKER_POOL = 'org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool'


def test_health(client):
    health = health_pb2_grpc.HealthStub(client.channel)
    for service in ('', 'pyenvd.v1.Environments', 'pyenvd.v1.Admin', WORKER_POOL):
        response = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert response.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as error:
        health.Check(health_pb2.HealthCheckRequest(service='nothing'))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_reflection_tells_all_there_is(client):
    database = ProtoReflectionDescriptorDatabase(client.channel)
    assert set(database.get_services()) == {
        'pyenvd.v1.Environments', 'pyenvd.v1.Admin', WORKER_POOL, 'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'}
    pool = descriptor_pool.DescriptorPool(database)
    service = pool.FindServiceByName('pyenvd.v1.Environments')
    assert service.methods_by_name['HoldLease'].server_streaming
    message = pool.FindMessageTypeByName('pyenvd.v1.CreateEnvironmentRequest')
    assert message.fields_by_name['archives'].number == 3
    message = pool.FindServiceByName(WORKER_POOL).methods_by_name['StartWorker'].input_type
    numbers = {name: field.number for name, field in message.fields_by_name.items()}
    theirs = beam_messages.workers.StartWorkerRequest.DESCRIPTOR
    assert numbers == {name: field.number for name, field in theirs.fields_by_name.items()}
    for name in theirs.fields_by_name:
        assert message.fields_by_name[name].type == theirs.fields_by_name[name].type
        here, there = (it.fields_by_name[name].message_type for it in (message, theirs))
        assert there is None or here.full_name == there.full_name


@pytest.mark.parametrize('version', ['v1', 'v1alpha'])
def test_both_reflections_answer(client, version):
    # Their messages are the same; so one set of stubs serves both names.
    call = client.channel.stream_stream(
        f'/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo',
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    requests = [reflection_pb2.ServerReflectionRequest(list_services=''),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol=name)
                if (name := 'pyenvd.v1.Archive.path') else None,
                reflection_pb2.ServerReflectionRequest(file_by_filename='no.proto')]
    services, file, missing = call(iter(requests))
    assert len(services.list_services_response.service) == 6
    assert file.file_descriptor_response.file_descriptor_proto
    assert missing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize('method', ['/no.Service/Method', '/pyenvd.v1.Environments/Nothing',
                                    '/pyenvd.v1.Environments', '/x'])
def test_what_is_not_there_is_unimplemented(client, method):
    with pytest.raises(grpc.RpcError) as error:
        client.channel.unary_unary(method)(b'', timeout=60)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_message_that_is_too_long_or_no_message(client):
    create = client.channel.unary_unary('/pyenvd.v1.Environments/CreateEnvironment')
    with pytest.raises(grpc.RpcError) as error:
        create(b'\0' * (17 << 20), timeout=60)
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as error:
        create(b'\xff\xff\xff', timeout=60)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert client.status().pid


@pytest.mark.parametrize('authority', ['localhost', '/run/pyenvd.sock', '%2Frun%2Fx', 'a:1'])
def test_any_authority(host, authority):
    with grpc.insecure_channel(f'unix:{host.socket}',
                               options=[('grpc.default_authority', authority)]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=60).status


def hold_worker(host):
    """Stops the one worker there is."""
    worker = wait_for(host.workers, 'a worker')[0]
    os.kill(worker, signal.SIGSTOP)
    return worker


def test_a_deadline_ends_the_call_and_leaves_nothing(host, client):
    source = make_sample(host.sources / 'a.zip', files=500, size=100_000)
    before = host.snapshot()
    holding = threading.Thread(target=lambda: hold_worker(host))
    holding.start()
    failure = client.fail_to_create([archive(source, 'a')], timeout=2)
    holding.join()
    assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: host.snapshot() == before, 'the work to be undone')
    assert not client.leases()


def test_a_cancelled_call_leaves_nothing(host, client):
    source = make_sample(host.sources / 'a.zip', files=500, size=100_000)
    before = host.snapshot()
    call = client.environments.CreateEnvironment.future(
        pb.CreateEnvironmentRequest(archives=[archive(source, 'a')]))
    hold_worker(host)
    call.cancel()
    wait_for(lambda: host.snapshot() == before, 'the work to be undone')
    assert not client.leases() and client.create([archive(source, 'a')]).lease_id


def test_many_calls_on_one_connection(host, client):
    source = make_sample(host.sources / 'a.zip')
    calls = [client.environments.CreateEnvironment.future(
        pb.CreateEnvironmentRequest(archives=[archive(source, 'a')])) for _ in range(300)]
    leases = {call.result().lease_id for call in calls}
    assert len(leases) == 300 == len(client.leases())
    releases = [client.environments.ReleaseEnvironment.future(
        pb.ReleaseEnvironmentRequest(lease_id=lease)) for lease in leases]
    assert all(call.result().released for call in releases)
    host.expect_tidy(client)


PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
SETTINGS = b'\0\0\0\4\0\0\0\0\0'


@pytest.mark.parametrize('data', [
    b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    b'\0' * 100,
    PREFACE + SETTINGS + b'\xff\xff\xff\0\0\0\0\0\1',
    PREFACE + SETTINGS + b'\0\0\4\1\4\0\0\0\1\xff\xff\xff\xff',
    PREFACE + SETTINGS + b'\0\0\0\0\0\0\0\0\1',
    PREFACE + SETTINGS + b'\0\0\10\6\0\0\0\0\0' + b'12345678',
])
def test_malformed_bytes_end_the_connection_and_not_the_daemon(host, client, data):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(str(host.socket))
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65536):
            pass
    assert client.status().pid == host.pid


def test_pages_of_a_list(host, client):
    source = make_sample(host.sources / 'a.zip')
    made = {client.create([archive(source, 'a')]).lease_id for _ in range(7)}
    seen, token = [], ''
    while True:
        page = client.admin.ListLeases(pb.ListRequest(page_size=3, page_token=token))
        seen += [lease.lease_id for lease in page.leases]
        token = page.next_page_token
        if not token:
            break
    assert seen == sorted(made)
    with pytest.raises(grpc.RpcError) as error:
        client.admin.ListLeases(pb.ListRequest(page_size=1001))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
