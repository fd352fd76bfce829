"""pyenvctl uploads what the daemon cannot read and it can."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
from archives import make_sample
from host import CTL, IS_ROOT, PATIENCE, digest_of, wait_for

USER = 65534
asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: mounts, other users')


def elsewhere(host, files, *arguments):
    """Runs pyenvctl where the sources' directory is another one, with only these files."""
    script = ('set -eu; dir=$1; shift; mount -t tmpfs tmpfs "$dir"\n'
              'while [ "$1" != -- ]; do cp -r "$1" "$dir"; shift; done; shift\n'
              'cd "$dir"; exec "$@"')
    return subprocess.run(
        ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh',
         str(host.sources), *map(str, files), '--', str(CTL), '--socket', str(host.socket),
         *map(str, arguments)],
        capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture
def outside(host):
    """Where files are that only elsewhere() puts among the sources."""
    path = host.directory / 'outside'
    path.mkdir()
    return path


@asks_for_root
def test_a_file_of_another_mount_namespace(host, client, outside):
    archive, module = make_sample(outside / 'a.zip'), outside / 'm.py'
    module.write_text('x = 1\n')
    options = ['--json', 'create', '--archive', 'a.zip#a', '--python-file', 'm.py']
    done = elsewhere(host, [archive, module], *options)
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert pathlib.Path(response['working_directory'], 'a/d1/f1.txt').exists()
    assert [layer['source'] for layer in response['layers']] == [
        f'{host.sources}/a.zip', f'{host.sources}/m.py']
    assert client.status().counters.uploads == 2
    # Again: nothing is sent, nothing is made.
    again = json.loads(elsewhere(host, [archive, module], *options).stdout)
    assert again['dependency_hash'] == response['dependency_hash']
    counters = client.status().counters
    assert (counters.uploads, counters.layers_made) == (2, 2)
    # And as the daemon sees the same files.
    seen = json.loads(host.ctl('--json', 'create', '--archive', f'{archive}#a',
                               '--python-file', module).stdout)
    assert seen['dependency_hash'] == response['dependency_hash']
    host.expect_tidy(client)


@asks_for_root
def test_files_that_flinks_configuration_names(host, client, outside):
    archive, module, conf = make_sample(outside / 'a.zip'), outside / 'm.py', outside / 'f.yaml'
    module.write_text('x = 1\n')
    conf.write_text(f'python.archives: {host.sources}/a.zip#a\n'
                    f'python.files: {host.sources}/m.py\n'
                    'python.executable: python3\n'
                    'python.systemenv.enabled: false\n'
                    "python.job-options: 'X:1'\n")
    options = ['--json', 'create', '--flink-conf', 'f.yaml', '--request-id']
    done = elsewhere(host, [archive, module, conf], *options, 'one')
    assert done.returncode == 0, done.stderr
    response = json.loads(done.stdout)
    assert pathlib.Path(response['working_directory'], 'a/d1/f1.txt').exists()
    assert client.status().counters.uploads == 2
    again = json.loads(elsewhere(host, [archive, module, conf], *options, 'one').stdout)
    assert again['lease_id'] == response['lease_id']
    # And as the daemon sees the same files.
    for path in (archive, module):
        (host.sources / path.name).write_bytes(path.read_bytes())
    seen = json.loads(host.ctl('--json', 'create', '--flink-conf', conf).stdout)
    assert seen['dependency_hash'] == response['dependency_hash']
    assert seen['variables']['PATH'] == response['variables']['PATH']


@asks_for_root
def test_run_from_another_mount_namespace(host, client, outside):
    archive = make_sample(outside / 'a.zip')
    done = elsewhere(host, [archive], 'run', '--archive', 'a.zip#a', '--', 'head', '-n1',
                     'a/d1/f1.txt')
    assert (done.returncode, done.stdout) == (0, '1\n'), done.stderr
    wait_for(lambda: not client.leases(), 'the lease to end')


