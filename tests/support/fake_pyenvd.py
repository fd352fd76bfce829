"""A pyenvd that only answers: for tests of clients, by another gRPC implementation.

usage: fake_pyenvd.py DIRECTORY

Listens on DIRECTORY/sock and writes each call to DIRECTORY/calls, one JSON object a
line. What it does depends on the request: labels of creates, ids of the rest.
"""

import json
import os
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import pyenvd_pb2 as pb
import pyenvd_pb2_grpc as services

HASH = "0123456789abcdef" * 4
NOW = 1_700_000_000_000


def refuse(context, code, reason, message):
    info = error_details_pb2.ErrorInfo(reason=reason, domain="pyenvd")
    detail = any_pb2.Any()
    detail.Pack(info)
    context.abort_with_status(
        rpc_status.to_status(
            status_pb2.Status(code=code.value[0], message=message, details=[detail])
        )
    )


class Calls:
    """The record of calls."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.lock = threading.Lock()

    def add(self, **what):
        with self.lock:
            self.file.write(json.dumps(what) + "\n")
            self.file.flush()

    def begin(self, method, request, context):
        self.add(
            method=method,
            request=json_format.MessageToDict(request, preserving_proto_field_name=True),
            seconds=context.time_remaining(),
        )


class Environments(services.EnvironmentsServicer):
    def __init__(self, calls, directory):
        self.calls = calls
        self.directory = directory

    def result(self, request):
        work = os.path.join(self.directory, "work")
        os.makedirs(work, exist_ok=True)
        if request.label == "no-directory":
            work = os.path.join(self.directory, "absent")
        bin_directory = os.path.join(self.directory, "bin")
        variables = {
            "PATH": f"{bin_directory}:{request.base_variables.get('PATH', '/usr/bin:/bin')}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        variables.update(request.variables)
        return pb.CreateEnvironmentResponse(
            lease_id="lease1",
            dependency_hash=HASH,
            hit=False,
            layers=[
                pb.PreparedLayer(
                    layer_id="layer1",
                    source=archive.path,
                    origin=pb.LAYER_ORIGIN_MADE,
                    directory="/layers/layer1/tree",
                    size_bytes=3 << 20,
                )
                for archive in request.archives
            ],
            base_directory=self.directory,
            working_directory=work,
            interpreter="/usr/bin/python3" if request.python else "",
            variables=variables,
            timings=pb.Timings(total_us=1234567, resolve_us=400, prepare_us=5600, lease_us=100),
            beam_environment=b"\xff\xfe",
            expires_unix_ms=NOW if request.holder.HasField("time_to_live") else 0,
        )

    def check(self, request, context):
        if request.label == "refused":
            refuse(
                context,
                grpc.StatusCode.NOT_FOUND,
                "SOURCE_NOT_FOUND",
                "archive '/x': no such file\x1b[31m",
            )
        if request.label == "slow":
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(30)
            self.calls.add(method="gone")

    def CreateEnvironment(self, request, context):
        self.calls.begin("CreateEnvironment", request, context)
        self.check(request, context)
        return self.result(request)

    def CreateEnvironmentWithProgress(self, request, context):
        self.calls.begin("CreateEnvironmentWithProgress", request, context)
        for i in range(5):
            yield pb.CreateEnvironmentEvent(
                progress=pb.Progress(
                    source="/srv/ve\x1bnv.zip",
                    phase=pb.PHASE_EXTRACT,
                    done_bytes=i << 20,
                    total_bytes=4 << 20,
                )
            )
            time.sleep(0.02)
        self.check(request, context)
        if request.label != "no-result":
            yield pb.CreateEnvironmentEvent(result=self.result(request))

    def ReleaseEnvironment(self, request, context):
        self.calls.begin("ReleaseEnvironment", request, context)
        if request.lease_id == "foreign":
            refuse(context, grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED", "not yours")
        return pb.ReleaseEnvironmentResponse(released=request.lease_id != "gone")

    def ExplainEnvironment(self, request, context):
        self.calls.begin("ExplainEnvironment", request, context)
        difference = pb.Difference(kind="variable", name="A", text="variable A \033[31m only here")
        return pb.ExplainEnvironmentResponse(
            dependency_hash=HASH,
            known=request.request.label == "known",
            ready=True,
            components=[pb.Component(kind="variable", name="A")],
            nearest=pb.Environment(dependency_hash=HASH[::-1], last_used_unix_ms=NOW),
            differences=[difference],
        )

    def CreateRetrievalToken(self, request, context):
        self.calls.begin("CreateRetrievalToken", request, context)
        if request.lease_id == "gone":
            refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "there is no lease 'gone'")
        return pb.CreateRetrievalTokenResponse(retrieval_token="/leases/lease1/t.json")

    def RenewLease(self, request, context):
        self.calls.begin("RenewLease", request, context)
        return pb.RenewLeaseResponse(expires_unix_ms=NOW + request.seconds * 1000)

    def UploadArtifact(self, requests, context):
        header = next(requests).header
        size = 0
        if header.sha256 == "refused":
            refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED", "too large")
        if header.sha256 != "there":
            size = sum(len(request.chunk) for request in requests)
        return pb.UploadArtifactResponse(
            artifact=pb.Artifact(sha256=header.sha256, size_bytes=size),
            was_there=header.sha256 == "there",
        )

    def FindArtifact(self, request, context):
        if request.sha256 != "there":
            refuse(context, grpc.StatusCode.NOT_FOUND, "ARTIFACT_NOT_FOUND", "not there")
        return pb.FindArtifactResponse(artifact=pb.Artifact(sha256="there", size_bytes=7))

    def HoldLease(self, request, context):
        self.calls.begin("HoldLease", request, context)
        yield pb.HoldLeaseEvent(lease_id=request.lease_id)
        refuse(context, grpc.StatusCode.ABORTED, "LEASE_RELEASED", "released")


LEASES = [
    pb.Lease(
        lease_id=f"lease{i}",
        dependency_hash=HASH,
        uid=0,
        label="\x1b[31mred" if i == 1 else "",
        holder="process",
        holder_pid=4711,
        guardian_pid=4712,
        created_unix_ms=NOW,
    )
    for i in range(5)
]
LAYER = pb.Layer(
    layer_id="layer1",
    layer_key=HASH,
    kind="archive",
    state=pb.LAYER_STATE_READY,
    size_bytes=3 << 20,
    entries=17,
    durable=True,
    created_unix_ms=NOW,
    directory="/layers/layer1/tree",
)
ENVIRONMENT = pb.Environment(
    dependency_hash=HASH,
    uid=0,
    has_uid=True,
    uses=3,
    size_bytes=5 << 30,
    components=[pb.Component(kind="archive", name="venv", value=HASH)],
    layer_ids=["layer1"],
)


class Admin(services.AdminServicer):
    def __init__(self, calls):
        self.calls = calls

    def GetStatus(self, request, context):
        self.calls.begin("GetStatus", request, context)
        return pb.GetStatusResponse(
            version="9.9",
            state=pb.SERVING_STATE_SERVING,
            pid=os.getpid(),
            started_unix_ms=NOW,
            state_directory="/var/lib/pyenvd",
            layers=2,
            layer_bytes=5 << 30,
            counters=pb.Counters(creates=7, create_hits=6),
            limitations=["no Landlock"],
        )

    def ListLeases(self, request, context):
        self.calls.begin("ListLeases", request, context)
        begin = int(request.page_token or "0")
        end = begin + 2
        return pb.ListLeasesResponse(
            leases=LEASES[begin:end], next_page_token=str(end) if end < len(LEASES) else ""
        )

    def ListLayers(self, request, context):
        self.calls.begin("ListLayers", request, context)
        return pb.ListLayersResponse(layers=[LAYER])

    def ListEnvironments(self, request, context):
        self.calls.begin("ListEnvironments", request, context)
        return pb.ListEnvironmentsResponse(environments=[ENVIRONMENT])

    def ListCreations(self, request, context):
        self.calls.begin("ListCreations", request, context)
        return pb.ListCreationsResponse(
            creations=[pb.Creation(creation_id="c1", kind="layer", subject="/x", phase=99)]
        )

    def Show(self, request, context):
        self.calls.begin("Show", request, context)
        if request.id == "lease1":
            return pb.ShowResponse(lease=LEASES[1])
        if request.id == "layer1":
            return pb.ShowResponse(layer=LAYER)
        if HASH.startswith(request.id):
            return pb.ShowResponse(environment=ENVIRONMENT)
        return refuse(
            context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"no such thing: {request.id}"
        )

    def Collect(self, request, context):
        self.calls.begin("Collect", request, context)
        return pb.CollectResponse(layers=[LAYER], freed_bytes=3 << 20, kept_bytes=0)


def main():
    directory = sys.argv[1]
    calls = Calls(os.path.join(directory, "calls"))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    services.add_EnvironmentsServicer_to_server(Environments(calls, directory), server)
    services.add_AdminServicer_to_server(Admin(calls), server)
    server.add_insecure_port(f"unix:{directory}/sock")
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(0).wait()


if __name__ == "__main__":
    main()
