"""Beam's external worker pool. A module of Beam's name stands in for its worker, and this
program, or one that it starts, for a runner."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess

import grpc
import packages
import pyenvd_pb2 as pb
import pytest
from archives import make_sample, make_zip
from beam_messages import workers as messages
from google.protobuf import text_format
from host import IS_ROOT, Host, name_of, state_of, wait_for
from installers import UV
from remote import Remote

needs_root = pytest.mark.skipif(not IS_ROOT, reason='only root may become other users')
USER = 4242
STRANGER = 4243

# Says who it is in $BOOT_LOG_DIR, and behaves as DEEDS says.
WORKER = r'''
import json, os, signal, sys

def links(directory):
    found = {}
    for name in os.listdir(directory):
        try:
            found[name] = os.readlink(f'{directory}/{name}')
        except FileNotFoundError:
            pass
    return found

def status(*names):
    lines = [line.split(':\t') for line in open('/proc/self/status')]
    return {name: value.strip() for name, value in lines if name in names}

deeds = os.environ.get('DEEDS', '').split(',')
child = None
if 'end' in deeds:
    sys.exit(3)
if 'deaf' in deeds:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if 'child' in deeds:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        while True:
            signal.pause()
    if 'deaf' not in deeds:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
report = {
    'variables': dict(os.environ), 'cwd': os.getcwd(), 'pid': os.getpid(), 'child': child,
    'ids': [os.getresuid(), os.getresgid(), sorted(os.getgroups())], 'sid': os.getsid(0),
    'pgid': os.getpgid(0), 'fds': links('/proc/self/fd'), 'argv': sys.argv,
    'status': status('SigIgn', 'SigBlk', 'CapPrm', 'CapEff', 'CapInh', 'CapAmb', 'NoNewPrivs',
                     'Seccomp'),
    'umask': os.umask(0),
}
print('to output')
print('to error', file=sys.stderr, flush=True)
sys.stdout.flush()
path = os.environ['BOOT_LOG_DIR'] + '/report'
with open(path + '.new', 'w') as file:
    json.dump(report, file)
os.rename(path + '.new', path)
while True:
    signal.pause()
'''


def make_stub(host):
    path = host.sources / 'beam.zip'
    folders = ['apache_beam', 'apache_beam/runners', 'apache_beam/runners/worker']
    return make_zip(path, [(f'{folder}/__init__.py', 0o100644, '') for folder in folders] +
                    [(f'{folders[-1]}/sdk_worker_main.py', 0o100644, WORKER)])


class Pool:
    """How workers are asked for."""

    def __init__(self, host):
        self.host = host
        self.stub = make_stub(host)
        self.source = make_sample(host.sources / 'a.zip')

    def params(self, deeds='', python='/usr/bin/python3', more=''):
        return {'pyenvd.spec': f'python-file {self.stub}; archive {self.source}#a;'
                               f'python {python};env DEEDS={deeds};{more}'}


@pytest.fixture
def pool(host):
    return Pool(host)


def lease_of(client, worker_id, but=()):
    """That of its one worker of this name."""
    lease, = (it for it in client.leases() if it.label == worker_id and it.lease_id not in but)
    return lease


def report_of(lease):
    """What the worker has told."""
    path = pathlib.Path(lease.base_directory, 'report')
    wait_for(path.exists, 'the worker to tell')
    return json.loads(path.read_text())


def started(client, pool, worker_id, deeds='', **options):
    """A worker of this name: its lease, and what it has told."""
    before = [it.lease_id for it in client.leases()]
    assert client.start_worker(worker_id, pool.params(deeds, **options)) == ''
    lease = lease_of(client, worker_id, before)
    return lease, report_of(lease)


def is_gone(pid):
    return state_of(pid) in ('', 'Z')


def processes():
    """Pids of workers, and of processes that wait to become some."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            command = pathlib.Path('/proc', pid, 'cmdline').read_bytes()
            if (b'sdk_worker_main' in command or name_of(int(pid)) == 'pyenvd-worker') and \
                    not is_gone(int(pid)):
                found.append(int(pid))
    return found


