"""Bad input: a clear error with the right code and reason, and nothing left behind.

As root these run through `confined` only: what must not be written could then not be.
"""
import contextlib
import ctypes
import json
import os
import subprocess
import threading
import zipfile

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import (DEVICE, DIRECTORY, FIFO, FILE, HARD, LINK, make_sample, make_tar, make_zip)
from host import IS_ROOT, Host, archive, wait_for

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture(autouse=True)
def is_confined():
    if IS_ROOT and os.access('/usr', os.W_OK):
        pytest.fail('run this through tests/integration/confined')


def expect(host, client, failure, code, reason, *words):
    assert (failure.code, failure.reason) == (code, reason), failure
    for word in words:
        assert str(word) in failure.message, failure


@pytest.fixture
def refused(host, client):
    """refused(archives, code, reason, words…, **fields): nothing is left of it."""
    # Something is there already, so that "as before" is not "empty".
    kept = client.create([archive(make_sample(host.sources / 'kept.zip'), 'kept')])
    before = host.snapshot()

    def check(archives, code, reason, *words, **fields):
        failure = client.fail_to_create(archives, **fields)
        expect(host, client, failure, code, reason, *words)
        assert host.snapshot() == before
    yield check
    assert client.release(kept.lease_id)


# -- sources

def test_a_missing_file(host, refused):
    path = host.sources / 'missing.zip'
    refused([archive(path, 'a')], grpc.StatusCode.NOT_FOUND, 'SOURCE_NOT_FOUND', path)
    refused([archive(host.sources / 'kept.zip/below', 'a')], grpc.StatusCode.NOT_FOUND,
            'SOURCE_NOT_FOUND', 'below')


def test_a_directory_fifo_socket_and_device_given_as_an_archive(host, refused):
    os.mkfifo(host.sources / 'fifo', 0o644)
    for path, word in ((host.sources, 'directory'), (host.sources / 'fifo', 'fifo'),
                       (host.socket, 'socket'), ('/dev/null', 'device')):
        refused([archive(path, 'a')], INVALID, 'SOURCE_NOT_A_FILE', path, word)


def test_a_relative_or_empty_path(refused):
    refused([archive('some.zip', 'a')], INVALID, 'REQUEST_INVALID', 'some.zip', 'absolute')
    refused([archive('', 'a')], INVALID, 'REQUEST_INVALID', 'empty')


def test_requirements_that_name_nothing(refused):
    for fields, words in (({}, ['requirements.path', 'empty']),
                          ({'package_directory': '/w'}, ['requirements.path', 'empty']),
                          ({'path': 'r.txt'}, ['requirements.path', 'r.txt', 'absolute']),
                          ({'path': '/r.txt', 'package_directory': 'w'},
                           ['requirements.package_directory', "'w'", 'absolute'])):
        refused([], INVALID, 'REQUEST_INVALID', *words, requirements=pb.Requirements(**fields))


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: files of another user')
def test_a_file_that_the_client_may_not_read():
    with Host() as host:
        secret = make_sample(host.sources / 'secret.zip')
        secret.chmod(0o600)
        before = host.snapshot()
        done = host.ctl_as_user('--json', 'create', '--archive', f'{secret}#a')
        assert done.returncode == 1
        error = json.loads(done.stderr)['error']
        assert (error['code'], error['reason']) == ('PERMISSION_DENIED', 'SOURCE_UNREADABLE')
        assert str(secret) in error['message']
        assert host.snapshot() == before


@contextlib.contextmanager
def hung_mount(directory):
    """A file system whose server never answers."""
    libc = ctypes.CDLL(None, use_errno=True)
    fuse = os.open('/dev/fuse', os.O_RDWR)
    options = f'fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other'.encode()
    if libc.mount(b'hung', str(directory).encode(), b'fuse', 0, options):
        raise OSError(ctypes.get_errno(), 'mount')
    try:
        yield directory / 'file.zip'
    finally:
        libc.umount2(str(directory).encode(), 2)
        os.close(fuse)


