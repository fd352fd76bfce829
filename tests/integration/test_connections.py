"""Connections: how many, how long, who may, and clients that behave badly."""
import os
import pathlib
import socket
import stat
import struct
import subprocess
import sys
import threading

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from host import DAEMON, IS_ROOT, WORKER, Client, Host, archive, ttl, wait_for
from remote import Remote

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\0\0\0\4\0\0\0\0\0'
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        '>I', stream) + payload


def literal(name, value):
    """A header field of HPACK, never indexed, without Huffman's code."""
    return b'\x10' + bytes([len(name)]) + name + bytes([len(value)]) + value


def request_headers(path, **more):
    fields = {b':method': b'POST', b':scheme': b'http', b':path': path, b':authority': b'x',
              b'content-type': b'application/grpc', b'te': b'trailers'}
    return b''.join(literal(name, value) for name, value in fields.items())


GET_STATUS = request_headers(b'/pyenvd.v1.Admin/GetStatus')


class Raw:
    """A connection of our own, frame by frame."""

    def __init__(self, host):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(host.socket))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b''.join(parts))

    def exactly(self, count):
        data = b''
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def frames(self):
        """(kind, flags, stream, payload) until the other side ends."""
        while True:
            try:
                head = self.exactly(9)
                size = int.from_bytes(head[:3], 'big')
                yield head[3], head[4], int.from_bytes(head[5:], 'big'), self.exactly(size)
            except (EOFError, ConnectionResetError):
                return

    def next_of(self, kind, stream=None):
        for it in self.frames():
            if it[0] == kind and stream in (None, it[2]):
                return it
        raise AssertionError(f'no frame of kind {kind} came')


# ---- who may connect

@pytest.mark.skipif(not IS_ROOT, reason='only root may become other users')
def test_only_the_group_may_connect(host):
    status = os.stat(host.socket)
    assert stat.S_IMODE(status.st_mode) == 0o660
    with Remote(host, uid=4242) as member:
        assert member.call('status').pid == host.pid
    with Remote(host, uid=4242, gid=4242) as stranger:
        assert stranger.fail('status').code == grpc.StatusCode.UNAVAILABLE
    with Remote(host, uid=4242, gid=4242, groups=[status.st_gid]) as member:
        assert member.call('status').pid == host.pid


