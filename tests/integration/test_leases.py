"""Leases end with their holders, and with nothing else."""
import os
import signal
import subprocess
import sys
import threading

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from host import IS_ROOT, PATIENCE, Host, archive, failure_of, ttl, wait_for

HOLD = pb.Holder(connection=pb.ConnectionHolder(grace_ms=PATIENCE * 1000))
CLIENT = '''
import sys, time, host
client = host.Client(sys.argv[1])
for i in range(int(sys.argv[3])):
    print(client.create([host.archive(sys.argv[2], 'a')]).lease_id, flush=True)
time.sleep(1000)
'''


@pytest.fixture
def source(host):
    return make_sample(host.sources / 'a.zip')


def spawn_client(host, source, leases=1):
    """A process that holds leases; and their ids."""
    process = subprocess.Popen([sys.executable, '-c', CLIENT, str(host.socket), str(source),
                                str(leases)], stdout=subprocess.PIPE, text=True)
    return process, [process.stdout.readline().strip() for _ in range(leases)]


def ids(client):
    return {lease.lease_id for lease in client.leases()}


def test_a_killed_holder_frees_all_it_held(host, client, source):
    process, held = spawn_client(host, source, 20)
    mine = client.create([archive(source, 'a')]).lease_id
    assert ids(client) == {mine, *held}
    process.kill()
    process.wait()
    wait_for(lambda: ids(client) == {mine}, 'the leases of a dead process to end')
    wait_for(lambda: set(os.listdir(host.state / 'leases')) == {mine}, 'their directories to go')
    assert client.status().counters.leases_expired == 20


def test_a_named_process_holds_the_lease(host, client, source):
    with subprocess.Popen(['sleep', '1000']) as sleeper:
        holder = pb.Holder(process=pb.ProcessHolder(pid=sleeper.pid))
        lease = client.create([archive(source, 'a')], holder=holder).lease_id
        assert client.leases()[0].holder_pid == sleeper.pid
        host.restart()
        assert ids(client) == {lease}
        sleeper.kill()
    wait_for(lambda: not ids(client), 'the lease to end')


def test_a_process_that_is_gone_or_not_ours_is_refused(client, source):
    with subprocess.Popen(['true']) as gone:
        gone.wait()
        failure = client.fail_to_create([archive(source, 'a')], holder=pb.Holder(
            process=pb.ProcessHolder(pid=gone.pid)))
    assert failure.code == grpc.StatusCode.FAILED_PRECONDITION
    assert failure.reason == 'HOLDER_NOT_VISIBLE' and str(gone.pid) in failure.message
    assert not ids(client)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: a process of another user')
def test_a_process_of_somebody_else_is_refused(client, source):
    with subprocess.Popen(['setpriv', '--reuid=65534', 'sleep', '1000']) as other:
        wait_for(lambda: os.stat(f'/proc/{other.pid}').st_uid == 65534, 'the other to be another')
        failure = client.fail_to_create([archive(source, 'a')], holder=pb.Holder(
            process=pb.ProcessHolder(pid=other.pid)))
        other.kill()
    assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')


def test_a_time_to_live_ends_and_can_be_renewed(client, source):
    short = client.create([archive(source, 'a')], holder=ttl(1)).lease_id
    long = client.create([archive(source, 'a')], holder=ttl(1000)).lease_id
    renewed = client.create([archive(source, 'a')], holder=ttl(2)).lease_id
    response = client.environments.RenewLease(pb.RenewLeaseRequest(lease_id=renewed, seconds=1000))
    expiry = {lease.lease_id: lease.expires_unix_ms for lease in client.leases()}
    assert expiry[renewed] == response.expires_unix_ms > expiry[long] - 1000
    wait_for(lambda: ids(client) == {long, renewed}, f'lease {short} to end')


def test_a_time_to_live_that_ends_while_the_daemon_is_down(host, client, source):
    client.create([archive(source, 'a')], holder=ttl(1))
    kept = client.create([archive(source, 'a')], holder=ttl(1000)).lease_id
    host.stop()
    host.start()
    wait_for(lambda: ids(client) == {kept}, 'the lease to end')
    host.expect_tidy(client)


def test_renewing_what_cannot_be(client, source):
    lease = client.create([archive(source, 'a')]).lease_id
    for name, code, reason in ((lease, grpc.StatusCode.FAILED_PRECONDITION, 'HOLDER_MISMATCH'),
                               ('nothing', grpc.StatusCode.NOT_FOUND, 'NOT_FOUND')):
        with pytest.raises(grpc.RpcError) as error:
            client.environments.RenewLease(pb.RenewLeaseRequest(lease_id=name, seconds=5))
        failure = failure_of(error.value)
        assert (failure.code, failure.reason) == (code, reason)


def test_a_stream_holds_a_lease_until_it_ends(host, client, source):
    lease = client.create([archive(source, 'a')], holder=HOLD).lease_id
    stream = client.environments.HoldLease(pb.HoldLeaseRequest(lease_id=lease))
    assert next(stream).lease_id == lease
    with pytest.raises(grpc.RpcError) as error:
        next(client.environments.HoldLease(pb.HoldLeaseRequest(lease_id=lease)))
    assert failure_of(error.value).reason == 'HOLDER_MISMATCH'
    assert ids(client) == {lease}
    stream.cancel()
    wait_for(lambda: not ids(client), 'the lease to end with its stream')
    host.expect_tidy(client)


