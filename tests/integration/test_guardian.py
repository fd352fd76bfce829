"""Guardians: processes that a holder is not to outlive. A plain process stands in for a JVM."""
import json
import os
import pathlib
import signal
import subprocess
import sys

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from host import CTL, IS_ROOT, Host, archive, state_of, wait_for
from remote import Remote

needs_root = pytest.mark.skipif(not IS_ROOT, reason='only root may become other users')
USER = 4242
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

# A holder tells when it is ready, with the pid of its child if it has one.
WELL_BEHAVED = """
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
"""
DEAF = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
"""
WITH_DEAF_CHILD = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
signal.signal(signal.SIGTERM, signal.SIG_DFL if child else signal.SIG_IGN)
"""


@pytest.fixture
def source(host):
    return make_sample(host.sources / 'a.zip')


@pytest.fixture
def start():
    """Starts processes, which do not outlive the test."""
    started = []

    def start_one(what='', uid=None, **options):
        # It may be started from where only its parent may read.
        user = f'os.setgroups([]); os.setresgid(*[{uid}] * 3); os.setresuid(*[{uid}] * 3)\n'
        script = ('import os, signal\nchild = None\n' + (user if uid else '') + what +
                  'if child != 0: print(child or 0, flush=True)\n'
                  'while True: signal.pause()\n')
        process = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE,
                                   cwd='/', text=True, **options)
        started.append(process)
        process.child = int(process.stdout.readline())
        return process
    yield start_one
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def guarded(holder, guardian):
    return pb.Holder(process=pb.ProcessHolder(pid=holder, guardian_pid=guardian))


def held(holder):
    return pb.Holder(process=pb.ProcessHolder(pid=holder))


def kill(process):
    process.kill()
    process.wait()


def is_gone(pid):
    return state_of(pid) in ('', 'Z')


def expect_ended(host, client, *responses):
    ids = {response.lease_id for response in responses}
    wait_for(lambda: not ids & {lease.lease_id for lease in client.leases()}, 'the leases to end')
    for response in responses:
        wait_for(lambda: not os.path.exists(response.base_directory), 'the directory to go')
    host.expect_tidy(client)


def expect_alive(client, response, *processes):
    assert response.lease_id in {lease.lease_id for lease in client.leases()}
    assert os.listdir(response.working_directory)
    for process in processes:
        assert process.poll() is None


# ---- how a holder is ended

@pytest.mark.parametrize('session', [True, False])
def test_a_holder_ends_with_its_guardian(host, client, source, start, session):
    guardian = start()
    holder = start(WELL_BEHAVED, start_new_session=session)
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kill(guardian)
    assert holder.wait() == 7
    expect_ended(host, client, response)


@pytest.mark.parametrize('session', [True, False])
def test_a_holder_that_does_not_listen_is_killed(host, client, source, start, session):
    guardian = start()
    holder = start(DEAF, start_new_session=session)
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kill(guardian)
    assert holder.wait() == -signal.SIGKILL
    expect_ended(host, client, response)


def test_a_guardian_may_end_in_any_way(host, client, source, start):
    guardian = subprocess.Popen(['cat'], stdin=subprocess.PIPE)
    holder = start()
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    expect_alive(client, response, holder)
    guardian.stdin.close()
    assert guardian.wait() == 0
    assert holder.wait() == -signal.SIGTERM
    expect_ended(host, client, response)


def test_what_a_leader_has_started_is_ended_with_it(host, client, source, start):
    guardian, holder = start(), start(WITH_DEAF_CHILD, start_new_session=True)
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    assert not is_gone(holder.child)
    kill(guardian)
    assert holder.wait() == -signal.SIGTERM
    wait_for(lambda: is_gone(holder.child), 'the child to be ended')
    expect_ended(host, client, response)


def test_who_does_not_lead_its_group_is_ended_alone(host, client, source, start):
    """All of these are in one group, and this program is, too."""
    guardian, other, holder = start(), start(), start(WITH_DEAF_CHILD)
    assert {os.getpgid(it.pid) for it in (guardian, other, holder)} == {os.getpgrp()}
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kill(guardian)
    assert holder.wait() == -signal.SIGTERM
    expect_ended(host, client, response)
    assert other.poll() is None and not is_gone(holder.child)
    os.kill(holder.child, signal.SIGKILL)