def expect_nothing(host, client):
    wait_for(lambda: not client.leases(), 'the leases to end')
    wait_for(lambda: not processes(), f'the processes to end: {processes()}')
    host.expect_tidy(client)


@pytest.fixture(autouse=True)
def end_workers():
    """Of tests that failed: they outlive the daemon."""
    yield
    for pid in processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def slow(host):
    """An interpreter that does not answer as long as a file is there."""
    hold = host.sources / 'hold'
    hold.touch()
    path = host.sources / 'python'
    path.write_text(f'#!/bin/sh\nwhile [ -e "{hold}" ]; do sleep 0.01; done\n'
                    'exec /usr/bin/python3 "$@"\n')
    path.chmod(0o755)
    yield path
    hold.unlink(missing_ok=True)


def begin(client, *arguments, **fields):
    executor = concurrent.futures.ThreadPoolExecutor(1)
    future = executor.submit(client.start_worker, *arguments, **fields)
    executor.shutdown(wait=False)
    return future


def wait_for_gate(slow):
    """Until the interpreter is asked; the process that waits is there by then."""
    def is_asked():
        return any(str(slow) in pathlib.Path(it).read_text(errors='replace')
                   for it in pathlib.Path('/proc').glob('[0-9]*/cmdline') if it.exists())

    def asked():
        with contextlib.suppress(OSError):
            return is_asked()
    wait_for(asked, 'the interpreter to be asked')


# ---- what a worker is

def test_a_worker_runs_in_its_environment(host, client, pool):
    endpoint = 'say "it" \\ with\nall'
    error = client.start_worker('w 1', {**pool.params('child', more='env A=b'), 'other': 'x'},
                                control_endpoint={'url': endpoint},
                                logging_endpoint={'url': 'localhost:2'})
    assert error == ''
    lease = lease_of(client, 'w 1')
    report = report_of(lease)
    assert lease.holder_pid == report['pid'] == report['sid'] == report['pgid']
    assert lease.guardian_pid == os.getpid()
    assert report['cwd'] == lease.working_directory
    assert sorted(os.listdir(lease.working_directory)) == ['a']
    assert len(report['argv']) == 1 and report['argv'][0].endswith('sdk_worker_main.py')
    variables = report['variables']
    parsed = messages.StartWorkerRequest().control_endpoint
    text_format.Parse(variables.pop('CONTROL_API_SERVICE_DESCRIPTOR'), parsed)
    assert parsed.url == endpoint
    path = variables.pop('PYTHONPATH')
    assert path.startswith(str(host.state / 'layers')) and ':' not in path
    variables.pop('LC_CTYPE', None)  # Python's own
    assert variables == {
        'WORKER_ID': 'w 1', 'LOGGING_API_SERVICE_DESCRIPTOR': 'url: "localhost:2"',
        'PIPELINE_OPTIONS': '{}', 'SEMI_PERSISTENT_DIRECTORY': lease.base_directory,
        'BOOT_LOG_DIR': lease.base_directory, '_PYTHON_WORKING_DIR': lease.working_directory,
        'PATH': '/usr/local/bin:/usr/bin:/bin', 'python': '/usr/bin/python3', 'A': 'b',
        'DEEDS': 'child', 'PYTHONDONTWRITEBYTECODE': '1', 'PYFLINK_GATEWAY_DISABLED': 'true'}
    log = pathlib.Path(lease.base_directory, 'beam-worker.log')
    assert sorted(log.read_text().splitlines()) == ['to error', 'to output']
    # The last is the directory that is just being read.
    assert {name: report['fds'].get(name) for name in '012'} == {
        '0': '/dev/null', '1': str(log), '2': str(log)}
    assert set(report['fds']) - set('0123') == set()
    # Python ignores these two; the last that has a name is 31.
    assert int(report['status'].pop('SigIgn'), 16) & 0x7fffffff == (
        1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)
    assert report['status'] == {
        'SigBlk': '0' * 16, 'CapPrm': '0' * 16, 'CapInh': '0' * 16,
        'CapEff': '0' * 16, 'CapAmb': '0' * 16, 'NoNewPrivs': '1', 'Seccomp': '0'}
    assert report['umask'] == 0o022
    assert client.stop_worker('w 1') == ''
    expect_nothing(host, client)


