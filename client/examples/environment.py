"""Takes an environment, starts Python in it, and gives it back. Needs grpcio and grpcio-tools.

    python environment.py SOCKET PROTO-DIRECTORY ARCHIVE
"""
import subprocess
import sys

import grpc

socket, protos, archive = sys.argv[1:]
sys.path.append(protos)
pb, rpc = grpc.protos_and_services('pyenvd/v1/pyenvd.proto')

with grpc.insecure_channel(f'unix:{socket}') as channel:
    environments = rpc.EnvironmentsStub(channel)
    lease = environments.CreateEnvironment(pb.CreateEnvironmentRequest(
        archives=[pb.Archive(path=archive, target_dir='venv')], python='venv/bin/python'))
    try:
        subprocess.run([lease.interpreter, '-c', 'import sys; print(sys.prefix)'], check=True,
                       cwd=lease.working_directory, env=dict(lease.variables))
    finally:
        environments.ReleaseEnvironment(pb.ReleaseEnvironmentRequest(lease_id=lease.lease_id))