@needs_root
def test_a_holder_is_ended_as_its_user(host, client, source, start):
    """The daemon has no right to end it, nor is it root that does."""
    guardian = start(uid=USER)
    holders = [start(what, uid=USER, start_new_session=True)
               for what in (WELL_BEHAVED, DEAF)]
    with Remote(host, uid=USER) as user:
        responses = [user.call('create', [archive(source, 'a')],
                               holder=guarded(holder.pid, guardian.pid)) for holder in holders]
    kill(guardian)
    assert [holder.wait() for holder in holders] == [7, -signal.SIGKILL]
    expect_ended(host, client, *responses)


@needs_root
def test_a_daemon_of_ones_own_ends_holders(start):
    with Host(uid=USER) as host:
        source = make_sample(host.sources / 'a.zip')
        guardian, other = (start(uid=USER) for _ in range(2))
        holder = start(WITH_DEAF_CHILD, uid=USER, start_new_session=True)
        with Remote(host, uid=USER, gid=USER) as user:
            response = user.call('create', [archive(source, 'a')],
                                 holder=guarded(holder.pid, guardian.pid))
            kill(guardian)
            assert holder.wait() == -signal.SIGTERM
            wait_for(lambda: not user.call('leases'), 'the lease to end')
            wait_for(lambda: is_gone(holder.child), 'the child to be ended')
        wait_for(lambda: not os.path.exists(response.base_directory), 'the directory to go')
        assert other.poll() is None and host.process.poll() is None


# ---- and nobody else

def test_of_two_task_managers_in_one_group_one_is_killed(host, client, source):
    """Each has workers that lead groups of their own, and one that does not."""
    run = f"'{CTL}' --socket '{host.socket}' run --guardian $$ --label $1 -a '{source}#a'"
    script = (f'setsid {run} -- sleep infinity & '
              f"setsid {run} -- sh -c 'sleep infinity & sleep infinity' & "
              f'{run} -- sleep infinity & wait')
    managers = {label: subprocess.Popen(['sh', '-c', script, 'manager', label])
                for label in ('one', 'two')}
    try:
        wait_for(lambda: len(client.leases()) == 6, 'all workers to be there')
        assert {os.getpgid(it.pid) for it in managers.values()} == {os.getpgrp()}
        leases = {label: [it for it in client.leases() if it.label == label] for label in managers}
        for label, manager in managers.items():
            assert {it.guardian_pid for it in leases[label]} == {manager.pid}
        kill(managers['one'])
        expect_ended(host, client, *leases['one'])
        assert all(is_gone(it.holder_pid) for it in leases['one'])
        assert managers['two'].poll() is None
        assert len(client.leases()) == 3
        for lease in leases['two']:
            assert not is_gone(lease.holder_pid)
            assert os.listdir(lease.working_directory)
    finally:
        for manager in managers.values():
            kill(manager)
    wait_for(lambda: not client.leases(), 'all leases to end')
    host.expect_tidy(client)


def test_whose_lease_was_released_is_not_ended(host, client, source, start):
    guardian, released, holder = (start() for _ in range(3))
    first = client.create([archive(source, 'a')], holder=guarded(released.pid, guardian.pid))
    second = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    assert client.release(first.lease_id)
    kill(guardian)
    assert holder.wait() == -signal.SIGTERM
    expect_ended(host, client, first, second)
    assert released.poll() is None


def test_all_leases_of_a_holder_end_with_it_and_no_others(host, client, source, start):
    guardian, holder, other = (start() for _ in range(3))
    ended = [client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid)),
             client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid)),
             client.create([archive(source, 'a')], holder=held(holder.pid))]
    kept = client.create([archive(source, 'a')], holder=held(other.pid))
    kept_too = client.create([archive(source, 'a')], holder=guarded(other.pid, os.getpid()))
    kill(guardian)
    assert holder.wait() == -signal.SIGTERM
    expect_ended(host, client, *ended)
    expect_alive(client, kept, other)
    expect_alive(client, kept_too)


def test_a_holder_that_ends_by_itself_needs_no_ending(host, client, source, start):
    guardian, holder = start(), start()
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kill(holder)
    expect_ended(host, client, response)
    kill(guardian)
    assert host.stop() == 0
    assert 'guardian-ended' not in host.log.read_text()


# ---- the daemon comes and goes