@needs_root
def test_a_worker_is_its_callers(host, pool):
    group = os.stat(host.socket).st_gid
    with Remote(host, USER, groups=[group, 77]) as runner:
        error = runner.call('start_worker', 'w', pool.params())
        assert error == ''
        client = host.connect()
        lease = lease_of(client, 'w')
        report = report_of(lease)
        assert report['ids'] == [[USER] * 3, [group] * 3, sorted([group, 77])]
        assert lease.guardian_pid == runner.pid and lease.uid == USER
        log = os.stat(f'{lease.base_directory}/beam-worker.log')
        assert (log.st_uid, log.st_mode & 0o777) == (USER, 0o644)
        assert runner.call('stop_worker', 'w') == ''
        assert is_gone(report['pid'])
    expect_nothing(host, client)


def test_lists_show_workers(host, client, pool):
    lease, report = started(client, pool, 'w-1')
    listed, = json.loads(host.ctl('--json', 'list', 'leases').stdout)['leases']
    assert listed['label'] == 'w-1' and listed['holder_pid'] == report['pid']
    assert 'w-1' in host.ctl('list', 'leases').stdout
    assert client.stop_worker('w-1') == ''


def test_without_an_interpreter_it_is_the_hosts(host, client, pool):
    spec = pool.params()['pyenvd.spec'].replace('python /usr/bin/python3;', '')
    assert client.start_worker('w', {'pyenvd.spec': spec}) == ''
    assert report_of(lease_of(client, 'w'))['variables']['python'].endswith('/python3')
    assert client.stop_worker('w') == ''


def test_what_beam_says_counts_and_not_the_spec(host, client, pool):
    names = ['WORKER_ID', 'SEMI_PERSISTENT_DIRECTORY', 'CONTROL_API_SERVICE_DESCRIPTOR']
    lease, report = started(client, pool, 'w', more=';'.join(f'env {it}=mine' for it in names))
    assert [report['variables'][it] for it in names] == [
        'w', lease.base_directory, 'url: "localhost:1"']
    assert client.stop_worker('w') == ''


def test_the_daemon_keeps_nothing_open(host, client, pool):
    def count():
        return len(os.listdir(f'/proc/{host.pid}/fd'))
    started(client, pool, 'w')
    assert client.stop_worker('w') == ''
    expect_nothing(host, client)
    before = count()
    for _ in range(5):
        started(client, pool, 'w')
        assert client.stop_worker('w') == ''
        assert client.start_worker('w', {}) != ''
        assert client.start_worker('w', pool.params(python='nowhere')) != ''
    expect_nothing(host, client)
    wait_for(lambda: count() <= before, 'all descriptors to be closed')


def test_workers_share_an_environment(host, client, pool):
    leases = [started(client, pool, f'w-{i}')[0] for i in range(3)]
    assert len({lease.dependency_hash for lease in leases}) == 1
    assert len({lease.working_directory for lease in leases}) == 3
    assert client.status().counters.layers_made == 2
    for i in range(3):
        assert client.stop_worker(f'w-{i}') == ''
    expect_nothing(host, client)


# ---- how it ends

@pytest.mark.parametrize('deeds', ['', 'deaf', 'child', 'deaf,child'])
def test_a_worker_is_stopped_with_what_it_has_started(host, client, pool, deeds):
    _, report = started(client, pool, 'w', deeds)
    other, _ = started(client, pool, 'other')
    assert client.stop_worker('w') == ''
    assert is_gone(report['pid'])
    assert report['child'] is None or is_gone(report['child'])
    assert [it.lease_id for it in client.leases()] == [other.lease_id]
    assert client.stop_worker('w') == ''
    assert client.stop_worker('nobody') == ''
    assert client.stop_worker('') == ''
    assert client.stop_worker('other') == ''
    expect_nothing(host, client)


def test_a_worker_that_ends_by_itself_leaves_nothing(host, client, pool):
    assert client.start_worker('w', pool.params('end')) == ''
    expect_nothing(host, client)
    assert client.stop_worker('w') == ''