@pytest.mark.skipif(not IS_ROOT or not os.path.exists('/dev/fuse'), reason='asks for FUSE')
def test_a_file_on_a_hung_mount_is_given_up_and_nobody_else_waits():
    with Host('--open-timeout', '2') as host:
        client = host.connect()
        mount = host.directory / 'mount'
        mount.mkdir()
        before = host.snapshot()
        with hung_mount(mount) as path:
            failures = []
            waiting = threading.Thread(target=lambda: failures.append(
                host.connect().fail_to_create([archive(path, 'a')])))
            waiting.start()
            good = make_sample(host.sources / 'good.zip')
            assert client.release(client.create([archive(good, 'a')]).lease_id)
            waiting.join()
        assert failures[0].code == grpc.StatusCode.UNAVAILABLE, failures
        assert failures[0].reason == 'SOURCE_HUNG' and str(path) in failures[0].message
        client.collect()
        host.expect_tidy(client)
        wait_for(lambda: host.snapshot()[0] == before[0], "the collected layer to be removed")


# -- archives that are none, or not whole

def test_what_is_empty(host, refused):
    (host.sources / 'empty').touch()
    (host.sources / 'empty.zip').write_bytes(b'PK\5\6' + b'\0' * 18)
    make_tar(host.sources / 'empty.tar', [])
    for name in ('empty', 'empty.zip', 'empty.tar'):
        refused([archive(host.sources / name, 'a')], INVALID, 'ARCHIVE_EMPTY', name)


def test_what_is_no_archive(host, refused):
    import gzip
    (host.sources / 'text.zip').write_text('no archive\n' * 1000)
    (host.sources / 'text.tar.gz').write_bytes(gzip.compress(b'no tar\n' * 1000))
    for name in ('text.zip', 'text.tar.gz'):
        refused([archive(host.sources / name, 'a')], INVALID, 'ARCHIVE_UNRECOGNISED', name)


