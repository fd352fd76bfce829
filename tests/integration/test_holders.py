"""Holders that are hard to tell apart, and ends that are hard to notice."""
import os
import stat
import subprocess
import threading

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from host import IS_ROOT, archive, failure_of, ttl, wait_for
from remote import Remote

needs_root = pytest.mark.skipif(not IS_ROOT, reason='only root may become other users')
OTHER = 4242


@pytest.fixture
def source(host):
    return make_sample(host.sources / 'a.zip')


@pytest.fixture
def sleeper():
    process = subprocess.Popen(['sleep', 'infinity'])
    yield process
    process.kill()
    process.wait()


def process(pid=0):
    return pb.Holder(process=pb.ProcessHolder(pid=pid))


def connection(grace_ms=0):
    return pb.Holder(connection=pb.ConnectionHolder(grace_ms=grace_ms))


def hold(client, lease_id):
    """An open HoldLease stream that holds; .cancel() ends it."""
    stream = client.environments.HoldLease(pb.HoldLeaseRequest(lease_id=lease_id))
    assert next(stream).lease_id == lease_id
    return stream


def end_of(stream):
    """Why a HoldLease stream ended."""
    with pytest.raises(grpc.RpcError) as caught:
        next(stream)
    return failure_of(caught.value)


def renew(client, lease_id, seconds):
    request = pb.RenewLeaseRequest(lease_id=lease_id, seconds=seconds)
    return client.environments.RenewLease(request, timeout=60).expires_unix_ms


def expect_ended(client, *responses):
    """The leases are gone, with their directories; the layers stay."""
    ids = {response.lease_id for response in responses}
    wait_for(lambda: not ids & {lease.lease_id for lease in client.leases()}, 'the leases to end')
    for response in responses:
        wait_for(lambda: not os.path.exists(response.base_directory), 'the directory to go')
        for layer in response.layers:
            assert os.path.isdir(layer.directory)


def expect_alive(client, *responses):
    ids = {lease.lease_id for lease in client.leases()}
    for response in responses:
        assert response.lease_id in ids
        assert os.listdir(response.working_directory)


# ---- processes

def test_a_lease_outlives_who_asked_for_it_when_another_process_holds_it(
        host, client, source, sleeper):
    with Remote(host) as other:
        response = other.call('create', [archive(source, 'a')], holder=process(sleeper.pid))
    expect_alive(client, response)
    assert client.leases()[0].holder == 'process'
    assert client.leases()[0].holder_pid == sleeper.pid
    sleeper.kill()
    expect_ended(client, response)


def test_a_process_that_has_ended_but_was_not_waited_for_holds_nothing(host, client, source):
    zombie = subprocess.Popen(['true'])
    wait_for(lambda: os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT), 'it to end')
    failure = client.fail_to_create([archive(source, 'a')], holder=process(zombie.pid))
    zombie.wait()
    assert failure[:2] == (grpc.StatusCode.FAILED_PRECONDITION, 'HOLDER_NOT_VISIBLE')
    assert not client.leases()


def test_a_thread_is_no_process(host, client, source):
    going, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (going.set(), done.wait()))
    thread.start()
    going.wait()
    failure = client.fail_to_create([archive(source, 'a')], holder=process(thread.native_id))
    done.set()
    thread.join()
    assert failure[:2] == (grpc.StatusCode.FAILED_PRECONDITION, 'HOLDER_NOT_VISIBLE')


@needs_root
def test_a_client_in_another_pid_namespace(host, client, source):
    """It may hold by itself, when the daemon sees it; a pid that it names means nothing."""
    with Remote(host, prefix=['unshare', '--pid', '--fork', '--kill-child', '--']) as other:
        response = other.call('create', [archive(source, 'a')])
        failure = other.fail('create', [archive(source, 'a')], holder=process(1))
        assert failure[:2] == (grpc.StatusCode.FAILED_PRECONDITION, 'HOLDER_NOT_VISIBLE')
        assert 'namespace' in failure.message
        expect_alive(client, response)
    expect_ended(client, response)


# ---- time

def test_renewing_gives_a_lease_more_time(host, client, source):
    response = client.create([archive(source, 'a')], holder=ttl(3))
    expires = renew(client, response.lease_id, 3600)
    assert expires > response.expires_unix_ms + 3_000_000
    assert client.leases()[0].expires_unix_ms == expires
    brief = client.create([archive(source, 'a')], holder=ttl(4))
    expect_ended(client, brief)
    expect_alive(client, response)
    renew(client, response.lease_id, 1)
    expect_ended(client, response)


# ---- connections

def test_a_lease_ends_with_the_connection_that_holds_it(host, client, source):
    response = client.create([archive(source, 'a')], holder=connection())
    other = host.connect()
    hold(other, response.lease_id)
    other.close()
    expect_ended(client, response)