@pytest.mark.parametrize('deeds', ['', 'deaf,child'])
def test_workers_end_with_their_runner(host, client, pool, deeds):
    _, kept = started(client, pool, 'w')
    with Remote(host) as runner:
        assert runner.call('start_worker', 'w', pool.params(deeds)) == ''
        lease, = (it for it in client.leases() if it.guardian_pid == runner.pid)
        report = report_of(lease)
        runner.kill()
        wait_for(lambda: is_gone(report['pid']), 'the worker to be ended')
        assert report['child'] is None or wait_for(
            lambda: is_gone(report['child']), 'what it has started to be ended')
    wait_for(lambda: len(client.leases()) == 1, 'its lease to end')
    assert not is_gone(kept['pid'])
    assert client.stop_worker('w') == ''
    expect_nothing(host, client)


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_workers_outlive_the_daemon(host, client, pool, end):
    _, report = started(client, pool, 'w', 'child')
    getattr(host, end)()
    assert not is_gone(report['pid'])
    host.start()
    assert not is_gone(report['pid'])
    assert client.stop_worker('w') == ''
    assert is_gone(report['pid']) and is_gone(report['child'])
    expect_nothing(host, client)


def test_a_runner_that_ends_while_the_daemon_is_down(host, client, pool):
    with Remote(host) as runner:
        assert runner.call('start_worker', 'w', pool.params()) == ''
        report = report_of(lease_of(client, 'w'))
        host.kill()
        runner.kill()
    host.start()
    wait_for(lambda: is_gone(report['pid']), 'the worker to be ended')
    expect_nothing(host, client)


# ---- who is meant

def test_of_two_with_one_name_the_last_is_meant(host, client, pool):
    """As with Beam's own pool; only here the first is not forgotten."""
    reports = [started(client, pool, 'w')[1] for _ in range(2)]
    assert client.stop_worker('w') == ''
    assert is_gone(reports[1]['pid']) and not is_gone(reports[0]['pid'])
    assert client.stop_worker('w') == ''
    assert is_gone(reports[0]['pid'])
    expect_nothing(host, client)


def test_two_runners_call_their_workers_alike(host, client, pool):
    """All of Beam's runners count from the same number."""
    _, report = started(client, pool, 'worker_0')
    with Remote(host) as other:
        assert other.call('stop_worker', 'worker_0') == ''
        assert not is_gone(report['pid'])
        assert other.call('start_worker', 'worker_0', pool.params()) == ''
        assert len(client.leases()) == 2
        assert other.call('stop_worker', 'worker_0') == ''
        assert not is_gone(report['pid'])
        assert len(client.leases()) == 1
    assert client.stop_worker('worker_0') == ''
    expect_nothing(host, client)


@needs_root
def test_nobody_elses_worker_is_stopped(host, client, pool):
    with Remote(host, USER) as runner, Remote(host, STRANGER) as stranger:
        assert runner.call('start_worker', 'w', pool.params()) == ''
        report = report_of(lease_of(client, 'w'))
        assert stranger.call('stop_worker', 'w') == ''
        assert client.stop_worker('w') == ''
        assert not is_gone(report['pid'])
    expect_nothing(host, client)


def test_a_lease_of_that_label_is_no_worker(host, client, pool):
    """One that was made by CreateEnvironment, with the same guardian."""
    holder = subprocess.Popen(['sleep', 'infinity'])
    try:
        host.ctl('create', '--pid', holder.pid, '--guardian', os.getpid(), '--label', 'w')
        assert client.stop_worker('w') == ''
        assert holder.poll() is None and len(client.leases()) == 1
    finally:
        holder.kill()
        holder.wait()


def test_many_are_started_at_a_time(host, client, pool):
    count = 20
    with concurrent.futures.ThreadPoolExecutor(count) as threads:
        errors = threads.map(lambda i: client.start_worker(f'w-{i}', pool.params()), range(count))
        assert set(errors) == {''}
        assert len(client.leases()) == count
        assert len({report_of(it)['pid'] for it in client.leases()}) == count
        assert set(threads.map(lambda i: client.stop_worker(f'w-{i}'), range(count))) == {''}
    assert client.status().counters.layers_made == 2
    expect_nothing(host, client)