@asks_for_root
def test_what_may_not_be_read_as_the_daemon_sees_it(host, client):
    source = make_sample(host.sources / 'a.zip')
    source.chmod(0o600)
    create = [str(CTL), '--socket', str(host.socket), '--json', 'create', '--archive',
              f'{source}#a']
    user = ['setpriv', f'--reuid={USER}', '--regid=pyenvd', '--clear-groups']
    refused = subprocess.run([*user, *create], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert json.loads(refused.stderr)['error']['reason'] == 'SOURCE_UNREADABLE'
    assert not client.artifacts()
    able = [*user, '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
    done = subprocess.run([*able, *create], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [it.uid for it in client.artifacts()] == [USER]


def test_what_is_nowhere_is_said_so(host, client):
    before = host.snapshot()
    refused = host.ctl('--json', 'create', '--archive', '/not/there.zip#a', check=False)
    assert refused.returncode == 1
    error = json.loads(refused.stderr)['error']
    assert error['reason'] == 'SOURCE_NOT_FOUND' and '/not/there.zip' in error['message']
    assert host.snapshot() == before


@asks_for_root
def test_a_directory_is_not_uploaded(host, client, outside):
    (outside / 'package').mkdir()
    before = host.snapshot()
    done = elsewhere(host, [outside / 'package'], '--json', 'create', '--python-file', 'package')
    assert done.returncode == 1
    assert json.loads(done.stderr)['error']['reason'] == 'SOURCE_NOT_FOUND'
    assert host.snapshot() == before


@asks_for_root
def test_the_same_request_id_gives_the_same_lease(host, client, outside):
    seen, unseen = make_sample(host.directory / 'b.zip'), make_sample(outside / 'a.zip', salt='a')
    options = ['--json', 'create', '--archive', 'a.zip#a', '--archive', f'{seen}#b',
               '--request-id', 'one']
    one, two = (elsewhere(host, [unseen], *options) for _ in range(2))
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert json.loads(one.stdout)['lease_id'] == json.loads(two.stdout)['lease_id']
    assert len(client.artifacts()) == 1
    other = elsewhere(host, [unseen], *options, '--label', 'another request')
    assert other.returncode == 1
    assert json.loads(other.stderr)['error']['reason'] == 'REQUEST_ID_REUSED'


@asks_for_root
def test_an_upload_that_is_refused_names_its_file(host, outside):
    archive = make_sample(outside / 'a.zip', size=100_000)
    assert host.stop() == 0
    host.start('--max-layer-bytes', '1K')
    done = elsewhere(host, [archive], '--json', 'create', '--archive', 'a.zip#a')
    assert done.returncode == 1
    error = json.loads(done.stderr)['error']
    assert error['reason'] == 'LIMIT_EXCEEDED'
    assert error['message'].startswith(f"cannot upload '{host.sources}/a.zip'")


def test_the_verb_upload_prints_digests(host, client):
    one, two = host.sources / 'one', host.sources / 'two'
    one.write_bytes(b'1')
    two.write_bytes(bytes(3_000_000))
    done = host.ctl('upload', one, two)
    assert done.stdout == f'{digest_of(b"1")}  {one}\n{digest_of(bytes(3_000_000))}  {two}\n'
    rows = json.loads(host.ctl('--json', 'upload', one).stdout)['uploads']
    assert rows == [{'file': str(one), 'sha256': digest_of(b'1'), 'size_bytes': 1,
                     'was_there': True}]
    listed = json.loads(host.ctl('--json', 'list', 'artifacts').stdout)['artifacts']
    assert sorted(row['size_bytes'] for row in listed) == [1, 3_000_000]
    assert digest_of(b'1') in host.ctl('list', 'artifacts').stdout
    assert '2 artifacts' in host.ctl('collect').stdout
    assert not client.artifacts()
    host.expect_tidy(client)


def test_the_verb_upload_says_what_it_could_not_do(host, client):
    good = host.sources / 'good'
    good.write_bytes(b'1')
    os.mkfifo(host.sources / 'fifo')
    for bad, words in (('absent', 'No such file'), ('', 'directory'), ('fifo', 'Invalid')):
        done = host.ctl('upload', host.sources / bad, good, check=False)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert digest_of(b'1') in done.stdout
    assert len(client.artifacts()) == 1


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_a_pyenvctl_that_ends_in_the_middle_leaves_nothing(host, client, how):
    # It takes seconds to send, and nothing to make.
    source = host.sources / 'large'
    source.touch()
    os.truncate(source, 2 << 30)
    before = host.snapshot()
    process = subprocess.Popen([str(CTL), '--socket', str(host.socket), 'upload', str(source)],
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: client.status().creations, 'the upload')
    process.send_signal(how)
    assert process.wait(PATIENCE) == -how
    wait_for(lambda: not client.status().creations, 'the upload to be gone')
    assert host.snapshot() == before
    host.expect_tidy(client)
    assert client.status().counters.uploads_failed == 1