def test_a_lease_that_nobody_holds_ends_after_its_grace_time(client, source):
    holder = pb.Holder(connection=pb.ConnectionHolder(grace_ms=50))
    client.create([archive(source, 'a')], holder=holder)
    wait_for(lambda: not ids(client), 'the lease to end')


def test_a_held_lease_waits_for_its_holder_over_a_restart(host, client, source):
    lease = client.create([archive(source, 'a')], holder=HOLD).lease_id
    stream = client.environments.HoldLease(pb.HoldLeaseRequest(lease_id=lease))
    next(stream)
    host.stop()
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE
    host.start()
    again = host.connect()
    stream = again.environments.HoldLease(pb.HoldLeaseRequest(lease_id=lease))
    assert next(stream).lease_id == lease
    stream.cancel()
    wait_for(lambda: not ids(again), 'the lease to end')


def test_releasing_a_held_lease_ends_its_stream(client, source):
    lease = client.create([archive(source, 'a')], holder=HOLD).lease_id
    stream = client.environments.HoldLease(pb.HoldLeaseRequest(lease_id=lease))
    next(stream)
    assert client.release(lease)
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    failure = failure_of(error.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.ABORTED, 'LEASE_RELEASED')


def test_leases_outlive_the_daemon(host, client, source):
    process, held = spawn_client(host, source, 3)
    before = {lease.lease_id: lease for lease in client.leases()}
    host.kill()
    host.start()
    after = {lease.lease_id: lease for lease in client.leases()}
    assert after == before and set(after) == set(held)
    for lease in after.values():
        assert os.path.isdir(f'{lease.working_directory}/a/d1')
    process.kill()
    process.wait()
    wait_for(lambda: not ids(client), 'the leases to end')
    host.expect_tidy(client)


def test_a_holder_that_dies_while_the_daemon_is_down(host, client, source):
    process, _ = spawn_client(host, source, 3)
    host.stop()
    process.kill()
    process.wait()
    host.start()
    assert not ids(client)
    host.expect_tidy(client)


def test_a_repeated_request_gives_the_same_lease(host, client, source):
    fields = {'archives': [archive(source, 'a'), archive(source, 'b')], 'request_id': 'one',
              'python': 'python3', 'holder': ttl()}
    first = client.create(**fields)
    again = client.create(**fields)
    host.restart()
    later = client.create(**fields)
    for other in (again, later):
        assert other.lease_id == first.lease_id
        assert other.variables == first.variables
        assert other.working_directory == first.working_directory
        assert other.dependency_hash == first.dependency_hash
        assert [layer.layer_id for layer in other.layers] == [
            layer.layer_id for layer in first.layers]
    assert client.create(**{**fields, 'request_id': 'two'}).lease_id != first.lease_id
    failure = client.fail_to_create(**{**fields, 'label': 'other'})
    assert (failure.code, failure.reason) == (grpc.StatusCode.ALREADY_EXISTS, 'REQUEST_ID_REUSED')
    assert client.release(first.lease_id)
    assert client.create(**fields).lease_id != first.lease_id


def test_requests_with_one_id_at_the_same_time_get_one_lease(host, source):
    clients = [host.connect() for _ in range(8)]
    leases = []
    threads = [threading.Thread(target=lambda it=it: leases.append(
        it.create([archive(source, 'a')], request_id='same', holder=ttl()).lease_id))
        for it in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == 8 and len(set(leases)) == 1
    assert ids(clients[0]) == set(leases)


def test_an_answer_that_cannot_be_delivered_leaves_no_lease(host, client, source):
    client.create([archive(source, 'a')])  # the layer is there: the answer comes at once
    before = ids(client)
    for _ in range(20):
        call = client.environments.CreateEnvironment.future(pb.CreateEnvironmentRequest(
            archives=[archive(source, 'a')]))
        call.cancel()
    with subprocess.Popen([sys.executable, '-c', CLIENT, str(host.socket), str(source), '50'],
                          stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    wait_for(lambda: ids(client) == before or client.leases()[0].holder_pid == os.getpid(),
             'the leases of the dead to end')
    # Of those that were cancelled some may have been delivered first; none leaks.
    for lease in client.leases():
        client.release(lease.lease_id)
    host.expect_tidy(client)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_only_the_owner_and_administrators_release(host, client, source):
    mine = client.create([archive(source, 'a')], holder=ttl()).lease_id
    done = host.ctl_as_user('release', mine)
    assert done.returncode == 1 and mine in done.stderr
    assert ids(client) == {mine}
    host.ctl_as_user('create', '--archive', f'{source}#a')
    theirs = (ids(client) - {mine}).pop()
    assert client.release(theirs)


def test_creates_that_come_together_keep_to_the_limit_together():
    with Host('--max-leases', '5') as host:
        client = host.connect()
        source = make_sample(host.sources / 'a.zip')
        assert client.release(client.create([archive(source, 'a')], holder=ttl()).lease_id)
        request = pb.CreateEnvironmentRequest(archives=[archive(source, 'a')], holder=ttl())
        calls = [client.environments.CreateEnvironment.future(request, timeout=60)
                 for _ in range(40)]
        failures = [failure_of(call.exception()) for call in calls if call.exception()]
        granted = {call.result().lease_id for call in calls if not call.exception()}
        assert len(granted) == 5 and len(failures) == 35
        assert {failure[:2] for failure in failures} == {
            (grpc.StatusCode.RESOURCE_EXHAUSTED, 'TOO_MANY')}
        assert {lease.lease_id for lease in client.leases()} == granted
        host.expect_tidy(client)