# ---- what fails

@pytest.mark.parametrize('params, words', [
    ({}, "REQUEST_INVALID: params: there is no 'pyenvd.spec'"),
    ({'other': 'x'}, "REQUEST_INVALID: params: there is no 'pyenvd.spec'"),
    ({'pyenvd.spec': '', 'pyenvd.sepc': ''}, "REQUEST_INVALID: params: 'pyenvd.sepc' is not known"),
    ({'pyenvd.spec': '/x/env.pyenv'}, "REQUEST_INVALID: params: 'pyenvd.spec' is the name of a"),
    ({'pyenvd.spec': 'nothing x'},
     "REQUEST_INVALID: params: 'pyenvd.spec': 'pyenvd.spec', line 1: 'nothing' is nothing that"),
    ({'pyenvd.spec': 'python python3;archive a.zip'},
     "REQUEST_INVALID: params: 'pyenvd.spec': 'a.zip' is neither an absolute name nor"),
    ({'pyenvd.spec': f'file a.zip 1 {"0" * 64}'},
     "REQUEST_INVALID: params: 'pyenvd.spec': 'pyenvd.spec' can hold no files"),
    ({'pyenvd.spec': 'python python3;archive /nowhere/a.zip'}, "SOURCE_NOT_FOUND: '/nowhere/a.zip'"),
    ({'pyenvd.spec': 'archive /nowhere/a.zip#../a'}, 'TARGET_INVALID: params:'),
    ({'pyenvd.spec': 'python nowhere'}, 'INTERPRETER_NOT_FOUND: '),
])
def test_params_that_name_no_environment(host, client, pool, params, words):
    before = host.snapshot()
    assert client.start_worker('w', params).startswith(words)
    wait_for(lambda: host.snapshot() == before, 'nothing to be left')
    expect_nothing(host, client)


@pytest.mark.parametrize('fields, words', [
    ({'worker_id': ''}, 'REQUEST_INVALID: worker_id is empty'),
    ({'worker_id': 'x' * 257}, 'REQUEST_INVALID: worker_id'),
    ({'control_endpoint': None}, 'REQUEST_INVALID: control_endpoint is empty'),
    ({'control_endpoint': {'url': 'x' * 5000}}, 'REQUEST_INVALID: control_endpoint'),
    ({'control_endpoint': {'url': 'x', 'authentication': {'urn': 'y'}}},
     'REQUEST_INVALID: control_endpoint asks for authentication'),
    ({'logging_endpoint': {'url': 'x', 'authentication': {}}},
     'REQUEST_INVALID: logging_endpoint asks for authentication'),
])
def test_requests_that_name_no_worker(host, client, pool, fields, words):
    fields = {'worker_id': 'w', **fields}
    assert client.start_worker(params=pool.params(), **fields).startswith(words)
    expect_nothing(host, client)


def test_a_program_that_cannot_be_executed_leaves_nothing(host, client, pool):
    """Linux takes no variable that is so long."""
    error = client.start_worker('w', pool.params(more=f'env LONG={"x" * 131_070}'))
    assert error.startswith("INTERNAL_ERROR: worker by '/usr/bin/python3': "), error
    assert 'cannot be executed' in error and 'too long' in error
    expect_nothing(host, client)


@needs_root
def test_a_runner_whose_process_is_not_visible(host, client, pool):
    with Remote(host, prefix=['unshare', '--pid', '--fork', '--kill-child', '--']) as runner:
        error = runner.call('start_worker', 'w', pool.params())
    assert error.startswith('HOLDER_NOT_VISIBLE: the daemon cannot see the process that asks')
    expect_nothing(host, client)


