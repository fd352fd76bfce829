"""How the daemon is started, and how it ends."""
import os
import pathlib
import signal
import socket
import subprocess
import threading

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from host import DAEMON, PATIENCE, Host, archive, wait_for


def run(*flags, **options):
    return subprocess.run([str(DAEMON), *map(str, flags)], capture_output=True, text=True,
                          timeout=PATIENCE, check=False, **options)


def test_help_and_version_say_what_there_is():
    done = run('--help')
    assert done.returncode == 0 and '--max-bytes' in done.stdout and not done.stderr
    assert run('--version').stdout.startswith('pyenvd ')


@pytest.mark.parametrize('flags, words', [
    (['--nonsense'], ['--nonsense', 'no such option']),
    (['--socket'], ['--socket', 'missing']),
    (['--socket', 'relative'], ['--socket', 'relative', 'absolute path']),
    (['--max-bytes', '5x'], ['--max-bytes', '5x']),
    (['--workers', '0'], ['--workers', 'range']),
    (['--sharing', 'some'], ['--sharing', 'some']),
    (['--log-level', 'loud'], ['--log-level', 'loud']),
    (['extra'], ['extra']),
    (['--config', '/no/file'], ['/no/file', 'No such file']),
])
def test_wrong_flags_are_named(flags, words):
    done = run(*flags)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr, done.stderr


def test_the_file_is_read_and_flags_win(host, tmp_path):
    config = host.directory / 'pyenvd.conf'
    config.write_text('[store]\nmax_bytes = 3M\n[limits]\nmax_leases = 2\n')
    host.stop()
    host.start('--config', str(config))
    assert host.connect().status().max_bytes == 3 << 20
    host.stop()
    host.start('--config', str(config), '--max-bytes', '5M')
    client = host.connect()
    assert client.status().max_bytes == 5 << 20
    for _ in range(2):
        client.create()
    failure = client.fail_to_create()
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 'TOO_MANY')


@pytest.mark.parametrize('text, words', [
    ('[store]\nmax_bites = 3\n', ['max_bites']),
    ('[store]\nmax_bytes = much\n', ['max_bytes', 'much']),
    ('nonsense\n', ['pyenvd.conf']),
])
def test_mistakes_in_the_file_are_named(tmp_path, text, words):
    config = tmp_path / 'pyenvd.conf'
    config.write_text(text)
    done = run('--config', config)
    assert done.returncode == 1
    for word in words:
        assert word in done.stderr, done.stderr


def test_a_second_daemon_on_one_state_directory_is_refused(host):
    done = run('--state-dir', host.state, '--socket', host.directory / 'run' / 'other.sock')
    assert done.returncode == 1
    assert str(host.state) in done.stderr and str(host.pid) in done.stderr
    assert host.connect().status().pid == host.pid


def test_a_dead_socket_is_replaced_and_a_live_one_never(host):
    done = run('--state-dir', host.directory / 'state2', '--socket', host.socket)
    assert done.returncode == 1 and str(host.socket) in done.stderr
    assert host.connect().status().pid == host.pid
    host.kill()
    assert host.socket.exists()
    host.start()
    assert host.connect().status().pid == host.pid


def test_a_live_socket_of_another_program_is_left_alone(host):
    path = host.directory / 'run' / 'other.sock'
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        done = run('--state-dir', host.directory / 'state2', '--socket', path)
        assert done.returncode == 1 and str(path) in done.stderr
        assert path.exists()
    (host.directory / 'run' / 'file').write_text('mine')
    done = run('--state-dir', host.directory / 'state2', '--socket',
               host.directory / 'run' / 'file')
    assert done.returncode == 1
    assert (host.directory / 'run' / 'file').read_text() == 'mine'


def test_a_state_directory_that_cannot_be_used_is_named(host):
    path = host.directory / 'file'
    path.write_text('x')
    done = run('--state-dir', path, '--socket', host.directory / 'run' / 'other.sock')
    assert done.returncode == 1 and str(path) in done.stderr


def test_an_index_of_a_later_version_or_none_at_all_is_refused(host):
    import sqlite3
    host.stop()
    with sqlite3.connect(host.state / 'index.db') as index:
        index.execute('PRAGMA user_version = 1000')
    index.close()
    done = run('--state-dir', host.state, '--socket', host.socket)
    assert done.returncode == 1 and 'index.db' in done.stderr
    (host.state / 'index.db').write_bytes(b'no database' * 1000)
    done = run('--state-dir', host.state, '--socket', host.socket)
    assert done.returncode == 1 and 'index.db' in done.stderr


def test_sigterm_ends_cleanly_and_removes_the_socket(host):
    assert host.stop() == 0
    assert not host.socket.exists()
    assert 'stopped' in host.log.read_text()


def test_sigterm_lets_work_in_flight_end(host, client):
    source = make_sample(host.sources / 'big.zip', files=400, size=100_000)
    responses = []
    waiting = threading.Thread(target=lambda: responses.append(client.create(
        [archive(source, 'a')], holder=pb.Holder(
            time_to_live=pb.TimeToLiveHolder(seconds=1000)))))
    waiting.start()
    wait_for(host.workers, 'the work to begin')
    assert host.stop() == 0
    waiting.join()
    host.start()
    again = host.connect()
    assert [lease.lease_id for lease in again.leases()] == [responses[0].lease_id]
    host.expect_tidy(again)


def test_a_second_signal_gives_up_what_is_in_flight(host, client):
    source = make_sample(host.sources / 'big.zip', files=400, size=100_000)
    failures = []
    waiting = threading.Thread(target=lambda: failures.append(
        client.fail_to_create([archive(source, 'a')])))
    waiting.start()
    worker = wait_for(host.workers, 'the work to begin')[0]
    os.kill(worker, signal.SIGSTOP)
    host.process.send_signal(signal.SIGTERM)
    wait_for(lambda: 'stopping' in host.log.read_text(), 'the daemon to stop')
    host.process.send_signal(signal.SIGTERM)
    assert host.process.wait(PATIENCE) == 0
    waiting.join()
    assert failures[0].code == grpc.StatusCode.UNAVAILABLE
    host.start()
    host.expect_tidy()


def test_a_draining_daemon_takes_no_new_work(host, client):
    source = make_sample(host.sources / 'big.zip', files=400, size=100_000)
    waiting = threading.Thread(target=lambda: client.create([archive(source, 'a')]))
    waiting.start()
    worker = wait_for(host.workers, 'the work to begin')[0]
    os.kill(worker, signal.SIGSTOP)
    host.process.send_signal(signal.SIGTERM)
    wait_for(lambda: 'stopping' in host.log.read_text(), 'the daemon to stop')
    failure = host.connect().fail_to_create([archive(source, 'b')])
    assert failure.code == grpc.StatusCode.UNAVAILABLE
    os.kill(worker, signal.SIGCONT)
    waiting.join()
    assert host.process.wait(PATIENCE) == 0


def test_events_are_lines_with_a_priority(host, client):
    client.fail_to_create([archive('/no/such.zip', 'a')])
    for line in host.log.read_text().splitlines():
        assert line[0] == '<' and line[1] in '34567' and line[2] == '>', line
    assert "reason=SOURCE_NOT_FOUND" in host.log.read_text()
