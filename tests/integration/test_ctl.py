"""pyenvctl and a real daemon: the main job from a shell."""
import base64
import json
import os
import signal
import subprocess

import pytest
import pyenvd_pb2 as pb
from archives import make_sample, make_zip
from beam_messages import runner
from host import CTL, PATIENCE, wait_for

FAKE_PYTHON = '#!/bin/sh\nexec /usr/bin/env python3 "$@"\n'


@pytest.fixture
def source(host):
    return make_sample(host.sources / 'a.zip')


@pytest.fixture
def venv(host):
    """Not a virtualenv, but of its shape."""
    return make_zip(host.sources / 'venv.zip', [
        ('bin/python', 0o100755, FAKE_PYTHON),
        ('bin/tool', 0o100755, '#!/bin/sh\necho tool "$@"\n'),
        ('lib/inside.py', 0o100644, 'x = 1\n')])


def asked(host, *arguments, **options):
    """What pyenvctl says as JSON."""
    return json.loads(host.ctl('--json', *arguments, **options).stdout)


def refused(host, *arguments, status=1):
    done = host.ctl(*arguments, check=False)
    assert done.returncode == status, done
    assert not done.stdout
    return done.stderr


def run(host, *arguments, **options):
    return subprocess.Popen([str(CTL), '--socket', str(host.socket), 'run', *map(str, arguments)],
                            stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, **options)


def test_a_lease_taken_in_a_shell_is_listed_shown_and_released(host, source):
    made = asked(host, 'create', '--archive', f'{source}#data', '--label', 'nightly')
    assert made['hit'] is False and made['layers'][0]['origin'] == 'LAYER_ORIGIN_MADE'
    # A file that was written just now is not trusted to stay as it is: not at once.
    wait_for(lambda: asked(host, 'create', '--archive', f'{source}#data')['hit'], 'a hit')
    leases = asked(host, 'list', 'leases')['leases']
    assert len(leases) >= 2 and {lease['holder'] for lease in leases} == {'time-to-live'}
    assert asked(host, 'show', made['lease_id'])['lease']['label'] == 'nightly'
    layers = asked(host, 'list', 'layers')['layers']
    assert [layer['layer_id'] for layer in layers] == [made['layers'][0]['layer_id']]
    assert layers[0]['leases'] == len(leases)
    environments = asked(host, 'list', 'environments')['environments']
    assert [it['dependency_hash'] for it in environments] == [made['dependency_hash']]
    assert asked(host, 'list', 'creations')['creations'] == []
    for lease in leases:
        host.ctl('release', lease['lease_id'])
    assert asked(host, 'list', 'leases')['leases'] == []
    assert asked(host, 'status')['counters']['layers_made'] == 1
    host.expect_tidy()


def test_what_is_said_to_people_names_what_matters(host, source):
    made = host.ctl('create', '--archive', f'{source}#data').stdout
    lease = asked(host, 'list', 'leases')['leases'][0]
    for word in (lease['lease_id'], lease['dependency_hash'], lease['working_directory']):
        assert word in made
    assert lease['lease_id'] in host.ctl('list', 'leases').stdout
    assert lease['layer_ids'][0] in host.ctl('list', 'layers').stdout
    assert lease['dependency_hash'][:8] in host.ctl('list', 'environments').stdout
    assert lease['lease_id'] in host.ctl('show', lease['lease_id']).stdout
    assert str(host.state) in host.ctl('status').stdout
    assert host.ctl('list', 'creations').returncode == 0


def test_a_lease_ends_with_the_process_that_was_named(host, client, source):
    with subprocess.Popen(['sleep', 'infinity']) as sleeper:
        host.ctl('create', '--archive', f'{source}#a', '--pid', sleeper.pid)
        assert client.leases()[0].holder_pid == sleeper.pid
        sleeper.kill()
    wait_for(lambda: not client.leases(), 'the lease to end')


def test_beam_is_told_how_to_start_a_worker(host, source):
    def told(*arguments):
        made = asked(host, 'create', '--archive', f'{source}#a', *arguments)
        return runner.Environment.FromString(base64.b64decode(made['beam_environment']))
    assert told('--docker', 'img:1').payload == b'\x0a\x05img:1'
    payload = runner.ProcessPayload.FromString(told('--worker-command', '/b/r.sh').payload)
    assert payload.command == '/b/r.sh' and '_PYTHON_WORKING_DIR' in payload.env
    assert told().urn == 'beam:env:process:v1'