@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_guardian_is_watched_after_a_restart(host, client, source, start, end):
    guardian, holder, other = (start() for _ in range(3))
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kept = client.create([archive(source, 'a')], holder=guarded(other.pid, os.getpid()))
    getattr(host, end)()
    host.start()
    again = host.connect()
    expect_alive(again, response, holder)
    kill(guardian)
    assert holder.wait() == -signal.SIGTERM
    expect_ended(host, again, response)
    expect_alive(again, kept, other)


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_guardian_that_ended_while_the_daemon_was_down(host, client, source, start, end):
    guardian, holder, other = start(), start(DEAF), start()
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kept = client.create([archive(source, 'a')], holder=guarded(other.pid, os.getpid()))
    getattr(host, end)()
    kill(guardian)
    assert holder.poll() is None
    host.start()
    again = host.connect()
    assert holder.wait() == -signal.SIGKILL
    expect_ended(host, again, response)
    expect_alive(again, kept, other)


def test_a_daemon_that_is_killed_while_it_waits_for_a_holder(host, client, source, start):
    guardian, holder = start(), start(DEAF)
    response = client.create([archive(source, 'a')], holder=guarded(holder.pid, guardian.pid))
    kill(guardian)
    wait_for(lambda: 'guardian-ended' in host.log.read_text(), 'the guardian to be missed')
    host.kill()
    host.start()
    again = host.connect()
    assert holder.wait() == -signal.SIGKILL
    expect_ended(host, again, response)


# ---- requests

def test_who_is_no_guardian(host, client, source, start):
    holder, zombie = start(), subprocess.Popen(['true'])
    wait_for(lambda: os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT), 'it to end')
    invalid = (grpc.StatusCode.INVALID_ARGUMENT, 'REQUEST_INVALID')
    gone = (PRECONDITION, 'HOLDER_NOT_VISIBLE')
    for named, guardian, status, words in [
            (holder.pid, 1, invalid, 'process 1 guards nobody'),
            (holder.pid, -5, invalid, '-5 is no process id'),
            (holder.pid, holder.pid, invalid, f'process {holder.pid} is the one that'),
            (0, os.getpid(), invalid, f'process {os.getpid()} is the one that'),
            (1, holder.pid, invalid, 'process 1, which is to hold'),
            (holder.pid, zombie.pid, gone, f'there is no process {zombie.pid}')]:
        failure = client.fail_to_create([archive(source, 'a')], holder=guarded(named, guardian))
        assert failure[:2] == status
        assert 'guardian' in failure.message and words in failure.message
    zombie.wait()
    failure = client.fail_to_create([archive(source, 'a')],
                                    holder=guarded(holder.pid, zombie.pid))
    assert failure[:2] == gone
    assert not client.leases() and not client.layers()
    assert holder.poll() is None


@needs_root
def test_a_guardian_is_of_the_callers_user(host, client, source, start):
    holder, stranger = start(uid=USER), start()
    with Remote(host, uid=USER) as user:
        failure = user.fail('create', [archive(source, 'a')],
                            holder=guarded(holder.pid, stranger.pid))
    assert failure[:2] == (grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')
    assert f'guardian: process {stranger.pid} is not of uid {USER}' in failure.message
    # Not even root may name another's: it is root that would be asked to guard.
    failure = client.fail_to_create([archive(source, 'a')],
                                    holder=guarded(stranger.pid, holder.pid))
    assert failure[:2] == (grpc.StatusCode.PERMISSION_DENIED, 'NOT_ALLOWED')


def parent_of(pid):
    """0 when it lives outside of what the daemon sees."""
    text = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='utf-8', errors='replace')
    return int(text.rsplit(')', 1)[1].split()[1])


IN_A_CONTAINER = ['unshare', '--pid', '--fork', '--kill-child', '--']


@needs_root
def test_a_client_in_another_pid_namespace_names_none_but_its_parents(
        host, client, source, start):
    guardian = start()
    with Remote(host, prefix=IN_A_CONTAINER) as other:
        failure = other.fail('create', [archive(source, 'a')], holder=guarded(0, guardian.pid))
        assert failure[:2] == (PRECONDITION, 'HOLDER_NOT_VISIBLE')
        assert f'process {guardian.pid}' in failure.message and 'namespace' in failure.message
        # It is process 1 itself.
        failure = other.fail('create', [archive(source, 'a')], holder=guarded(0, 1))
        assert failure[:2] == (grpc.StatusCode.INVALID_ARGUMENT, 'REQUEST_INVALID')
        # Who is to hold it is another one, whatever the number means.
        failure = other.fail('create', [archive(source, 'a')], holder=guarded(guardian.pid, 1))
        assert failure[:2] == (PRECONDITION, 'HOLDER_NOT_VISIBLE')


