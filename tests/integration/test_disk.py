"""A disk of its own for the daemon's state, which gets full."""
import contextlib
import errno
import os
import pathlib
import random
import sqlite3
import subprocess
import zipfile

import grpc
import pytest
from archives import FILE, make_tar, make_zip
from host import IS_ROOT, Host, archive, ttl, wait_for

pytestmark = pytest.mark.skipif(not IS_ROOT, reason='only root mounts')
NO_SPACE = (grpc.StatusCode.RESOURCE_EXHAUSTED, 'NO_SPACE')
MB = 1_000_000


class DiskHost(Host):
    """Its state directory is on a file system of 96 MiB."""

    def __init__(self, kind, *flags):
        self.kind = kind
        super().__init__(*flags)

    def start(self, *flags):
        if self.process is None:
            self.disk = self.directory / 'disk'
            self.disk.mkdir(mode=0o755)
            self.state = self.disk / 'state'
            if self.kind == 'tmpfs':
                command = ['mount', '-t', 'tmpfs', '-o', 'size=96m,mode=755', 'none', self.disk]
            else:
                image = self.directory / 'image'
                subprocess.run(['truncate', '-s', '96M', image], check=True)
                subprocess.run(['mkfs.ext4', '-q', '-m', '0', image], check=True)
                command = ['mount', '-o', 'loop', image, self.disk]
            subprocess.run(command, check=True)
        return super().start(*flags)

    def fill(self):
        """To the last byte, for everybody."""
        with open(self.disk / 'filler', 'ab', buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(b'x' * size)
        with pytest.raises(OSError) as caught:
            pathlib.Path(self.disk / 'more').write_bytes(b'x' * 4096)
        assert caught.value.errno == errno.ENOSPC

    def empty(self):
        (self.disk / 'filler').unlink()
        with contextlib.suppress(FileNotFoundError):
            (self.disk / 'more').unlink()

    def expect_sound(self):
        database = sqlite3.connect(f'file:{self.state}/index.db?mode=ro', uri=True)
        assert database.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
        assert not database.execute('PRAGMA foreign_key_check').fetchall()
        database.close()

    def close(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.stop()
        subprocess.run(['umount', self.disk], check=True)
        super().close()


@pytest.fixture(params=['tmpfs', 'ext4'])
def host(request):
    with DiskHost(request.param) as it:
        yield it


def sample(host, name, files, size):
    """Cannot be compressed."""
    content = random.Random(name)
    return make_zip(host.sources / name,
                    [(f'd{i % 7}/f{i}', 0o100644, content.randbytes(size)) for i in range(files)],
                    zipfile.ZIP_STORED)


def test_what_does_not_fit_is_refused_and_leaves_nothing(host, client):
    before = host.snapshot()
    large = sample(host, 'large.zip', 100, MB)
    failure = client.fail_to_create([archive(large, 'a')])
    assert failure[:2] == NO_SPACE and str(large) in failure.message
    wait_for(lambda: host.snapshot() == before, 'all that it made to go')
    assert client.create([archive(sample(host, 'small.zip', 10, 1000), 'a')]).lease_id
    host.expect_tidy(client)
    host.expect_sound()


def test_what_turns_out_not_to_fit_leaves_nothing(host, client):
    """How much is in a compressed tar shows only on the way."""
    before = host.snapshot()
    bomb = make_tar(host.sources / 'bomb.tar.gz',
                    [(f'f{i}', FILE, b'\1' * 10 * MB) for i in range(12)], 'w:gz')
    failure = client.fail_to_create([archive(bomb, 'a')])
    assert failure[:2] == NO_SPACE and str(bomb) in failure.message
    wait_for(lambda: host.snapshot() == before, 'all that it made to go')
    assert client.create([archive(sample(host, 'small.zip', 10, 1000), 'a')]).lease_id
    host.expect_sound()


def test_a_private_copy_that_does_not_fit_leaves_no_lease(host, client):
    half = sample(host, 'half.zip', 40, MB)
    assert client.release(client.create([archive(half, 'a')]).lease_id)
    wait_for(lambda: not os.listdir(host.state / 'leases'), 'the lease to go')
    before = host.snapshot()
    failure = client.fail_to_create([archive(half, 'a', True), archive(half, 'b', True)])
    assert failure[:2] == NO_SPACE
    wait_for(lambda: host.snapshot()[0] == before[0], 'the copies to go')
    assert not client.leases()
    host.expect_tidy(client)


def test_a_full_disk_can_be_emptied(host, client):
    sources = [sample(host, f'{i}.zip', 20, MB // 4) for i in range(6)]
    leases = [client.create([archive(source, 'a')], holder=ttl()) for source in sources]
    kept = leases.pop()
    host.fill()
    failure = client.fail_to_create([archive(sources[0], 'b')], holder=ttl())
    assert failure[:2] == NO_SPACE
    assert len(client.leases()) == 6
    for lease in leases:
        assert client.release(lease.lease_id)
    assert [lease.lease_id for lease in client.leases()] == [kept.lease_id]
    client.collect()
    wait_for(lambda: [layer.layer_id for layer in client.layers()] == [kept.layers[0].layer_id],
             'the layers to go')
    wait_for(lambda: os.statvfs(host.disk).f_bavail * os.statvfs(host.disk).f_frsize > 20 * MB,
             'the room that they took')
    wait_for(lambda: (host.state / 'reserve').stat().st_blocks * 512 >= 4 << 20,
             'the reserve to be made again')
    host.empty()
    assert client.create([archive(sources[0], 'a')], holder=ttl()).lease_id
    host.expect_tidy(client)
    host.expect_sound()


@pytest.mark.parametrize('end', ['stop', 'kill'])
def test_a_daemon_starts_on_a_full_disk(host, client, end):
    source = sample(host, 'a.zip', 20, MB // 4)
    idle = sample(host, 'b.zip', 20, MB // 4)
    lease = client.create([archive(source, 'a')], holder=ttl())
    assert client.release(client.create([archive(idle, 'a')], holder=ttl()).lease_id)
    getattr(host, end)()
    host.fill()
    host.start()
    assert [it.lease_id for it in client.leases()] == [lease.lease_id]
    assert client.release(lease.lease_id)
    client.collect()
    wait_for(lambda: not client.layers(), 'the layers to go')
    host.empty()
    assert client.create([archive(source, 'a')], holder=ttl()).lease_id
    host.expect_tidy(client)
    host.expect_sound()
