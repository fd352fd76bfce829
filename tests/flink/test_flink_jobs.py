"""Flink jobs give the same by Flink's own way and by pyenvd, and leave nothing behind."""
import os
import pathlib
import signal

import pytest
from cluster import PATIENCE
from conftest import INPUTS
from host import CTL, IS_ROOT, wait_for


@pytest.mark.parametrize('with_runner', [False, True], ids=['stock', 'runner'])
def test_a_job_that_says_nothing_of_pyenvd_runs_as_flink_runs_it(flink, with_runner):
    it = flink.start('stock', with_runner)
    run = flink.submit(*flink.stock())
    run.expect_finished()
    for where in run.traces():
        assert where['cwd'].startswith(f'{it.directory}/python-dist-')
        assert where['executable'] == where['cwd'] + '/venv/bin/python'
    assert flink.host.connect().status().counters.creates == 0
    run.note_time("Flink's own way" + (', with the runner' if with_runner else ''))


def expect_nothing_extracted(task_manager):
    """What Flink keeps for Python are the bundle's link, a log and a token."""
    links = [name for name in task_manager.files() if name.endswith('/env.pyenv')]
    others = {name.split('_token_')[0] for name in task_manager.files()}
    assert len(links) == 1
    assert others == {'python-files', links[0].rpartition('/')[0], *links,
                      'flink-python-udf-boot.log', 'retrieval'}


@pytest.mark.parametrize('options', [['--by-name'], []], ids=['names', 'holds'])
def test_a_bundle_gives_the_same_and_nothing_is_extracted(flink, options):
    client = flink.host.connect()
    managers = [flink.start(name, True) for name in ('one', 'two')]
    run = flink.submit(*flink.bundle(*options), hold=True, parallelism=2)
    pids = run.wait_for_workers(2)
    leases = {it.holder_pid: it for it in client.leases()}
    assert leases.keys() == pids == {pid for it in managers for pid in it.workers()}
    layers = {it.layer_id for it in client.layers()}
    for where in run.traces():
        assert where['cwd'] == leases[where['pid']].working_directory
        for name in 'executable', 'numpy', 'words', 'greeting':
            assert where[name].startswith(f'{flink.host.state}/layers/')
    for it in managers:
        expect_nothing_extracted(it)
    run.let_go()
    run.expect_finished()
    words = f'The runner, {"files of the host" if options else "files in the bundle"}'
    run.note_time(f'{words}, nothing prepared')
    wait_for(lambda: not client.leases(), 'the leases to end')
    # Two TaskManagers had one of each.
    counters = client.status().counters
    assert counters.layers_made == len(layers)
    assert len(client.artifacts()) == counters.uploads == (0 if options else 5)

    again = flink.submit(*flink.bundle(*options), parallelism=2)
    again.expect_finished()
    again.note_time(f'{words}, all prepared')
    assert client.status().counters.layers_made == counters.layers_made
    assert client.status().counters.uploads == counters.uploads
    wait_for(lambda: not client.leases(), 'the leases to end')
    assert not any(it.workers() for it in managers)
    flink.host.expect_tidy(client)


def test_options_can_name_files_of_the_host(flink):
    """Also without a bundle: python.job-options is a map whose entries are parted by commas."""
    flink.start('one', True)
    spec = '; '.join([f'archive {INPUTS}/venv.tgz#venv', f'archive {INPUTS}/model.zip#model',
                      f'python-file {INPUTS}/words.py', 'python venv/bin/python',
                      f'requirements {INPUTS}/requirements.txt#{INPUTS}/packages'])
    run = flink.submit('-D', f"python.job-options='PYENVD_SPEC:{spec}'",
                       '-pyexec', '/nonexistent/python')
    run.expect_finished()
    wait_for(lambda: not flink.host.connect().leases(), 'the lease to end')


@pytest.mark.skipif(not IS_ROOT, reason='only root may make pid namespaces')
def test_a_task_manager_in_a_container(flink):
    """It is process 1 there, as in Flink's image."""
    client = flink.host.connect()
    it = flink.start('one', through=['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'])
    run = flink.submit(*flink.bundle(), hold=True)
    told, = run.wait_for_workers(1)
    worker, = it.workers()
    lease, = client.leases()
    assert told < lease.holder_pid == worker
    java = lease.guardian_pid
    assert pathlib.Path(f'/proc/{java}/comm').read_text() == 'java\n'
    run.let_go()
    run.expect_finished()
    wait_for(lambda: not client.leases(), 'the lease to end')
    os.kill(java, signal.SIGKILL)
    it.process.wait(PATIENCE)
    assert not it.workers()


def test_the_client_has_its_archives_by_pyenvctl(flink):
    flink.start('one')
    archives = '--archive', f'{INPUTS}/venv.tgz#venv', '--python', 'venv/bin/python'
    run = flink.submit(*flink.bundle('--by-name'), python='venv/bin/python', through=[
        CTL, '--socket', flink.host.socket, 'run', *archives, '--'])
    run.expect_finished()
    wait_for(lambda: not flink.host.connect().leases(), 'the leases to end')
    # The client's and the worker's.
    assert len(flink.host.connect().layers()) == 4


def test_without_a_daemon_the_cause_is_in_what_flink_reports(flink):
    flink.start('one', True)
    bundle = flink.bundle('--by-name')
    assert flink.host.stop() == 0
    run = flink.submit(*bundle)
    assert run.job.wait_to_end() == 'FAILED'
    causes = run.job.causes()
    assert 'pyenvd:' in causes and f"no daemon at '{flink.host.socket}'" in causes
    assert not run.traces()
