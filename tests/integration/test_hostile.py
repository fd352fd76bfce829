"""What is made to do harm, or damaged in ways that are hard to notice.

Through `confined` only, as test_bad_input.py. One daemon sees it all, and each case
shows that its state directory is as before.
"""
import gzip
import io
import os
import pathlib
import shutil
import socket
import stat
import struct
import subprocess
import tarfile
import zipfile
import zlib

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import DEVICE, DIRECTORY, FIFO, FILE, HARD, LINK, make_sample, make_tar, make_zip
from host import IS_ROOT, Host, archive, wait_for
from remote import Remote

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
DENIED = grpc.StatusCode.PERMISSION_DENIED
FILE_MODE, LINK_MODE, DIRECTORY_MODE = 0o100644, 0o120777, 0o040755
OTHER = 4242


@pytest.fixture(autouse=True, scope='module')
def is_confined():
    if IS_ROOT and os.access('/usr', os.W_OK):
        pytest.fail('run this through tests/integration/confined')


@pytest.fixture(scope='module')
def shared_host(is_confined):
    with Host('--max-layer-bytes', '50M', '--max-layer-entries', '1000',
              '--max-ratio', '200') as it:
        it.client = it.connect()
        yield it


@pytest.fixture
def host(shared_host):
    """One daemon for all: each test shows that it is as it was before."""
    before = shared_host.snapshot()
    yield shared_host
    assert not shared_host.client.leases()
    wait_for(lambda: shared_host.snapshot() == before,
             f'{shared_host.snapshot()} to be {before} again', patience=20)
    assert not shared_host.client.status().leftovers
    assert shared_host.process.poll() is None
    for path in shared_host.sources.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def expect(failure, code, reason, *words):
    assert failure[:2] == (code, reason), failure
    for word in words:
        assert str(word) in failure.message, failure


def zip_bytes(entries, **options):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED, **options) as it:
        for name, data in entries:
            it.writestr(name, data)
    return file.getvalue()


def patched(data, at, replacement):
    return data[:at] + replacement + data[at + len(replacement):]


NOISE = os.urandom(300_000)
GOOD_ZIP = zip_bytes([('a/one.txt', b'one' * 1000), ('a/two.bin', NOISE)])


def good_tar(mode):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, data in (('one.txt', b'one' * 1000), ('two.bin', NOISE)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zstd(data):
    return subprocess.run(['zstd', '-q', '-c', '--check'], input=data, capture_output=True,
                          check=True).stdout


def encrypted_zip():
    """The flag that says so is enough: nobody gets as far as to ask for a password."""
    data = bytearray(zip_bytes([('secret.txt', b'x' * 100)]))
    data[6] |= 1
    at = data.index(b'PK\1\2')
    data[at + 8] |= 1
    return bytes(data)


def zip_of_method(method):
    data = bytearray(zip_bytes([('odd.bin', b'x' * 100)]))
    data[8:10] = struct.pack('<H', method)
    at = data.index(b'PK\1\2')
    data[at + 10:at + 12] = struct.pack('<H', method)
    return bytes(data)


def zip_with_wrong_crc():
    data = bytearray(zip_bytes([('one.txt', b'one' * 1000)]))
    at = data.index(b'PK\1\2')
    data[14] ^= 0xff
    data[at + 16] ^= 0xff
    return bytes(data)


def gzip_with_wrong_crc():
    data = bytearray(gzip.compress(good_tar('w')))
    data[-8] ^= 0xff
    return bytes(data)


# ---- the file itself

def test_a_source_beneath_a_file(host):
    (host.sources / 'file').write_text('')
    path = host.sources / 'file' / 'a.zip'
    expect(host.client.fail_to_create([archive(path, 'a')]), NOT_FOUND, 'SOURCE_NOT_FOUND', path)


def test_a_link_that_dangles(host):
    path = host.sources / 'link.zip'
    path.symlink_to('/nowhere/at/all')
    expect(host.client.fail_to_create([archive(path, 'a')]), NOT_FOUND, 'SOURCE_NOT_FOUND', path)


def test_a_link_in_a_circle(host):
    path = host.sources / 'link.zip'
    path.symlink_to('link.zip')
    failure = host.client.fail_to_create([archive(path, 'a')])
    assert failure.code in (INVALID, NOT_FOUND) and str(path) in failure.message


@pytest.mark.skipif(not IS_ROOT, reason='only root may become another user')
@pytest.mark.parametrize('where', ['the file', 'its directory'])
def test_a_source_that_the_caller_may_not_read(host, where):
    directory = host.sources / 'private'
    directory.mkdir()
    path = make_sample(directory / 'a.zip')
    if where == 'the file':
        path.chmod(0o600)
    else:
        directory.chmod(0o700)
    try:
        with Remote(host, uid=OTHER) as other:
            failure = other.fail('create', [archive(path, 'a')])
            expect(failure, DENIED, 'SOURCE_UNREADABLE', path)
            # Nor does having seen its content elsewhere help, nor may root's lease.
            expect(other.fail('create', [archive(path, 'a')]), DENIED, 'SOURCE_UNREADABLE')
    finally:
        path.unlink()


def test_a_socket(host):
    path = host.sources / 'socket'
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(path))
        expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, 'SOURCE_NOT_A_FILE',
               path, 'socket')