def test_what_is_truncated(host, refused):
    content = [(f'f{i}', FILE, os.urandom(5000)) for i in range(20)]
    make_zip(host.sources / 'a.zip', [(name, 0o100644, data) for name, _, data in content])
    for mode in ('', 'gz', 'bz2', 'xz'):
        make_tar(host.sources / f'a.tar.{mode}', content, f'w:{mode}')
    for name in ('a.zip', 'a.tar.', 'a.tar.gz', 'a.tar.bz2', 'a.tar.xz'):
        data = (host.sources / name).read_bytes()
        for size in (len(data) // 2, len(data) - 9):
            if name == 'a.tar.' and size > len(data) // 2:
                size = 3 * 512 + 1024 * 8  # its end is zeros: cut within an entry instead
            (host.sources / f'cut-{name}').write_bytes(data[:size])
            refused([archive(host.sources / f'cut-{name}', 'a')], INVALID, 'ARCHIVE_CORRUPT',
                    f'cut-{name}')


def test_what_is_damaged(host, refused):
    make_zip(host.sources / 'a.zip', [('f', 0o100644, os.urandom(50000)),
                                      ('g', 0o100644, 'g' * 900_000)])
    make_tar(host.sources / 'a.tgz', [('f', FILE, os.urandom(50000))], 'w:gz')
    for name, at in (('a.zip', 20000), ('a.tgz', 20000), ('a.tgz', -6)):
        data = bytearray((host.sources / name).read_bytes())
        data[at] ^= 0xff
        (host.sources / f'bad-{name}').write_bytes(data)
        refused([archive(host.sources / f'bad-{name}', 'a')], INVALID, 'ARCHIVE_CORRUPT',
                f'bad-{name}')


def test_what_is_encrypted(host, refused):
    (host.sources / 'f').write_text('secret')
    subprocess.run(['zip', '-q', '-P', 'word', 'a.zip', 'f'], check=True, cwd=host.sources)
    refused([archive(host.sources / 'a.zip', 'a')], INVALID, 'ARCHIVE_ENCRYPTED', 'a.zip', "'f'")


def test_a_method_that_is_not_known(host, refused):
    make_zip(host.sources / 'a.zip', [('f', 0o100644, 'x' * 100)], zipfile.ZIP_STORED)
    data = (host.sources / 'a.zip').read_bytes()
    central = data.index(b'PK\1\2')
    data = data[:8] + b'\x61\0' + data[10:central + 10] + b'\x61\0' + data[central + 12:]
    (host.sources / 'a.zip').write_bytes(data)
    refused([archive(host.sources / 'a.zip', 'a')], INVALID, 'ARCHIVE_UNSUPPORTED', "'f'", '97')


# -- entries

TAR_ENTRIES = {
    'absolute': ([('/x', FILE, 'x')], 'ENTRY_FORBIDDEN', '/x'),
    'climbing': ([('a/../../x', FILE, 'x')], 'ENTRY_FORBIDDEN', 'a/../../x'),
    'climbing directory': ([('..', DIRECTORY, None)], 'ENTRY_FORBIDDEN', '..'),
    'beneath a link': ([('l', LINK, '.'), ('l/x', FILE, 'x')], 'ENTRY_FORBIDDEN', 'l/x'),
    'a link over a directory': ([('l/x', FILE, 'x'), ('l', LINK, '.')], 'ENTRY_CONFLICT', 'l'),
    'deep beneath a link': ([('l', LINK, '.'), ('l/m/x', FILE, 'x')], 'ENTRY_FORBIDDEN', 'l/m/x'),
    'a fifo': ([('f', FIFO, None)], 'ENTRY_FORBIDDEN', 'f'),
    'a device': ([('d', DEVICE, None)], 'ENTRY_FORBIDDEN', 'd'),
    'a hard link out': ([('h', HARD, '/etc/hostname')], 'ENTRY_FORBIDDEN', 'h'),
    'a hard link that climbs': ([('h', HARD, '../../x')], 'ENTRY_FORBIDDEN', 'h'),
    'a hard link to nothing': ([('h', HARD, 'x')], 'ENTRY_CONFLICT', 'h'),
    'a file twice': ([('f', FILE, '1'), ('f', FILE, '2')], 'ENTRY_CONFLICT', 'f'),
    'a file as a directory': ([('f', FILE, '1'), ('f/x', FILE, '2')], 'ENTRY_CONFLICT', 'f/x'),
    'a directory as a file': ([('d/x', FILE, '1'), ('d', FILE, '2')], 'ENTRY_CONFLICT', 'd'),
    'a link to two targets': ([('l', LINK, 'a'), ('l', LINK, 'b')], 'ENTRY_CONFLICT', 'l'),
    'a long component': ([('n' * 256, FILE, 'x')], 'ENTRY_FORBIDDEN', 'longer'),
}


@pytest.mark.parametrize('case', TAR_ENTRIES)
def test_entries_of_a_tar(host, refused, case):
    entries, reason, word = TAR_ENTRIES[case]
    source = make_tar(host.sources / 'a.tar', entries)
    refused([archive(source, 'a')], INVALID, reason, source, word)


ZIP_ENTRIES = {
    'absolute': ([('/x', 0o100644, 'x')], 'ENTRY_FORBIDDEN', '/x'),
    'climbing': ([('../x', 0o100644, 'x')], 'ENTRY_FORBIDDEN', '../x'),
    'beneath a link': ([('l', 0o120777, '.'), ('l/x', 0o100644, 'x')], 'ENTRY_FORBIDDEN', 'l/x'),
    'a fifo': ([('f', 0o010644, '')], 'ENTRY_FORBIDDEN', 'f'),
    'a device': ([('d', 0o020644, '')], 'ENTRY_FORBIDDEN', 'd'),
    'a file twice': ([('f', 0o100644, '1'), ('f', 0o100644, '2')], 'ENTRY_CONFLICT', 'f'),
    'a file as a directory': ([('f', 0o100644, '1'), ('f/x', 0o100644, '2')],
                              'ENTRY_CONFLICT', 'f/x'),
}


@pytest.mark.filterwarnings('ignore:Duplicate name')
@pytest.mark.parametrize('case', ZIP_ENTRIES)
def test_entries_of_a_zip(host, refused, case):
    entries, reason, word = ZIP_ENTRIES[case]
    source = make_zip(host.sources / 'a.zip', entries)
    refused([archive(source, 'a')], INVALID, reason, source, word)


def test_what_is_there_twice_but_the_same_is_normal(host, client):
    source = make_tar(host.sources / 'a.tar', [
        ('d', DIRECTORY, None), ('d', DIRECTORY, None), ('./d/', DIRECTORY, None),
        ('f', FILE, 'x'), ('./f', FILE, 'x'), ('l', LINK, 'f'), ('l', LINK, 'f')])
    assert client.create([archive(source, 'a')]).lease_id


# -- requests

@pytest.mark.parametrize('target', ['', '/abs', '..', 'a/../../b', 'a/..', '.', './a', 'a//b', 'a/'])
def test_targets_that_are_no_place(host, refused, target):
    refused([archive(host.sources / 'kept.zip', target)], INVALID, 'TARGET_INVALID', 'kept.zip')


@pytest.mark.parametrize('one, two', [('a', 'a'), ('a', 'a/b'), ('a/b/c', 'a/b')])
def test_targets_in_each_others_way(host, refused, one, two):
    kept, other = host.sources / 'kept.zip', make_sample(host.sources / 'other.zip', salt='o')
    refused([archive(kept, one), archive(other, two)], INVALID, 'TARGET_CONFLICT',
            'kept.zip', 'other.zip', one, two)


def test_interpreters_that_are_none(host, refused):
    plain = host.sources / 'plain'
    plain.write_text('x')
    kept = [archive(host.sources / 'kept.zip', 'kept')]
    missing = grpc.StatusCode.NOT_FOUND
    refused(kept, missing, 'INTERPRETER_NOT_FOUND', '/no/python', python='/no/python')
    refused(kept, missing, 'INTERPRETER_NOT_FOUND', 'nopython', '/usr/bin', python='nopython')
    refused(kept, missing, 'INTERPRETER_NOT_FOUND', 'kept.zip', 'bin/python',
            python='kept/bin/python')
    refused(kept, INVALID, 'INTERPRETER_NOT_EXECUTABLE', plain, python=str(plain))
    refused(kept, INVALID, 'INTERPRETER_NOT_EXECUTABLE', python=str(host.sources))
    refused(kept, INVALID, 'INTERPRETER_NOT_EXECUTABLE', 'd1/f1.txt', python='kept/d1/f1.txt')
    refused(kept, INVALID, 'INTERPRETER_UNUSABLE', '/bin/false', 'exit code 1', python='/bin/false')
    refused(kept, INVALID, 'REQUEST_INVALID', 'venv/bin/python', python='venv/bin/python')
    refused(kept, INVALID, 'REQUEST_INVALID', 'kept/../x', python='kept/../x')


def test_python_files_that_are_none(host, refused):
    def file(path, name=''):
        return [pb.PythonFile(path=str(path), name=name)]
    refused([], grpc.StatusCode.NOT_FOUND, 'SOURCE_NOT_FOUND', 'no.py',
            python_files=file(host.sources / 'no.py'))
    refused([], INVALID, 'REQUEST_INVALID', 'a/b',
            python_files=file(host.sources / 'kept.zip', 'a/b'))
    broken = host.sources / 'broken'
    broken.mkdir()
    os.mkfifo(broken / 'fifo')
    refused([], INVALID, 'ENTRY_FORBIDDEN', 'fifo', python_files=file(broken))


@pytest.mark.parametrize('fields, word', [
    ({'request_id': 'x' * 129}, 'request_id'),
    ({'label': 'x' * 257}, 'label'),
    ({'variables': {'': 'x'}}, 'variable'),
    ({'variables': {'A=B': 'x'}}, 'A=B'),
    ({'base_variables': {'HOME': '/'}}, 'HOME'),
    ({'bytecode': 7}, 'bytecode'),
    ({'holder': pb.Holder()}, 'holder'),
    ({'holder': pb.Holder(time_to_live=pb.TimeToLiveHolder(seconds=0))}, 'time-to-live'),
    ({'holder': pb.Holder(time_to_live=pb.TimeToLiveHolder(seconds=2592001))}, '2592000'),
    ({'holder': pb.Holder(connection=pb.ConnectionHolder(grace_ms=3600001))}, 'hour'),
    ({'holder': pb.Holder(process=pb.ProcessHolder(pid=-5))}, '-5'),
])
def test_fields_that_cannot_be(refused, fields, word):
    refused([], INVALID, 'REQUEST_INVALID', word, **fields)


def test_a_string_with_a_nul_or_without_utf8(host, client, refused):
    raw = client.channel.unary_unary('/pyenvd.v1.Environments/CreateEnvironment')
    for value in (b'/a\0b', b'/\xff'):
        field = b'\x0a' + bytes([len(value)]) + value
        with pytest.raises(grpc.RpcError) as error:
            raw(b'\x1a' + bytes([len(field)]) + field, timeout=60)
        assert error.value.code() == INVALID
        assert 'archives.path' in error.value.details()
