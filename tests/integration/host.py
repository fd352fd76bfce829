"""A host with a daemon of its own, and what tests ask of it.

A Host is a temporary directory with a real pyenvd in it. As root the daemon is the
system's (it becomes the user pyenvd, and its clients may be anybody); otherwise it is
the user's own. Nothing here decides by timing: wait_for() looks until something holds,
and fails only after a time that no working daemon needs.
"""
import collections
import hashlib
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

import beam_messages
import grpc
import pyenvd_pb2 as pb
import pyenvd_pb2_grpc as rpc
from google.rpc import error_details_pb2, status_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('PYENVD_BUILD', ROOT / 'build')).resolve()
DAEMON = BUILD / 'daemon' / 'pyenvd'
WORKER = BUILD / 'daemon' / 'pyenvd-worker'
CTL = BUILD / 'client' / 'pyenvctl'
PATIENCE = 120
IS_ROOT = os.geteuid() == 0

Failure = collections.namedtuple('Failure', 'code reason message')


def wait_for(condition, what, patience=PATIENCE):
    """Returns the first true value of condition()."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f'waited in vain for {what}'
        time.sleep(0.01)


def failure_of(error):
    """Code, reason and message of a grpc.RpcError, the details decoded."""
    reason = ''
    for key, value in error.trailing_metadata() or ():
        if key == 'grpc-status-details-bin':
            status = status_pb2.Status.FromString(value)
            assert status.code == error.code().value[0]
            info = error_details_pb2.ErrorInfo()
            assert status.details[0].Unpack(info)
            assert info.domain == 'pyenvd'
            reason = info.reason
    return Failure(error.code(), reason, error.details())


def archive(path, target, private_copy=False):
    return pb.Archive(path=str(path), target_dir=target, private_copy=private_copy)


def digest_of(content):
    return hashlib.sha256(content).hexdigest()


def ttl(seconds=3600):
    return pb.Holder(time_to_live=pb.TimeToLiveHolder(seconds=seconds))


class Client:
    """One gRPC connection."""

    def __init__(self, socket):
        self.socket = socket
        self.connect()

    def connect(self):
        # Channels with equal options share a connection; a test's clients must not.
        options = [('grpc.use_local_subchannel_pool', 1),
                   ('grpc.max_send_message_length', -1)]
        self.channel = grpc.insecure_channel(f'unix:{self.socket}', options=options)
        self.environments = rpc.EnvironmentsStub(self.channel)
        self.admin = rpc.AdminStub(self.channel)

    def close(self):
        self.channel.close()

    def create(self, archives=(), timeout=PATIENCE, **fields):
        request = pb.CreateEnvironmentRequest(archives=archives, **fields)
        return self.environments.CreateEnvironment(request, timeout=timeout)

    def fail_to_create(self, archives=(), timeout=PATIENCE, **fields):
        """The failure of a create that must fail."""
        try:
            self.create(archives, timeout, **fields)
        except grpc.RpcError as error:
            return failure_of(error)
        raise AssertionError('the create went well')

    def release(self, lease_id):
        request = pb.ReleaseEnvironmentRequest(lease_id=lease_id)
        return self.environments.ReleaseEnvironment(request, timeout=PATIENCE).released

    def status(self):
        return self.admin.GetStatus(pb.GetStatusRequest(), timeout=PATIENCE)

    def leases(self):
        return self.admin.ListLeases(pb.ListRequest(page_size=1000), timeout=PATIENCE).leases

    def layers(self):
        return self.admin.ListLayers(pb.ListRequest(page_size=1000), timeout=PATIENCE).layers

    def artifacts(self):
        return self.admin.ListArtifacts(pb.ListRequest(page_size=1000), timeout=PATIENCE).artifacts

    def upload(self, content, sha256=None, size=None, chunk=256 * 1024, timeout=PATIENCE):
        """Uploads bytes, or an iterator's (then with both other facts)."""
        def parts():
            yield pb.UploadArtifactRequest(header=pb.ArtifactHeader(
                sha256=sha256 or digest_of(content),
                size_bytes=len(content) if size is None else size))
            pieces = content
            if isinstance(content, bytes):
                pieces = (content[i:i + chunk] for i in range(0, len(content), chunk))
            for piece in pieces:
                yield pb.UploadArtifactRequest(chunk=piece)
        return self.environments.UploadArtifact(parts(), timeout=timeout)

    def fail_to_upload(self, *arguments, **fields):
        try:
            self.upload(*arguments, **fields)
        except grpc.RpcError as error:
            return failure_of(error)
        raise AssertionError('the upload went well')

    def find_artifact(self, sha256):
        request = pb.FindArtifactRequest(sha256=sha256)
        return self.environments.FindArtifact(request, timeout=PATIENCE).artifact

    def start_worker(self, worker_id, params=None, timeout=PATIENCE, **fields):
        """Of Beam's worker pool: what is wrong, in its words; '' if it runs."""
        fields.setdefault('control_endpoint', {'url': 'localhost:1'})
        request = beam_messages.workers.StartWorkerRequest(worker_id=worker_id, params=params,
                                                           **fields)
        return self.pool_call('StartWorker')(request, timeout=timeout).error

    def stop_worker(self, worker_id, timeout=PATIENCE):
        request = beam_messages.workers.StopWorkerRequest(worker_id=worker_id)
        return self.pool_call('StopWorker')(request, timeout=timeout).error

    def pool_call(self, method):
        messages = beam_messages.workers
        return self.channel.unary_unary(
            f'/org.apache.beam.model.fn_execution.v1.BeamFnExternalWorkerPool/{method}',
            request_serializer=getattr(messages, f'{method}Request').SerializeToString,
            response_deserializer=getattr(messages, f'{method}Response').FromString)

    def collect(self, **fields):
        return self.admin.Collect(pb.CollectRequest(**fields), timeout=PATIENCE)