@pytest.mark.parametrize('path', ['/dev/zero', '/dev/null'])
def test_a_device(host, path):
    expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, 'SOURCE_NOT_A_FILE', path,
           'device')


@pytest.mark.skipif(not IS_ROOT, reason='only root may make devices')
@pytest.mark.parametrize('kind', [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_without_a_driver(host, kind):
    path = host.sources / 'device'
    os.mknod(path, kind | 0o666, os.makedev(240, 0))
    expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, 'SOURCE_NOT_A_FILE', path,
           'device')


def test_files_that_the_kernel_makes_up(host):
    """They say that they are empty, and are not: nothing that could be an archive."""
    failure = host.client.fail_to_create([archive('/proc/self/status', 'a')])
    assert failure.code in (INVALID, grpc.StatusCode.ABORTED)
    assert '/proc/self/status' in failure.message


# ---- what is in it

DAMAGED = {
    'an empty file': (b'', 'ARCHIVE_EMPTY'),
    'a text': (b'This is no archive.\n' * 50, 'ARCHIVE_UNRECOGNISED'),
    'noise': (os.urandom(5000), 'ARCHIVE_UNRECOGNISED'),
    'a program': (pathlib.Path('/bin/true').read_bytes(), 'ARCHIVE_UNRECOGNISED'),
    'one byte': (b'P', 'ARCHIVE_UNRECOGNISED'),
    'a gzip of a text': (gzip.compress(b'no tar' * 100), 'ARCHIVE_UNRECOGNISED'),
    'an empty zip': (zip_bytes([]), 'ARCHIVE_EMPTY'),
    'an empty tar': (b'\0' * 10240, 'ARCHIVE_EMPTY'),
    'an empty tar.gz': (gzip.compress(b'\0' * 10240), 'ARCHIVE_EMPTY'),
    'an encrypted zip': (encrypted_zip(), 'ARCHIVE_ENCRYPTED'),
    'a zip of a kind from tomorrow': (zip_of_method(77), 'ARCHIVE_UNSUPPORTED'),
    'a zip cut in its directory': (GOOD_ZIP[:-30], 'ARCHIVE_CORRUPT'),
    'a zip cut in the middle': (GOOD_ZIP[:len(GOOD_ZIP) // 2], 'ARCHIVE_CORRUPT'),
    'a zip without its directory': (GOOD_ZIP[:GOOD_ZIP.index(b'PK\1\2')], 'ARCHIVE_CORRUPT'),
    'a zip with damaged data': (patched(GOOD_ZIP, 5000, b'\xff' * 500), 'ARCHIVE_CORRUPT'),
    'a zip with a wrong checksum': (zip_with_wrong_crc(), 'ARCHIVE_CORRUPT'),
    'a tar cut in a file': (good_tar('w')[:200_000], 'ARCHIVE_CORRUPT'),
    'a tar with a damaged header': (patched(good_tar('w'), 3584 + 100, b'\xff' * 60),
                                    'ARCHIVE_CORRUPT'),
    'a tar.gz cut': (good_tar('w:gz')[:-2000], 'ARCHIVE_CORRUPT'),
    'a tar.gz without its end': (good_tar('w:gz')[:-4], 'ARCHIVE_CORRUPT'),
    'a tar.gz with a wrong checksum': (gzip_with_wrong_crc(), 'ARCHIVE_CORRUPT'),
    'a tar.gz with something behind': (good_tar('w:gz') + b'something', 'ARCHIVE_CORRUPT'),
    'a tar.bz2 cut': (good_tar('w:bz2')[:-2000], 'ARCHIVE_CORRUPT'),
    'a tar.xz cut': (good_tar('w:xz')[:-2000], 'ARCHIVE_CORRUPT'),
    'a tar.xz damaged': (patched(good_tar('w:xz'), 9000, b'\xff' * 500), 'ARCHIVE_CORRUPT'),
    'a tar.zst cut': (zstd(good_tar('w'))[:-2000], 'ARCHIVE_CORRUPT'),
    'a tar.zst damaged': (patched(zstd(good_tar('w')), 9000, b'\xff' * 500), 'ARCHIVE_CORRUPT'),
}


@pytest.mark.parametrize('what', DAMAGED)
def test_a_file_that_is(host, what):
    data, reason = DAMAGED[what]
    path = host.sources / 'a.zip'
    path.write_bytes(data)
    expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, reason, path)


# ---- entries

TARS = {
    'absolute': ('ENTRY_FORBIDDEN', [('/etc/evil', FILE, 'x')], '/etc/evil'),
    'climbing': ('ENTRY_FORBIDDEN', [('../evil', FILE, 'x')], '../evil'),
    'climbing from within': ('ENTRY_FORBIDDEN', [('a/../../evil', FILE, 'x')], 'a/../../evil'),
    'climbing to where it may': ('ENTRY_FORBIDDEN', [('a/../b', FILE, 'x')], 'a/../b'),
    'a directory that climbs': ('ENTRY_FORBIDDEN', [('..', DIRECTORY, None)], '..'),
    'beneath a link': ('ENTRY_FORBIDDEN',
                       [('link', LINK, '..'), ('link/evil', FILE, 'x')], 'link/evil'),
    'beneath a link, deep': ('ENTRY_FORBIDDEN',
                             [('d', DIRECTORY, None), ('d/link', LINK, '/'),
                              ('d/link/tmp/evil', FILE, 'x')], 'd/link/tmp/evil'),
    'beneath a link that comes later': ('ENTRY_CONFLICT',
                                        [('link/evil', FILE, 'x'), ('link', LINK, '..')], 'link'),
    'a hard link out': ('ENTRY_FORBIDDEN', [('hard', HARD, '/etc/passwd')], '/etc/passwd'),
    'a hard link that climbs': ('ENTRY_FORBIDDEN', [('hard', HARD, '../../index.db')],
                                '../../index.db'),
    'a hard link to nothing': ('ENTRY_CONFLICT', [('hard', HARD, 'nothing')], 'hard'),
    'a hard link to a directory': ('ENTRY_CONFLICT',
                                   [('d', DIRECTORY, None), ('hard', HARD, 'd')], 'hard'),
    'a hard link to itself': ('ENTRY_CONFLICT', [('hard', HARD, 'hard')], 'hard'),
    'a fifo': ('ENTRY_FORBIDDEN', [('fifo', FIFO, None)], 'fifo'),
    'a device': ('ENTRY_FORBIDDEN', [('zero', DEVICE, None)], 'zero'),
    'a block device': ('ENTRY_FORBIDDEN', [('disk', tarfile.BLKTYPE, None)], 'disk'),
    'a file twice, not the same': ('ENTRY_CONFLICT', [('f', FILE, 'one'), ('f', FILE, 'two')],
                                   'f'),
    'a file where a directory is': ('ENTRY_CONFLICT',
                                    [('d', DIRECTORY, None), ('d', FILE, 'x')], 'd'),
    'a file where a directory must be': ('ENTRY_CONFLICT',
                                         [('d/f', FILE, 'x'), ('d', FILE, 'x')], 'd'),
    'beneath a file': ('ENTRY_CONFLICT', [('f', FILE, 'x'), ('f/g', FILE, 'x')], 'f/g'),
    'a link where a directory is': ('ENTRY_CONFLICT',
                                    [('d', DIRECTORY, None), ('d', LINK, '/')], 'd'),
    'a directory where a link is': ('ENTRY_CONFLICT',
                                    [('d', LINK, '/tmp'), ('d', DIRECTORY, None)], 'd'),
    'a link to two places': ('ENTRY_CONFLICT', [('l', LINK, 'a'), ('l', LINK, 'b')], 'l'),
    'a link where a file is': ('ENTRY_CONFLICT', [('f', FILE, 'x'), ('f', LINK, '/x')], 'f'),
    'the whole tree': ('ENTRY_FORBIDDEN', [('.', LINK, '/tmp')], '.'),
    'a long name': ('ENTRY_FORBIDDEN', [('n' * 256, FILE, 'x')], 'n' * 100),
}


@pytest.mark.parametrize('compression', ['w', 'w:gz'])
@pytest.mark.parametrize('what', TARS)
def test_a_tar_with(host, what, compression):
    reason, entries, word = TARS[what]
    path = make_tar(host.sources / 'a.tar', [('good', FILE, 'good'), *entries], compression)
    expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, reason, path, word)


ZIPS = {
    'absolute': ('ENTRY_FORBIDDEN', [('/etc/evil', FILE_MODE, 'x')], '/etc/evil'),
    'climbing': ('ENTRY_FORBIDDEN', [('../evil', FILE_MODE, 'x')], '../evil'),
    'climbing from within': ('ENTRY_FORBIDDEN', [('a/../../evil', FILE_MODE, 'x')], '..'),
    'a directory that climbs': ('ENTRY_FORBIDDEN', [('a/../../', DIRECTORY_MODE, '')], '..'),
    'beneath a link': ('ENTRY_FORBIDDEN',
                       [('link', LINK_MODE, '..'), ('link/evil', FILE_MODE, 'x')], 'link/evil'),
    'beneath a link that comes later': ('ENTRY_CONFLICT', [('link/evil', FILE_MODE, 'x'),
                                                           ('link', LINK_MODE, '..')], 'link'),
    'a link to nowhere': ('ENTRY_FORBIDDEN', [('link', LINK_MODE, '')], 'link'),
    'a fifo': ('ENTRY_FORBIDDEN', [('fifo', 0o010644, '')], 'fifo'),
    'a device': ('ENTRY_FORBIDDEN', [('zero', 0o020644, '')], 'zero'),
    'a socket': ('ENTRY_FORBIDDEN', [('socket', 0o140644, '')], 'socket'),
    'beneath a file': ('ENTRY_CONFLICT', [('f', FILE_MODE, 'x'), ('f/g', FILE_MODE, 'x')], 'f/g'),
    'a file where a directory is': ('ENTRY_CONFLICT',
                                    [('d/', DIRECTORY_MODE, ''), ('d', FILE_MODE, 'x')], 'd'),
    'a link where a file is': ('ENTRY_CONFLICT',
                               [('f', FILE_MODE, 'x'), ('./f', LINK_MODE, '/x')], 'f'),
    'a file twice, not the same': ('ENTRY_CONFLICT',
                                   [('f', FILE_MODE, 'one'), ('./f', FILE_MODE, 'two')], 'f'),
    'a long name': ('ENTRY_FORBIDDEN', [('n' * 256, FILE_MODE, 'x')], 'n' * 100),
}


@pytest.mark.parametrize('what', ZIPS)
def test_a_zip_with(host, what):
    reason, entries, word = ZIPS[what]
    path = make_zip(host.sources / 'a.zip', [('good', FILE_MODE, 'good'), *entries])
    expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, reason, path, word)


