"""What is killed in mid-job leaves nothing, and the Flink job goes on."""
import os
import signal
import time

from cluster import lives
from conftest import note_time
from host import wait_for

# A slot that is missing fails an attempt at once.
RESTART = ('-D', 'restart-strategy.type=fixed-delay',
           '-D', 'restart-strategy.fixed-delay.attempts=10000',
           '-D', 'restart-strategy.fixed-delay.delay=200ms')


def lease_of(client, pid):
    found = [it for it in client.leases() if it.holder_pid == pid]
    return found[0] if found else None


def expect_nothing_of(client, pid, lease):
    wait_for(lambda: not lives(pid), f'the Python worker {pid} to end')
    wait_for(lambda: not [it for it in client.leases() if it.lease_id == lease.lease_id],
             'its lease to end')
    wait_for(lambda: not os.path.exists(lease.base_directory), 'its directory to go')


def test_a_killed_worker_is_replaced(flink):
    client = flink.host.connect()
    it = flink.start('one', True)
    run = flink.submit(*RESTART, *flink.bundle('--by-name'), hold=True)
    pid, = run.wait_for_workers(1)
    lease = lease_of(client, pid)
    os.kill(pid, signal.SIGKILL)
    expect_nothing_of(client, pid, lease)

    other, = run.wait_for_workers(1, but={pid})
    assert it.workers() == [other]
    assert [it.holder_pid for it in client.leases()] == [other]
    run.let_go()
    run.expect_finished()
    wait_for(lambda: not client.leases() and not it.workers(), 'the other one to end')
    flink.host.expect_tidy(client)


def test_a_killed_daemon_is_not_missed(flink):
    client = flink.host.connect()
    it = flink.start('one', True)
    run = flink.submit(*flink.bundle('--by-name'), hold=True)
    pid, = run.wait_for_workers(1)
    lease = lease_of(client, pid)
    flink.host.kill()
    flink.host.start()
    assert lease_of(client, pid) == lease
    run.let_go()
    run.expect_finished()
    assert run.pids() == {pid}
    expect_nothing_of(client, pid, lease)
    assert not it.workers()
    flink.host.expect_tidy(client)


def test_a_killed_task_manager_takes_its_workers_along_and_no_others(flink):
    """Both are in one process group."""
    client = flink.host.connect()
    killed, other = managers = [flink.start(name, True) for name in ('killed', 'other')]
    assert os.getpgid(killed.pid) == os.getpgid(other.pid)
    run = flink.submit(*RESTART, *flink.bundle('--by-name'), hold=True, parallelism=2)
    run.wait_for_workers(2)
    (gone,), (kept,) = [it.workers() for it in managers]
    lease = lease_of(client, gone)
    killed.kill()
    began = time.monotonic()
    expect_nothing_of(client, gone, lease)
    note_time("A killed TaskManager's worker, lease and directory are gone after",
              time.monotonic() - began)
    assert not killed.workers()
    assert other.workers() == [kept] and lease_of(client, kept)

    third = flink.start('third', True)
    run.wait_for_workers(1, but={gone, kept})
    run.let_go()
    run.expect_finished()
    # Its part of the Flink job never stopped.
    assert kept in run.pids()
    wait_for(lambda: not client.leases(), 'the leases to end')
    assert not other.workers() and not third.workers()
    flink.host.expect_tidy(client)