@needs_root
def test_a_worker_in_another_pid_namespace_ends_with_its_task_manager(host, client, source):
    """The namespace outlives the latter, which is a shell of it that is not process 1."""
    ctl = f'{CTL} --socket {host.socket} run --archive {source}#a'
    with subprocess.Popen(
            [*IN_A_CONTAINER, 'sh', '-c', 'sh -c "$0" & cat',
             f'{ctl} --guardian $$ -- sleep 1000; :'],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as container:
        lease = wait_for(client.leases, 'the lease')[0]
        holder = lease.holder_pid
        assert os.readlink(f'/proc/{holder}/ns/pid') != os.readlink('/proc/self/ns/pid')
        assert lease.guardian_pid == parent_of(holder)
        os.kill(lease.guardian_pid, signal.SIGKILL)
        wait_for(lambda: not client.leases(), 'the lease to end')
        wait_for(lambda: state_of(holder) in ('', 'Z'), 'the holder to be gone')
        assert container.poll() is None
        container.stdin.close()
    host.expect_tidy(client)


@needs_root
def test_process_1_of_a_container_is_a_guardian(host, client, source):
    ctl = f'{CTL} --socket {host.socket} run --archive {source}#a'
    with subprocess.Popen([*IN_A_CONTAINER, 'sh', '-c', '$0; :',
                           f'{ctl} --guardian 1 -- sleep 1000']) as container:
        lease = wait_for(client.leases, 'the lease')[0]
        assert lease.guardian_pid == parent_of(lease.holder_pid) != 1
        os.kill(lease.guardian_pid, signal.SIGKILL)
        wait_for(lambda: not client.leases(), 'the lease to end')
    host.expect_tidy(client)


def test_the_guardian_is_part_of_the_request_and_not_of_the_environment(
        host, client, source, start):
    holder, one, two = (start() for _ in range(3))
    fields = {'archives': [archive(source, 'a')], 'request_id': 'r1'}
    first = client.create(**fields, holder=guarded(holder.pid, one.pid))
    again = client.create(**fields, holder=guarded(holder.pid, one.pid))
    assert again.lease_id == first.lease_id
    for other in (guarded(holder.pid, two.pid), held(holder.pid)):
        failure = client.fail_to_create(**fields, holder=other)
        assert failure[:2] == (grpc.StatusCode.ALREADY_EXISTS, 'REQUEST_ID_REUSED')
    other = client.create([archive(source, 'a')], holder=guarded(holder.pid, two.pid))
    assert other.dependency_hash == first.dependency_hash


def test_guardians_are_shown_and_endings_logged(host, client, source, start):
    guardian, holder = start(), start()
    made = json.loads(host.ctl('--json', 'create', '-a', f'{source}#a', '--pid', holder.pid,
                               '--guardian', guardian.pid, '--env', 'A=hidden-value').stdout)
    plain = client.create([archive(source, 'a')])
    listed = json.loads(host.ctl('--json', 'list', 'leases').stdout)['leases']
    assert {it['lease_id']: it['guardian_pid'] for it in listed} == {
        made['lease_id']: guardian.pid, plain.lease_id: 0}
    shown = host.ctl('show', made['lease_id']).stdout.split()
    assert shown[shown.index('guardian:') + 1:][:2] == ['process', str(guardian.pid)]
    assert 'guardian:' not in host.ctl('show', plain.lease_id).stdout
    assert str(guardian.pid) in host.ctl('list', 'leases').stdout.split()
    kill(guardian)
    assert holder.wait() == -signal.SIGTERM
    wait_for(lambda: len(client.leases()) == 1, 'the lease to end')
    log = pathlib.Path(host.log).read_text()
    line, = (line for line in log.splitlines() if 'guardian-ended' in line)
    assert line.startswith('<6>')
    for word in (f'lease={made["lease_id"]}', f'guardian={guardian.pid}', f'holder={holder.pid}'):
        assert word in line.split()
    assert 'hidden-value' not in log