@pytest.mark.parametrize('name', ['nul\0hidden/../../x', 'bs\\..\\..\\evil'])
def test_a_zip_with_a_name_that_others_read_differently(host, name):
    """Whatever becomes of it lies in its own tree, or is refused."""
    path = host.sources / 'a.zip'
    raw = zip_bytes([('x' * len(name), b'content')]).replace(b'x' * len(name), name.encode())
    path.write_bytes(raw)
    try:
        response = host.client.create([archive(path, 'a')], holder=pb.Holder(
            time_to_live=pb.TimeToLiveHolder(seconds=3600)))
    except grpc.RpcError as error:
        assert error.code() == INVALID
        return
    host.client.release(response.lease_id)
    assert host.client.collect().layers


# ---- too much

def test_more_bytes_than_the_limit(host):
    path = make_zip(host.sources / 'a.zip', [(f'f{i}', FILE_MODE, b'\0' * 11_000_000)
                                             for i in range(5)])
    expect(host.client.fail_to_create([archive(path, 'a')]), EXHAUSTED, 'LIMIT_EXCEEDED', path,
           'max_layer_bytes')


def test_more_bytes_than_the_limit_in_a_stream(host):
    path = make_tar(host.sources / 'a.tar.gz', [(f'f{i}', FILE, b'\0' * 11_000_000)
                                                for i in range(5)], 'w:gz')
    expect(host.client.fail_to_create([archive(path, 'a')]), EXHAUSTED, 'LIMIT_EXCEEDED', path,
           'max_layer_bytes')


