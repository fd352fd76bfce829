"""Flink jobs that say nothing of pyenvd get their environment from it, by the adapter's jar."""
import pathlib
import shutil
import time

import pytest
from cluster import lives
from conftest import note_time
from host import wait_for
from test_flink_kills import RESTART, expect_nothing_of

SAID = 'Python environments are prepared by Flink itself'


def submit(flink, line, *options, **more):
    """The same job as by Flink's own way, with the jar."""
    return flink.submit(*options, '--jarfile', line.jar, *flink.stock(), **more)


def leases_of(client, task_manager):
    """Its own, by which the environment is there; those of its workers."""
    leases = client.leases()
    own = [it for it in leases if it.holder_pid == task_manager.pid]
    return own, [it for it in leases if it.guardian_pid == task_manager.pid]


def expect_from_pyenvd(flink, client, run, managers):
    """Returns the pids of the workers."""
    pids = set()
    where = {it['pid']: it for it in run.traces()}
    for it in managers:
        (own,), (worker,) = leases_of(client, it)
        trace = where[worker.holder_pid]
        pids.add(worker.holder_pid)
        assert trace['cwd'] == worker.working_directory
        for name in 'executable', 'numpy', 'words', 'greeting':
            assert trace[name].startswith(f'{flink.host.state}/layers/')
        log = pathlib.Path(own.base_directory, 'flink-python-udf-boot.log')
        assert log.exists()
        assert not list(it.directory.glob('python-dist-*'))
    assert len({it.dependency_hash for it in client.leases()}) == 1
    return pids


def expect_all_given_back(flink, client):
    wait_for(lambda: not client.leases(), 'the leases to end')
    flink.host.expect_tidy(client)


@pytest.mark.parametrize('line', ['2.3', '1.20'], indirect=True)
def test_the_same_job_gives_the_same_and_is_prepared_once(flink, line):
    client = flink.host.connect()
    managers = [flink.start(name, False) for name in ('one', 'two')]
    run = submit(flink, line, hold=True, parallelism=2)
    run.wait_for_workers(2)
    pids = expect_from_pyenvd(flink, client, run, managers)
    assert len(client.leases()) == 4
    # Two archives, a file, requirements: of each one, for both.
    assert client.status().counters.layers_made == len(client.layers()) == 4
    assert not client.artifacts()
    run.let_go()
    run.expect_finished()
    run.note_time('The adapter, nothing prepared')
    expect_all_given_back(flink, client)
    assert not any(lives(pid) for pid in pids)

    again = submit(flink, line, parallelism=2)
    again.expect_finished()
    again.note_time('The adapter, all prepared')
    assert client.status().counters.layers_made == 4
    expect_all_given_back(flink, client)


def test_a_jar_in_lib_serves_all_jobs(flink, line):
    """Together with flink-python; before it, as names go."""
    home = flink.directory / 'flink'
    (home / 'lib').mkdir(parents=True)
    shutil.copytree(line.home / 'bin', home / 'bin')
    for jar in [*(line.home / 'lib').iterdir(), line.flink_python, line.jar]:
        (home / 'lib' / jar.name).symlink_to(jar)
    for name in 'opt', 'plugins':
        (home / name).symlink_to(line.home / name)
    client = flink.host.connect()
    it = flink.start('lib', False, home)
    run = flink.submit(*flink.stock(), hold=True)
    run.wait_for_workers(1)
    expect_from_pyenvd(flink, client, run, [it])
    # A Flink job that is cancelled gives back, too.
    assert run.job.cancel() == 'CANCELED'
    expect_all_given_back(flink, client)
    again = flink.submit(*flink.stock())
    again.expect_finished()
    expect_all_given_back(flink, client)


def test_a_killed_task_manager_leaves_nothing(flink, line):
    client = flink.host.connect()
    killed, other = managers = [flink.start(name, False) for name in ('dead', 'alive')]
    run = submit(flink, line, *RESTART, hold=True, parallelism=2)
    run.wait_for_workers(2)
    expect_from_pyenvd(flink, client, run, managers)
    (own,), (worker,) = leases_of(client, killed)
    kept = leases_of(client, other)[1][0].holder_pid
    killed.kill()
    began = time.monotonic()
    expect_nothing_of(client, worker.holder_pid, worker)
    expect_nothing_of(client, killed.pid, own)
    note_time("The adapter: a killed TaskManager's worker, leases and directories are gone after",
              time.monotonic() - began)
    assert lives(kept)

    third = flink.start('next', False)
    run.wait_for_workers(1, but={worker.holder_pid, kept})
    run.let_go()
    run.expect_finished()
    expect_all_given_back(flink, client)
    assert not lives(kept)
    assert not [pid for it in (other, third) for pid in it.workers()]


def test_without_a_daemon_flink_prepares_by_itself_and_says_so_once(flink, line):
    it = flink.start('alone', False)
    flink.host.stop()
    run = submit(flink, line)
    run.expect_finished()
    for where in run.traces():
        assert where['cwd'].startswith(f'{it.directory}/python-dist-')
    said = [row for row in it.log.read_text(encoding='utf-8').splitlines() if SAID in row]
    assert len(said) == 1 and f"no pyenvd at '{flink.host.socket}'" in said[0]
    assert not it.files()


def test_where_a_daemon_is_required_the_job_fails_with_the_cause(flink, line):
    flink.start('strict', False, PYENVD_FLINK='require')
    flink.host.stop()
    run = submit(flink, line)
    assert run.job.wait_to_end() == 'FAILED'
    assert f"no pyenvd at '{flink.host.socket}'" in run.job.causes()
    assert not run.traces()