def test_so_many_may_be_started_at_a_time(slow):
    with Host('--max-creates', '2') as host:
        client, pool = host.connect(), Pool(host)
        calls = [begin(client, f'w-{i}', pool.params(python=slow)) for i in range(2)]
        wait_for(lambda: len([it for it in client.admin.ListCreations(
            pb.ListRequest()).creations]) >= 2, 'both to be under way')
        error = client.start_worker('w-2', pool.params())
        assert error.startswith('TOO_MANY: ') and 'workers that are being started' in error
        (slow.parent / 'hold').unlink()
        assert [it.result() for it in calls] == ['', '']
        for i in range(2):
            assert client.stop_worker(f'w-{i}') == ''
        expect_nothing(host, client)


# ---- while it is being started

def test_a_call_that_is_cancelled_leaves_nothing(host, client, pool, slow):
    request = messages.StartWorkerRequest(worker_id='w', params=pool.params(python=slow),
                                          control_endpoint={'url': 'localhost:1'})
    call = client.pool_call('StartWorker').future(request)
    wait_for_gate(slow)
    assert len(processes()) >= 2
    call.cancel()
    expect_nothing(host, client)


def test_a_deadline_that_passes_leaves_nothing(host, client, pool, slow):
    with pytest.raises(grpc.RpcError) as failure:
        client.start_worker('w', pool.params(python=slow), timeout=1)
    assert failure.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    expect_nothing(host, client)


def test_a_runner_that_is_killed_meanwhile_leaves_nothing(host, client, pool, slow):
    with Remote(host) as runner:
        runner.begin('start_worker', 'w', pool.params(python=slow))
        wait_for_gate(slow)
        runner.kill()
    expect_nothing(host, client)


def test_a_daemon_that_is_killed_meanwhile_leaves_nothing(host, client, pool, slow):
    call = begin(client, 'w', pool.params(python=slow))
    wait_for_gate(slow)
    host.kill()
    assert call.exception().code() == grpc.StatusCode.UNAVAILABLE
    wait_for(lambda: not processes(), 'the processes to end')
    host.start()
    expect_nothing(host, client)


def test_a_daemon_that_is_stopped_meanwhile_ends_it_first(host, client, pool, slow):
    call = begin(client, 'w', pool.params(python=slow))
    wait_for_gate(slow)
    host.process.send_signal(signal.SIGTERM)
    wait_for(lambda: 'stopping' in host.log.read_text(), 'it to be stopping')
    (slow.parent / 'hold').unlink()
    assert call.result() == ''
    assert host.process.wait() == 0
    host.start()
    assert len(client.leases()) == 1
    assert client.stop_worker('w') == ''
    expect_nothing(host, client)


def test_a_process_that_is_killed_while_it_waits_is_told(host, client, pool, slow):
    call = begin(client, 'w', pool.params(python=slow))
    wait_for_gate(slow)
    # It leads a session, as no worker of ours does.
    waiting, = (pid for pid in processes() if os.getsid(pid) == pid)
    os.kill(waiting, signal.SIGKILL)
    assert call.result().startswith('WORKER_DIED: ')
    expect_nothing(host, client)


# ---- a daemon of one's own

@needs_root
def test_with_a_daemon_of_ones_own_workers_are_no_orphans_of_installs():
    """All orphans come to it, and those of installs are ended."""
    with Host('--installer', 'uv', '--uv', str(UV), uid=USER) as host:
        pool = Pool(host)
        packages.sample(host.sources / 'packages')
        wanted = host.sources / 'requirements.txt'
        wanted.write_text('alpha==2.0\n')
        with Remote(host, USER, USER) as runner:
            assert runner.call('start_worker', 'w', pool.params('child')) == ''
            lease, = runner.call('leases')
            report = report_of(lease)
            assert runner.call('start_worker', 'with', pool.params(
                more=f'requirements {wanted}#{host.sources}/packages')) == ''
            assert len(runner.call('leases')) == 2
            assert not is_gone(report['pid']) and not is_gone(report['child'])
            # What its parent leaves is not waited for by anybody else.
            assert runner.call('stop_worker', 'w') == ''
            wait_for(lambda: state_of(report['pid']) == '', 'it to be waited for')
            wait_for(lambda: state_of(report['child']) == '', 'its child to be waited for')
            assert runner.call('stop_worker', 'with') == ''
            wait_for(lambda: not runner.call('leases'), 'the leases to end')
