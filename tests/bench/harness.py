"""What the benchmarks share: a disk of their own, a daemon on it, medians."""
import contextlib
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('PYENVD_BUILD', ROOT / 'build')).resolve()
DAEMON = BUILD / 'daemon' / 'pyenvd'
WORKER = BUILD / 'daemon' / 'pyenvd-worker'
CTL = BUILD / 'client' / 'pyenvctl'
IS_ROOT = os.geteuid() == 0
PATIENCE = 120
MAKE = {
    'ext4': ['mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0'],
    'xfs': ['mkfs.xfs', '-q', '-m', 'reflink=1'],
}


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, text=True,
                          stdin=subprocess.DEVNULL, **options)


@contextlib.contextmanager
def disk(size='6G', kind='ext4'):
    """A directory on a fresh journaled file system, which needs root; else one on the disk there is.

    A fresh ext4, because ext4 looks long for an inode that was not freed within the last five
    seconds: what others do on a shared disk would be measured. Its name is short, because ext4
    keeps a link's target in the inode only up to 59 bytes, as it does below /var/lib/pyenvd.
    """
    top = pathlib.Path(tempfile.mkdtemp(prefix='pb-', dir='/var/tmp'))
    top.chmod(0o755)
    mount = top / 'd'
    mount.mkdir(mode=0o755)
    mounted = False
    try:
        if IS_ROOT:
            run('truncate', '-s', size, top / 'image')
            run(*MAKE[kind], top / 'image')
            run('mount', '-o', 'loop', top / 'image', mount)
            mounted = True
        else:
            print('not root: measured on the disk of /var/tmp, not on a fresh one')
        yield mount
    finally:
        if mounted:
            run('umount', mount)
        shutil.rmtree(top, ignore_errors=True)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f'waited in vain for {what}')
        time.sleep(0.01)


@contextlib.contextmanager
def daemon(directory, *flags, prefix=()):
    """A pyenvd with state and socket of its own in the directory; yields its socket."""
    socket = directory / 'run' / 'pyenvd.sock'
    log = directory / 'log'
    command = [*prefix, DAEMON, '--state-dir', directory / 'state', '--socket', socket,
               '--worker-program', WORKER, *flags]
    with open(log, 'w', encoding='utf-8') as file:
        # pylint: disable=consider-using-with
        process = subprocess.Popen([str(word) for word in command], stderr=file,
                                   stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: '>listening ' in log.read_text() or process.poll() is not None,
                 'the daemon to listen')
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        yield socket
    finally:
        process.terminate()
        process.wait(PATIENCE)


def spread(values, digits=0):
    """The median, and the least and the greatest."""
    return (f'{statistics.median(values):.{digits}f} '
            f'({min(values):.{digits}f}-{max(values):.{digits}f})')