def test_a_held_lease_waits_to_be_held_again_after_a_restart(host, client, source):
    response = client.create([archive(source, 'a')], holder=connection())
    brief = client.create([archive(source, 'a')], holder=connection(grace_ms=1000))
    streams = [hold(client, it.lease_id) for it in (response, brief)]
    host.restart()
    for stream in streams:
        assert end_of(stream).code == grpc.StatusCode.UNAVAILABLE
    again = host.connect()
    stream = hold(again, response.lease_id)
    expect_ended(again, brief)
    expect_alive(again, response)
    stream.cancel()
    expect_ended(again, response)


# ---- the daemon comes and goes

@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_leases_live_through_a_restart(host, client, source, sleeper, end):
    kept = [client.create([archive(source, 'a')], holder=holder)
            for holder in (process(sleeper.pid), ttl(3600), None)]
    getattr(host, end)()
    host.start()
    again = host.connect()
    expect_alive(again, *kept)
    assert len(again.leases()) == 3
    sleeper.kill()
    expect_ended(again, kept[0])
    expect_alive(again, *kept[1:])
    assert again.create([archive(source, 'a')]).layers[0].origin == pb.LAYER_ORIGIN_FOUND
    host.expect_tidy(again)


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_leases_whose_holder_ended_while_the_daemon_was_down_are_gone(
        host, client, source, sleeper, end):
    responses = [client.create([archive(source, 'a')], holder=process(sleeper.pid)),
                 client.create([archive(source, 'a')], holder=ttl(1))]
    with Remote(host) as other:
        responses.append(other.call('create', [archive(source, 'a')]))
        getattr(host, end)()
        sleeper.kill()
        sleeper.wait()
    host.start()
    again = host.connect()
    expect_ended(again, *responses)
    host.expect_tidy(again)


# ---- requests that are repeated

@pytest.mark.parametrize('change', [
    {'label': 'other'}, {'variables': {'A': '1'}}, {'holder': ttl(7)}, {'python_path': '/x'}])
def test_another_request_under_the_same_id_is_refused(host, client, source, change):
    fields = dict(archives=[archive(source, 'a')], request_id='r1', holder=ttl())
    first = client.create(**fields)
    failure = client.fail_to_create(**{**fields, **change})
    assert failure[:2] == (grpc.StatusCode.ALREADY_EXISTS, 'REQUEST_ID_REUSED')
    assert 'r1' in failure.message and first.lease_id in failure.message
    expect_alive(client, first)
    assert len(client.leases()) == 1


@needs_root
def test_request_ids_are_each_users_own(host, client, source):
    first = client.create([archive(source, 'a')], request_id='r1')
    with Remote(host, uid=OTHER) as other:
        second = other.call('create', [archive(source, 'a')], request_id='r1')
        assert second.lease_id != first.lease_id


# ---- release

@needs_root
def test_a_lease_is_its_users_and_the_administrators(host, client, source):
    with Remote(host, uid=OTHER) as other, \
            Remote(host, uid=OTHER + 1) as stranger:
        response = other.call('create', [archive(source, 'a')])
        failure = stranger.fail('release', response.lease_id)
        assert failure[:2] == (grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')
        renewal = pb.RenewLeaseRequest(lease_id=response.lease_id, seconds=1)
        failure = stranger.fail('environments.RenewLease', renewal)
        assert failure[:2] == (grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')
        # What is not theirs is not even there.
        for thing in (response.lease_id, response.layers[0].layer_id, response.dependency_hash):
            failure = stranger.fail('admin.Show', pb.ShowRequest(id=thing))
            assert failure[:2] == (grpc.StatusCode.NOT_FOUND, 'NOT_FOUND')
        expect_alive(client, response)
        status = os.stat(response.base_directory)
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (OTHER, 0o700)
        assert client.release(response.lease_id)
        expect_ended(client, response)


def test_what_a_task_leaves_in_its_directory_goes_with_the_lease(host, client, source):
    """Even what it made hard to remove, and never what its links point to."""
    victim = host.sources / 'victim'
    victim.mkdir()
    (victim / 'file').write_text('keep me')
    response = client.create([archive(source, 'a')])
    work = response.working_directory
    os.symlink(victim, f'{work}/link')
    deep = os.open(work, os.O_RDONLY)
    for name in ['deep', *['d' * 200] * 30]:
        os.mkdir(name, dir_fd=deep)
        above, deep = deep, os.open(name, os.O_RDONLY, dir_fd=deep)
        os.close(above)
    os.close(os.open('file', os.O_CREAT | os.O_WRONLY, dir_fd=deep))
    os.close(deep)
    os.mkfifo(f'{work}/fifo')
    os.chmod(f'{work}/deep', 0)
    client.release(response.lease_id)
    expect_ended(client, response)
    assert (victim / 'file').read_text() == 'keep me'
    host.expect_tidy(client)
