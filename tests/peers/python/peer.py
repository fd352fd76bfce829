"""Asks a daemon for its health and its description, as any grpcio client would."""
import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase)

SERVICE = 'pyenvd.v1.Environments'
PATIENCE = 60


def check_health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ('', SERVICE):
        request = health_pb2.HealthCheckRequest(service=service)
        answer = stub.Check(request, timeout=PATIENCE)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, (service, answer)


def check_v1alpha(channel):
    """grpcio's own client of reflection speaks v1alpha."""
    database = ProtoReflectionDescriptorDatabase(channel)
    assert SERVICE in database.get_services()
    service = DescriptorPool(database).FindServiceByName(SERVICE)
    assert 'CreateEnvironment' in service.methods_by_name


def check_v1(channel):
    """The same messages under the newer name."""
    ask = channel.stream_stream(
        '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    requests = [reflection_pb2.ServerReflectionRequest(list_services=''),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)]
    services, files = ask(iter(requests), timeout=PATIENCE)
    assert SERVICE in [it.name for it in services.list_services_response.service]
    assert files.file_descriptor_response.file_descriptor_proto


def main():
    with grpc.insecure_channel(f'unix:{sys.argv[1]}') as channel:
        check_health(channel)
        check_v1alpha(channel)
        check_v1(channel)


if __name__ == '__main__':
    main()