def test_a_token_is_a_file_of_the_lease(host):
    lease = asked(host, 'create')
    path = host.ctl('token', lease['lease_id']).stdout.removesuffix('\n')
    assert os.path.dirname(path) == lease['base_directory']
    with open(path, encoding='ascii') as token:
        assert token.read() == '{"manifest": {}}'
    other = asked(host, 'token', lease['lease_id'])['retrieval_token']
    assert other != path and os.path.exists(other)
    assert 'no lease' in refused(host, 'token', 'none')


def test_a_time_to_live_can_be_renewed(host, source):
    made = asked(host, 'create', '--archive', f'{source}#a', '--ttl', '90s')
    renewed = asked(host, 'renew', made['lease_id'], '--ttl', '2h')
    assert renewed['expires_unix_ms'] - made['expires_unix_ms'] > 7_000_000


def test_run_becomes_the_command_and_the_lease_is_its_life(host, client, venv, source):
    with run(host, '--archive', f'{venv}#venv', '--archive', f'{source}#data', '--python',
             'venv/bin/python', '--', 'python', '-c',
             'import os; print(os.getpid(), os.getcwd(), flush=True); input()') as process:
        pid, directory = process.stdout.readline().split()
        lease = client.leases()[0]
        assert int(pid) == process.pid == lease.holder_pid
        assert directory == lease.working_directory
        assert sorted(os.listdir(directory)) == ['data', 'venv']
        process.communicate('\n')
    assert process.returncode == 0
    wait_for(lambda: not client.leases(), 'the lease to end with its process')
    wait_for(lambda: not os.path.exists(directory), 'the directory to go')
    assert len(client.layers()) == 2