def test_a_zip_that_understates_its_size(host):
    """The directory says 100 bytes; 60 million come out."""
    data = bytearray(zip_bytes([('bomb', b'\0' * 60_000_000)]))
    at = data.index(b'PK\1\2')
    data[22:26] = data[at + 24:at + 28] = struct.pack('<L', 100)
    path = host.sources / 'a.zip'
    path.write_bytes(data)
    failure = host.client.fail_to_create([archive(path, 'a')])
    assert failure[:2] in ((INVALID, 'ARCHIVE_CORRUPT'), (EXHAUSTED, 'LIMIT_EXCEEDED'))
    assert str(path) in failure.message


def test_a_zip_that_overstates_its_size(host):
    data = bytearray(zip_bytes([('small', b'x' * 100)]))
    at = data.index(b'PK\1\2')
    data[22:26] = data[at + 24:at + 28] = struct.pack('<L', 40_000_000)
    path = host.sources / 'a.zip'
    path.write_bytes(data)
    expect(host.client.fail_to_create([archive(path, 'a')]), INVALID, 'ARCHIVE_CORRUPT', path)


@pytest.mark.parametrize('make', [
    lambda path: make_zip(path, [(f'f{i}', FILE_MODE, '') for i in range(1100)]),
    lambda path: make_tar(path, [(f'f{i}', FILE, '') for i in range(1100)]),
    lambda path: make_tar(path, [('/'.join(['d'] * 10) + f'/{i}/{i}', FILE, '')
                                 for i in range(700)]),
])
def test_more_entries_than_the_limit(host, make):
    path = make(host.sources / 'a')
    expect(host.client.fail_to_create([archive(path, 'a')]), EXHAUSTED, 'LIMIT_EXCEEDED', path,
           'max_layer_entries')


