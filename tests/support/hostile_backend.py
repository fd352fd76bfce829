"""A build backend that does harm. packages.hostile_sdist() puts it into an sdist.

It refuses to do anything as root, or where the root file system can be written to: it is made
for tests/integration/confined, and for an install's own user there. Whatever would go on for
ever ends by itself after LIFETIME.

What it managed it says in lines that packages.reports_in() reads,

    HOSTILE <deed> <what> <outcome>

on its stdout, and, if the build goes well, in <module>/report.txt of the wheel. An outcome is
"done", or the name of the error (EACCES), or a value. Processes that it leaves behind have
the sdist's marker in their command line, for packages.processes_of().
"""
import ctypes
import errno
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time

import wheel_writer

LIFETIME = 900
BLOCK = 1 << 20
lines = []


def report(what, outcome):
    line = f'HOSTILE {PLAN["deed"]} {what} {outcome}'
    lines.append(line)
    print(line, flush=True)


def attempt(what, deed, *arguments):
    """Does it, and reports how that went; its result, or None."""
    try:
        result = deed(*arguments)
    except OSError as error:
        report(what, errno.errorcode.get(error.errno, type(error).__name__))
        return None
    report(what, 'done' if result is None or isinstance(result, (list, bytes)) else result)
    return result


def parent_of(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as file:
        return int(file.read().rsplit(')', 1)[1].split()[1])


def ancestors():
    """Pids from the parent up, as far as they can be seen."""
    found, pid = [], os.getppid()
    while pid > 0:
        found.append(pid)
        try:
            pid = parent_of(pid)
        except OSError:
            break
    return found


def prefix():
    """Where the installer was told to install to; None if that cannot be found out."""
    for pid in ancestors():
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                words = file.read().decode(errors='surrogateescape').split('\0')
        except OSError:
            continue
        for at, word in enumerate(words):
            if word in ('--prefix', '--target') and at + 1 < len(words):
                return words[at + 1]
            if word.startswith(('--prefix=', '--target=')):
                return word.split('=', 1)[1]
    return None


def create(path, text=b''):
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666)
    try:
        os.write(fd, text or MARKER.encode())
    finally:
        os.close(fd)


# ---- the deeds

def write_outside(_):
    """Files named as the marker, everywhere; then the existing files of the plan."""
    home, target = os.environ.get('HOME'), prefix()
    report('home', home)
    report('prefix', target)
    places = ['/', '/tmp', '/var/tmp', '/dev/shm', '/run', '/etc', *PLAN['places']]
    places += [home] if home else []
    if target:
        above = os.path.dirname(target.rstrip('/'))
        places += [above, os.path.dirname(above)]
    places += [f'/proc/{pid}/cwd' for pid in ancestors()]
    for place in dict.fromkeys(places):
        attempt(f'create:{place}', create, os.path.join(place, MARKER))
    for path in PLAN['files']:
        attempt(f'overwrite:{path}', lambda path=path: os.close(os.open(path, os.O_WRONLY)))
        attempt(f'truncate:{path}', os.truncate, path, 0)
        attempt(f'chmod:{path}', os.chmod, path, 0o777)
        attempt(f'rename:{path}', os.rename, path, path + '.' + MARKER)
        attempt(f'unlink:{path}', os.unlink, path)


DAEMON = '''
import os, sys, time
marker, lifetime, places = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
for beat in range(lifetime * 10):
    for place in places:
        try:
            with open(os.path.join(place, marker + ".heartbeat"), "w") as file:
                file.write(str(beat))
        except OSError:
            pass
    time.sleep(0.1)
'''


def fork_daemon(_):
    """Double fork, a session of its own, no descriptor of ours, ignoring what can be ignored.
    Its heartbeat goes to each place that it can write to."""
    places = [place for place in (prefix(), os.environ.get('TMPDIR'), *PLAN['places']) if place]
    pipe, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.write(said, str(os.getpid()).encode())
        os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        for _ in range(3):
            os.open('/dev/null', os.O_RDWR)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        os.chdir('/')
        os.execv(sys.executable, [sys.executable, '-c', DAEMON, MARKER, str(LIFETIME), *places])
    os.close(said)
    os.waitpid(child, 0)
    report('pid', os.read(pipe, 20).decode())
    report('places', len(places))