@pytest.mark.skipif(not IS_ROOT, reason='only root may become other users')
def test_members_of_the_administrators_group_see_and_do_everything():
    with Host('--admin-group', 'daemon') as host:
        source = make_sample(host.sources / 'a.zip')
        lease = host.connect().create([archive(source, 'a')]).lease_id
        group = int(subprocess.check_output(['getent', 'group', 'daemon'], text=True).split(':')[2])
        with Remote(host, uid=4242, groups=[group]) as administrator:
            assert [it.lease_id for it in administrator.call('leases')] == [lease]
            assert administrator.call('release', lease)
            assert len(administrator.call('collect').layers) == 1
        with Remote(host, uid=4243) as other:
            assert other.fail('collect')[:2] == (
                grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')


# ---- how many, and how long

def test_one_connection_too_many_is_closed_and_the_others_stay():
    with Host('--max-connections', '3') as host:
        raws = [Raw(host) for _ in range(3)]
        for raw in raws:
            raw.send(PREFACE)
            raw.next_of(SETTINGS)
        with Raw(host) as fourth:
            assert not list(fourth.frames())
        raws[0].send(frame(PING, 0, 0, b'12345678'))
        assert raws[0].next_of(PING)[3] == b'12345678'
        raws.pop().socket.close()
        wait_for(lambda: can_ask(host), 'a place to be free again')
        for raw in raws:
            raw.socket.close()


def can_ask(host):
    client = Client(host.socket)
    try:
        return client.status().pid == host.pid
    except grpc.RpcError:
        return False
    finally:
        client.close()


def test_an_idle_connection_is_closed_and_a_held_lease_is_not_idle():
    with Host('--idle-timeout', '1') as host:
        client = host.connect()
        response = client.create(holder=pb.Holder(connection=pb.ConnectionHolder()))
        stream = client.environments.HoldLease(pb.HoldLeaseRequest(lease_id=response.lease_id))
        assert next(stream).lease_id == response.lease_id
        with Raw(host) as raw:
            raw.send(PREFACE)
            # It never answers, and is not asked for ever.
            for count, _ in enumerate(raw.frames()):
                assert count < 100
        assert [it.lease_id for it in client.leases()] == [response.lease_id]
        stream.cancel()


def test_more_calls_than_streams_wait_their_turn():
    with Host('--max-streams', '4') as host:
        client = host.connect()
        calls = [client.environments.CreateEnvironment.future(
            pb.CreateEnvironmentRequest(label=str(i))) for i in range(100)]
        assert len({call.result().lease_id for call in calls}) == 100


def test_streams_beyond_the_limit_are_refused_one_by_one():
    with Host('--max-streams', '2') as host, Raw(host) as raw:
        raw.send(PREFACE, *(frame(HEADERS, END_HEADERS, 2 * i + 1, GET_STATUS) for i in range(4)))
        refused = {raw.next_of(RST_STREAM)[2:] for _ in range(2)}
        assert refused == {(5, b'\0\0\0\7'), (7, b'\0\0\0\7')}
        raw.send(frame(DATA, END_STREAM, 1, b'\0' * 5))
        assert raw.next_of(DATA, 1)


# ---- flow control

def test_a_long_answer_comes_whole_through_a_small_window(host, client):
    """Some 500 KB, eight times what may be under way unasked."""
    calls = [client.environments.CreateEnvironment.future(pb.CreateEnvironmentRequest(
        label='x' * 250, request_id=f'{i:0128}', holder=ttl())) for i in range(900)]
    made = {call.result().lease_id for call in calls}
    leases = client.admin.ListLeases(pb.ListRequest(page_size=1000)).leases
    assert {it.lease_id for it in leases} == made
    with Raw(host) as raw:
        body = pb.ListRequest(page_size=1000).SerializeToString()
        raw.send(PREFACE, frame(HEADERS, END_HEADERS, 1, request_headers(
            b'/pyenvd.v1.Admin/ListLeases')),
            frame(DATA, END_STREAM, 1, struct.pack('>BI', 0, len(body)) + body))
        data = b''
        for kind, flags, stream, payload in raw.frames():
            if kind == HEADERS and flags & END_STREAM:
                break
            if kind == DATA:
                data += payload
                increment = struct.pack('>I', len(payload))
                raw.send(frame(WINDOW_UPDATE, 0, 0, increment),
                         frame(WINDOW_UPDATE, 0, 1, increment))
    assert len(pb.ListLeasesResponse.FromString(data[5:]).leases) == 900


def test_who_does_not_read_delays_nobody(host, client):
    with Raw(host) as raw:
        client.create(label='x' * 250)
        ask = frame(HEADERS, END_HEADERS, 0, request_headers(b'/pyenvd.v1.Admin/ListLeases'))
        raw.send(PREFACE)
        for i in range(100):
            stream = struct.pack('>I', 2 * i + 1)
            raw.send(ask[:5] + stream + ask[9:], frame(DATA, END_STREAM, 2 * i + 1, b'\0' * 5))
        assert client.status().pid == host.pid
    assert client.status().pid == host.pid


def test_a_message_in_crumbs(host):
    with Raw(host) as raw:
        body = pb.CreateEnvironmentRequest(label='crumbs').SerializeToString()
        message = struct.pack('>BI', 0, len(body)) + body
        raw.send(PREFACE, frame(HEADERS, END_HEADERS, 1, request_headers(
            b'/pyenvd.v1.Environments/CreateEnvironment')))
        for i, byte in enumerate(message):
            last = END_STREAM if i == len(message) - 1 else 0
            for piece in frame(DATA, last, 1, bytes([byte])):
                raw.send(bytes([piece]))
        assert raw.next_of(DATA, 1)[3][5:]


# ---- clients that behave badly

BAD = {
    'nothing at all': b'',
    'half a preface': PREFACE[:10],
    'another protocol': b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 200,
    'headers for ever': PREFACE + frame(HEADERS, 0, 1, GET_STATUS) + b''.join(
        frame(CONTINUATION, 0, 1, literal(b'x%03d' % i, b'y' * 120)) for i in range(2000)),
    'empty continuations': PREFACE + frame(HEADERS, 0, 1, GET_STATUS) + frame(
        CONTINUATION, 0, 1) * 20000,
    'settings for ever': PREFACE + frame(SETTINGS, 0, 0) * 50000,
    'pings for ever': PREFACE + frame(PING, 0, 0, b'12345678') * 50000,
    'windows for ever': PREFACE + frame(WINDOW_UPDATE, 0, 0, b'\x7f\xff\xff\xff') * 3,
    'empty data for ever': PREFACE + frame(HEADERS, END_HEADERS, 1, GET_STATUS) + frame(
        DATA, 0, 1) * 50000,
    'streams opened and reset': PREFACE + b''.join(
        frame(HEADERS, END_HEADERS, 2 * i + 1, GET_STATUS) + frame(
            RST_STREAM, 0, 2 * i + 1, b'\0\0\0\x08') for i in range(5000)),
    'a message that claims four gigabytes': PREFACE + frame(
        HEADERS, END_HEADERS, 1, GET_STATUS) + frame(DATA, 0, 1, b'\0\xff\xff\xff\xff'),
    'a compressed message': PREFACE + frame(HEADERS, END_HEADERS, 1, GET_STATUS) + frame(
        DATA, END_STREAM, 1, b'\1\0\0\0\2ab'),
    'no path': PREFACE + frame(HEADERS, END_HEADERS, 1, literal(b':method', b'POST')),
    'numbers that go back': PREFACE + frame(HEADERS, END_HEADERS, 5, GET_STATUS) + frame(
        HEADERS, END_HEADERS, 3, GET_STATUS),
}


@pytest.mark.parametrize('what', BAD)
def test_a_client_that_sends(host, client, what):
    with Raw(host) as raw:
        try:
            raw.send(BAD[what])
            raw.socket.shutdown(socket.SHUT_WR)
            for _ in raw.frames():
                pass
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass
    assert client.status().pid == host.pid
    assert not client.leases()
    memory = pathlib.Path(f'/proc/{host.pid}/status').read_text()
    peak = int(memory.split('VmHWM:')[1].split()[0])
    assert peak < 200_000 or 'asan' in str(DAEMON), 'more than 200 MB for one bad client'


def test_a_client_that_goes_in_the_middle_of_a_request(host, client):
    for cut in (30, 60, 100, 200):
        body = pb.CreateEnvironmentRequest(label='x' * 200).SerializeToString()
        data = PREFACE + frame(HEADERS, END_HEADERS, 1, request_headers(
            b'/pyenvd.v1.Environments/CreateEnvironment')) + frame(
            DATA, END_STREAM, 1, struct.pack('>BI', 0, len(body)) + body)
        with Raw(host) as raw:
            raw.send(data[:cut])
    assert client.status().pid == host.pid
    wait_for(lambda: not client.leases(), 'no lease to be left')


def test_compression_that_is_not_offered_is_said_so(host):
    with grpc.insecure_channel(f'unix:{host.socket}', compression=grpc.Compression.Gzip) as channel:
        call = channel.unary_unary('/pyenvd.v1.Environments/CreateEnvironment')
        with pytest.raises(grpc.RpcError) as caught:
            call(pb.CreateEnvironmentRequest(label='x' * 200).SerializeToString(), timeout=60)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_many_clients_come_and_go(host, client):
    def come_and_go():
        for _ in range(20):
            other = Client(host.socket)
            other.release(other.create().lease_id)
            other.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.status().counters.leases_released == 200
    host.expect_tidy(client)
    descriptors = f'/proc/{host.pid}/fd'
    wait_for(lambda: len(os.listdir(descriptors)) < 40, 'the descriptors to be closed')


# ---- started by somebody

def test_systemd_is_told_when_it_is_ready_and_when_it_stops(host):
    host.stop()
    path = host.directory / 'notify'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        path.chmod(0o777)
        notify.settimeout(60)
        os.environ['NOTIFY_SOCKET'] = str(path)
        try:
            host.start()
        finally:
            del os.environ['NOTIFY_SOCKET']
        told = notify.recv(4096).decode()
        assert 'READY=1' in told.split('\n')
        host.stop()
        assert 'STOPPING=1' in notify.recv(4096).decode().split('\n')


ACTIVATE = """
import os, socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
listening.listen(16)
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_can_be_taken_from_systemd(host):
    """What connects before the daemon listens is served, and the socket stays behind."""
    path = host.directory / 'activated.sock'
    with subprocess.Popen([sys.executable, '-c', ACTIVATE, str(path), str(DAEMON), '--state-dir',
                           str(host.directory / 'activated'), '--socket', str(path),
                           '--worker-program', str(WORKER)], stderr=subprocess.PIPE) as daemon:
        wait_for(path.exists, 'the socket')
        client = Client(path)
        wait_for(lambda: can_ask_at(client), 'an answer')
        source = make_sample(host.sources / 'a.zip')
        assert client.create([archive(source, 'a')]).lease_id
        client.close()
        daemon.terminate()
        assert daemon.wait(60) == 0
        daemon.stderr.close()
    assert path.exists()


def can_ask_at(client):
    try:
        return client.status().pid
    except grpc.RpcError:
        return 0