class Host:
    def __init__(self, *flags, uid=None):
        """uid: the daemon runs as this ordinary user (asks for root)."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='pyenvd-test-'))
        self.directory.chmod(0o755)
        self.sources = self.directory / 'sources'
        self.sources.mkdir(mode=0o755)
        self.state = self.directory / 'state'
        self.socket = self.directory / 'run' / 'pyenvd.sock'
        self.uid = uid
        self.flags = flags
        self.process = None
        self.log = self.directory / 'log'
        if uid is not None:
            os.chown(self.directory, uid, uid)
        self.clients = []
        self.start()

    # -- the daemon

    def command(self, *flags):
        prefix = []
        if self.uid is not None:
            prefix = ['setpriv', f'--reuid={self.uid}', f'--regid={self.uid}', '--clear-groups']
        return prefix + [str(DAEMON), '--state-dir', str(self.state), '--socket',
                         str(self.socket), '--worker-program', str(WORKER), '--log-level',
                         'debug', *self.flags, *flags]

    def start(self, *flags):
        """Starts the daemon and waits until it listens."""
        before = self.log.read_text() if self.log.exists() else ''
        with open(self.log, 'a', encoding='utf-8') as log:
            self.process = subprocess.Popen(self.command(*flags), stderr=log,
                                            stdin=subprocess.DEVNULL)
        wait_for(lambda: '>listening ' in self.log.read_text()[len(before):] or
                 self.process.poll() is not None, 'the daemon to listen')
        assert self.process.poll() is None, self.log.read_text()
        if not before:
            # Those that clean slots: what is caught in a test is to be its own.
            wait_for(lambda: not self.workers(), 'the first workers to end')
        for client in self.clients:
            client.close()
            client.connect()
        return self

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE)

    def restart(self):
        assert self.stop() == 0
        return self.start()

    @property
    def pid(self):
        return self.process.pid

    def workers(self):
        """Pids of worker processes of this daemon, living ones. Not one that is only being
        started: until it is, the daemon waits for it, and whoever stops it stops both."""
        return [pid for pid in children_of(self.pid)
                if name_of(pid) == WORKER.name and state_of(pid) not in ('Z', '')]

    def close(self):
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.stop()
        log = self.log.read_text()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert 'Sanitizer' not in log and 'runtime error:' not in log, log

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if exception[0] and self.log.exists():
            print(self.log.read_text())
        self.close()

    # -- its clients

    def connect(self):
        client = Client(self.socket)
        self.clients.append(client)
        return client

    def ctl(self, *arguments, uid=None, check=True, **options):
        """Runs pyenvctl; a CompletedProcess with text."""
        prefix = []
        if uid is not None:
            prefix = ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups']
        done = subprocess.run([*prefix, str(CTL), '--socket', str(self.socket), *map(str, arguments)],
                              capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, **options)
        assert not check or done.returncode == 0, done.stderr
        return done

    def ctl_as_user(self, *arguments, uid=65534, **options):
        """As some user who may connect: the socket's group is given to it."""
        prefix = ['setpriv', f'--reuid={uid}', '--regid=pyenvd', '--clear-groups']
        return subprocess.run([*prefix, str(CTL), '--socket', str(self.socket),
                               *map(str, arguments)], capture_output=True, text=True,
                              timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False, **options)

    # -- what is on the disk

    def files(self):
        """Names in the state directory, two levels deep; SQLite's own files aside."""
        names = {name for name in os.listdir(self.state) if not name.startswith('index.db-')}
        for part in ('layers', 'leases', 'artifacts'):
            names |= {f'{part}/{name}' for name in os.listdir(self.state / part)}
        return names

    def rows(self):
        """How many rows are in which table."""
        database = sqlite3.connect(f'file:{self.state}/index.db?mode=ro', uri=True)
        try:
            names = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND"
                                     " name NOT LIKE 'sqlite%'").fetchall()
            return {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                    for name, in names}
        finally:
            database.close()

    def snapshot(self):
        """All that a failed request must leave as it was. Digests are only a cache."""
        rows = self.rows()
        rows.pop('digests', None)
        return self.files(), rows

    def expect_tidy(self, client=None):
        """The state directory holds the index, the lock, the reserve for a full disk, and what
        is listed; nothing else."""
        client = client or self.connect()

        def is_tidy():
            listed = {'index.db', 'lock', 'reserve', 'layers', 'leases', 'logs', 'artifacts'}
            listed |= {f'layers/{layer.layer_id}' for layer in client.layers()}
            listed |= {f'leases/{lease.lease_id}' for lease in client.leases()}
            listed |= {f'artifacts/{it.sha256}-{it.uid}' for it in client.artifacts()}
            return self.files() == listed
        wait_for(is_tidy, f'a tidy state directory: {sorted(self.files())}')


def children_of(pid):
    try:
        text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text(encoding='ascii')
    except FileNotFoundError:
        return []
    return [int(child) for child in text.split()]


def name_of(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/comm').read_text(encoding='utf-8').strip()
    except (FileNotFoundError, ProcessLookupError):
        return ''


def state_of(pid):
    """The letter of /proc/<pid>/stat; '' when it is gone."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='utf-8', errors='replace')
    except (FileNotFoundError, ProcessLookupError):
        return ''
    return text.rsplit(')', 1)[1].split()[0]