def fork_storm(_):
    """The plan's count of processes, each of which keeps our descriptors and waits."""
    code = f'import time; time.sleep({LIFETIME})'
    made, outcome = 0, 'all'
    for made in range(PLAN['count']):
        try:
            # pylint: disable=consider-using-with
            subprocess.Popen([sys.executable, '-S', '-c', code, MARKER])
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, 'OSError')
            break
    else:
        made = PLAN['count']
    report('made', made)
    report('stopped-by', outcome)


def print_forever(_):
    """At full speed up to the plan's bytes, then a line a second."""
    line = b'x' * 4095 + b'\n'
    for _ in range(PLAN['bytes'] // len(line)):
        os.write(1, line)
    for _ in range(LIFETIME):
        os.write(1, b'and so on\n')
        time.sleep(1)


def fill_the_disk(directory):
    """Files of 16 MB, so that no limit of a file's size ends it, up to the plan's bytes."""
    written, outcome = 0, 'all'
    places = [place for place in (directory, prefix(), os.environ.get('TMPDIR')) if place]
    for place in dict.fromkeys(places):
        try:
            os.makedirs(place, exist_ok=True)
            while written < PLAN['bytes']:
                with open(os.path.join(place, f'{MARKER}.{written}'), 'xb', 0) as file:
                    for _ in range(16):
                        written += file.write(os.urandom(BLOCK))
        except OSError as error:
            outcome = errno.errorcode.get(error.errno, 'OSError')
            report(f'at:{place}', outcome)
    report('written', written)
    report('stopped-by', outcome)


def hang(_):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    report('hangs', 'done')
    # In a process with the marker: the installer's own cannot be told from others.
    code = ('import signal, sys, time\n'
            'for number in (15, 2, 1, 3): signal.signal(number, signal.SIG_IGN)\n'
            f'time.sleep({LIFETIME})')
    subprocess.run([sys.executable, '-c', code, MARKER], check=False)


def set_user_id(path):
    create(path)
    os.chmod(path, 0o6755)
    if not os.stat(path).st_mode & stat.S_ISUID:
        raise PermissionError(errno.EPERM, 'not kept')


def make_unreadable(path):
    os.mkdir(path)
    create(os.path.join(path, 'inside'))
    os.chmod(path, 0)


def bind(path):
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(path)


def litter(_):
    """All that should not be in a layer, in the prefix and in our temporary directory."""
    for place in dict.fromkeys(filter(None, (prefix(), os.environ.get('TMPDIR')))):
        attempt(f'mkdir:{place}', lambda place=place: os.makedirs(place, exist_ok=True))
        at = os.path.join(place, MARKER)
        attempt(f'set-user-id:{place}', set_user_id, at + '.setuid')
        attempt(f'link-outside:{place}', os.symlink, '/etc/passwd', at + '.link')
        attempt(f'link-to-root:{place}', os.symlink, '/', at + '.root')
        attempt(f'link-to-itself:{place}', os.symlink, MARKER + '.loop', at + '.loop')
        attempt(f'link-nowhere:{place}', os.symlink, '/nowhere/at/all', at + '.dangling')
        attempt(f'hard-link:{place}', os.link, at + '.setuid', at + '.hard')
        for path in ('/etc/passwd', *PLAN['files']):
            attempt(f'hard-link-outside:{path}:{place}', os.link, path,
                    at + '.' + path.replace('/', '_'))
        attempt(f'fifo:{place}', os.mkfifo, at + '.fifo')
        attempt(f'socket:{place}', bind, at + '.s')
        attempt(f'unreadable:{place}', make_unreadable, at + '.closed')
        attempt(f'device:{place}', os.mknod, at + '.device', stat.S_IFCHR | 0o666,
                os.makedev(1, 3))
        attempt(f'strange-name:{place}', create, os.fsencode(at) + b'.new\nline\xff')


def talk(kind, address):
    with socket.socket(kind[0], kind[1]) as it:
        it.settimeout(5)
        it.connect(address)
        it.send(MARKER.encode())


def use_network(_):
    """To the plan's addresses; and which interfaces there are."""
    report('interfaces', ','.join(name for _, name in socket.if_nameindex()) or 'none')
    for host, port in PLAN['tcp']:
        attempt(f'tcp:{host}:{port}', talk, (socket.AF_INET, socket.SOCK_STREAM), (host, port))
    for host, port in PLAN['udp']:
        attempt(f'udp:{host}:{port}', talk, (socket.AF_INET, socket.SOCK_DGRAM), (host, port))
    for path in PLAN['unix']:
        attempt(f'unix:{path}', talk, (socket.AF_UNIX, socket.SOCK_STREAM),
                '\0' + path[1:] if path.startswith('@') else path)
    for name in PLAN['names']:
        try:
            socket.getaddrinfo(name, 80)
            report(f'name:{name}', 'done')
        except socket.gaierror as error:
            report(f'name:{name}', f'EAI{error.errno}')


def read_secrets(_):
    """The plan's files; and which variables and descriptors came along."""
    for path in PLAN['files']:
        try:
            with open(path, 'rb') as file:
                report(f'read:{path}', file.read(100).hex() or 'empty')
        except OSError as error:
            report(f'read:{path}', errno.errorcode.get(error.errno, 'OSError'))
        attempt(f'list:{os.path.dirname(path)}', os.listdir, os.path.dirname(path))
    for name, value in sorted(os.environ.items()):
        report(f'variable:{name}', value.encode().hex() or 'empty')
    for pid in ['self', *ancestors()]:
        try:
            for fd in os.listdir(f'/proc/{pid}/fd'):
                if pid != 'self' or int(fd) > 2:
                    report(f'descriptor:{pid}:{fd}', os.readlink(f'/proc/{pid}/fd/{fd}'))
        except OSError as error:
            report(f'descriptors:{pid}', errno.errorcode.get(error.errno, 'OSError'))


def trace(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
    attach, detach = 16, 17
    if libc.ptrace(attach, pid, None, None):
        raise OSError(ctypes.get_errno(), 'ptrace')
    os.waitpid(pid, getattr(os, '__WALL', 0x40000000))
    libc.ptrace(detach, pid, None, None)


def open_memory(pid):
    os.close(os.open(f'/proc/{pid}/mem', os.O_RDWR))


def attack_parents(_):
    """From the farthest one to our own: the last are the installer's, and may be killed."""
    found = ancestors()
    report('self', f'{os.getpid()}:{os.getuid()}')
    for pid in reversed(found):
        attempt(f'memory:{pid}', open_memory, pid)
        attempt(f'trace:{pid}', trace, pid)
        attempt(f'kill:{pid}', os.kill, pid, signal.SIGKILL)


def fail(_):
    report('fails', 'done')
    sys.exit(7)


def die(_):
    report('dies', 'done')
    os.kill(os.getpid(), signal.SIGSEGV)


DEEDS = {
    'write-outside': write_outside, 'fork-daemon': fork_daemon, 'fork-storm': fork_storm,
    'print-forever': print_forever, 'fill-the-disk': fill_the_disk, 'hang': hang,
    'litter': litter, 'use-network': use_network, 'read-secrets': read_secrets,
    'attack-parents': attack_parents, 'fail': fail, 'die': die,
}


def refusal():
    """Why nothing is done here; '' where it may be."""
    if 0 in (os.getuid(), os.geteuid()):
        return 'root'
    if not os.statvfs('/').f_flag & os.ST_RDONLY:
        return 'not-confined'
    return ''


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    why = refusal()
    if why:
        report('refused', why)
        sys.exit(9)
    DEEDS[PLAN['deed']](wheel_directory)
    if PLAN['then'] == 'fail':
        sys.exit(8)
    module = wheel_writer.plain(WHEEL['name'])
    described = {**WHEEL, 'files': {**WHEEL['files'],
                                    f'{module}/report.txt': '\n'.join(lines) + '\n'}}
    return wheel_writer.write(wheel_directory, **described)