@pytest.mark.parametrize('end', [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_command_leaves_nothing(host, client, source, end):
    with run(host, '--archive', f'{source}#a', '--', 'sh', '-c', 'echo up; exec sleep 1000'
             ) as process:
        assert process.stdout.readline() == 'up\n'
        assert len(client.leases()) == 1
        process.send_signal(end)
    assert process.returncode == -end
    wait_for(lambda: not client.leases(), 'the lease to end')
    host.expect_tidy(client)


def test_run_finds_its_command_in_the_environment_and_hands_on_its_status(host, venv):
    with run(host, '--archive', f'{venv}#venv', '--python', 'venv/bin/python', '--',
             'venv/bin/tool', 'a b', '--json') as process:
        assert process.communicate()[0] == 'tool a b --json\n'
    with run(host, '--archive', f'{venv}#venv', '--', 'sh', '-c', 'exit 37') as process:
        process.communicate()
    assert process.returncode == 37


def test_a_command_that_is_not_there_leaves_no_lease(host, client, source):
    before = client.status().counters.creates
    text = refused(host, 'run', '--archive', f'{source}#a', '--', 'no-such-command', status=127)
    assert 'no-such-command' in text
    assert client.status().counters.creates == before + 1
    wait_for(lambda: not client.leases(), 'the lease to end')


def test_variables_reach_the_command_and_nothing_secret_the_index(host, venv):
    program = 'import os, mod; print(os.environ["TOKEN"], mod.x, os.environ["python"])'
    module = host.sources / 'mod.py'
    module.write_text('x = 5\n')
    with run(host, '-a', f'{venv}#venv', '-f', module, '-p', 'venv/bin/python', '-e',
             'TOKEN=s3cr3t-word', '--', 'venv/bin/python', '-c', program) as process:
        words = process.communicate()[0].split()
    assert words[:2] == ['s3cr3t-word', '5'] and words[2].endswith('/bin/python')
    host.stop()
    for path in [*host.state.glob('index.db*'), host.log]:
        assert b's3cr3t-word' not in path.read_bytes()


def test_a_copy_of_its_own_can_be_written(host, source):
    with run(host, '--archive-copy', f'{source}#mine', '--', 'sh', '-c',
             'echo new >mine/d1/f1.txt && cat mine/d1/f1.txt') as process:
        assert process.communicate()[0] == 'new\n'
    assert process.returncode == 0


def test_two_at_the_same_time_share_one_extraction(host, client, venv):
    both = [run(host, '--archive', f'{venv}#venv', '--python', 'venv/bin/python', '--', 'sh',
                '-c', 'echo up; read line; readlink -f venv') for _ in range(2)]
    assert [process.stdout.readline() for process in both] == ['up\n'] * 2
    assert len(client.leases()) == 2
    assert client.status().counters.layers_made == 1
    ends = [process.communicate('\n')[0] for process in both]
    assert ends[0] == ends[1] == f'{client.layers()[0].directory}\n'


def test_collect_says_first_and_does_then(host, client, source):
    made = asked(host, 'create', '--archive', f'{source}#a')
    assert asked(host, 'collect')['layers'] == []
    host.ctl('release', made['lease_id'])
    layer = made['layers'][0]['layer_id']
    dry = asked(host, 'collect', '--dry-run')
    assert [it['layer_id'] for it in dry['layers']] == [layer] and len(client.layers()) == 1
    wet = asked(host, 'collect')
    assert [it['layer_id'] for it in wet['layers']] == [layer]
    assert wet['freed_bytes'] == dry['freed_bytes'] > 0
    wait_for(lambda: not client.layers(), 'the layer to be removed')
    host.expect_tidy(client)


# ---- what goes wrong

@pytest.mark.parametrize('arguments, words', [
    ([], ['verb']),
    (['nonsense'], ['nonsense']),
    (['create', '--nonsense'], ['--nonsense']),
    (['create', '--archive'], ['--archive']),
    (['create', '--ttl', 'soon'], ['soon']),
    (['list', 'dreams'], ['dreams']),
    (['release'], ['LEASE']),
    (['show'], ['ID']),
])
def test_a_wrong_command_line(host, arguments, words):
    text = refused(host, *arguments, status=2)
    for word in words:
        assert word in text, text


@pytest.mark.parametrize('arguments, words', [
    ([], ['COMMAND']),
    (['--archive', '/no/such.zip#a', '--', 'true'], ['/no/such.zip']),
])
def test_run_fails_with_what_no_command_gives(host, arguments, words):
    text = refused(host, 'run', *arguments, status=125)
    for word in words:
        assert word in text, text


def test_an_error_names_the_input_and_the_cause(host):
    text = refused(host, 'create', '--archive', '/no/such.zip#a')
    assert '/no/such.zip' in text and 'not there' in text
    (host.sources / 'text').write_text('no archive')
    (host.sources / 'text').chmod(0o644)
    error = json.loads(refused(host, '--json', 'create', '--archive', '/no/such.zip#a'))['error']
    assert (error['code'], error['reason']) == ('NOT_FOUND', 'SOURCE_NOT_FOUND')


def test_a_relative_name_is_relative_to_where_the_caller_is(host, source):
    host.ctl('create', '--archive', f'{source.name}#a', cwd=source.parent)


def test_no_daemon_is_said_so(host, source):
    host.stop()
    for arguments in (['status'], ['create', '--archive', f'{source}#a']):
        assert str(host.socket) in refused(host, *arguments, status=3)


def test_a_daemon_that_goes_away_is_said_so(host):
    big = make_sample(host.sources / 'big.zip', files=400, size=100_000)
    done = subprocess.Popen([str(CTL), '--socket', str(host.socket), 'create', '--archive',
                             f'{big}#a'], stderr=subprocess.PIPE, text=True)
    worker = wait_for(host.workers, 'the work to begin')[0]
    os.kill(worker, signal.SIGSTOP)
    host.kill()
    os.kill(worker, signal.SIGCONT)
    assert done.communicate(timeout=PATIENCE)[1].strip()
    assert done.returncode == 3


def test_a_time_limit_is_kept(host, client):
    big = make_sample(host.sources / 'big.zip', files=400, size=100_000)
    before = host.snapshot()
    done = subprocess.Popen([str(CTL), '--socket', str(host.socket), '--json', '--timeout',
                             '300ms', 'create', '--archive', f'{big}#a'],
                            stderr=subprocess.PIPE, text=True)
    worker = wait_for(host.workers, 'the work to begin')[0]
    os.kill(worker, signal.SIGSTOP)
    error = json.loads(done.communicate(timeout=PATIENCE)[1])['error']
    assert done.returncode == 1 and error['code'] == 'DEADLINE_EXCEEDED'
    wait_for(lambda: host.snapshot() == before, 'the work to be undone')
    assert not client.leases()


def test_an_interrupted_create_leaves_nothing(host, client):
    big = make_sample(host.sources / 'big.zip', files=400, size=100_000)
    before = host.snapshot()
    done = subprocess.Popen([str(CTL), '--socket', str(host.socket), 'create', '--archive',
                             f'{big}#a'])
    worker = wait_for(host.workers, 'the work to begin')[0]
    os.kill(worker, signal.SIGSTOP)
    creations = client.admin.ListCreations(pb.ListRequest()).creations
    assert {it.kind for it in creations} == {'layer', 'environment'}
    assert [it.subject for it in creations if it.kind == 'layer'] == [str(big)]
    done.send_signal(signal.SIGINT)
    done.wait(PATIENCE)
    wait_for(lambda: host.snapshot() == before, 'the work to be undone')