def test_deeper_than_anybody_needs(host):
    path = make_tar(host.sources / 'a.tar', [('/'.join(['d'] * 600), FILE, 'x')])
    expect(host.client.fail_to_create([archive(path, 'a')]), EXHAUSTED, 'LIMIT_EXCEEDED', path,
           'deep')


# ---- python files

@pytest.mark.parametrize('name', ['lib.zip', 'lib.jar', 'lib.tgz'])
def test_a_python_file_that_is_no_archive_though_its_name_says_so(host, name):
    path = host.sources / name
    path.write_text('no archive')
    expect(host.client.fail_to_create(python_files=[pb.PythonFile(path=str(path))]), INVALID,
           'ARCHIVE_UNRECOGNISED', path)


def test_a_directory_of_python_files_with_a_fifo_in_it(host):
    directory = host.sources / 'package'
    directory.mkdir()
    os.mkfifo(directory / 'fifo')
    try:
        failure = host.client.fail_to_create(python_files=[pb.PythonFile(path=str(directory))])
    finally:
        (directory / 'fifo').unlink()
    expect(failure, INVALID, 'ENTRY_FORBIDDEN', directory, 'fifo')


# ---- one bad among good ones

def test_one_bad_archive_spoils_the_request_and_not_the_good_layer(shared_host):
    client = shared_host.client
    good = make_sample(shared_host.sources / 'good.zip', salt='spoil')
    bad = shared_host.sources / 'bad.zip'
    bad.write_bytes(zlib.compress(b'no archive'))
    failure = client.fail_to_create([archive(good, 'good'), archive(bad, 'bad')])
    expect(failure, INVALID, 'ARCHIVE_UNRECOGNISED', bad)
    assert str(good) not in failure.message
    assert not client.leases()
    shared_host.expect_tidy(client)
    response = client.create([archive(good, 'good')])
    client.release(response.lease_id)
    client.collect()
    shared_host.expect_tidy(client)
    wait_for(lambda: not client.layers(), 'the layer to be collected')


def test_a_file_that_is_put_right_is_prepared(shared_host):
    """A failure is not remembered against what comes after it."""
    client = shared_host.client
    path = shared_host.sources / 'repaired.zip'
    path.write_bytes(GOOD_ZIP[:1000])
    expect(client.fail_to_create([archive(path, 'a')]), INVALID, 'ARCHIVE_CORRUPT', path)
    path.write_bytes(GOOD_ZIP)
    response = client.create([archive(path, 'a')])
    assert pathlib.Path(response.working_directory, 'a/a/two.bin').read_bytes() == NOISE
    client.release(response.lease_id)
