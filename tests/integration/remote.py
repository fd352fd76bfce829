"""A client in a process of its own: of any user, and to be killed.

    python remote.py SOCKET UID GID [GROUP]...

It is started with the rights of its parent and imports what it needs before it gives
them up, so that it works where the other user could not read these files. Calls come
in and answers go out as pickles: ('create', (), {...}) -> (True, response), or
(False, Failure).
"""
import functools
import os
import pathlib
import pickle
import subprocess
import sys

import grpc
from host import Client, Failure, failure_of

SOURCES = pathlib.Path(__file__).resolve().parent


class Refused(Exception):
    """A call of a remote client failed."""

    def __init__(self, failure):
        super().__init__(failure)
        self.failure = failure


class Remote:
    """What Client offers, called in another process; use it in a with statement."""

    def __init__(self, host, uid=None, gid=None, groups=(), prefix=()):
        uid = os.geteuid() if uid is None else uid
        if gid is None:  # another user gets the group that may connect
            gid = os.getegid() if uid == os.geteuid() else os.stat(host.socket).st_gid
        path = os.pathsep.join([str(SOURCES), str(SOURCES.parent / 'support'), os.environ.get('PYTHONPATH', '')])
        self.process = subprocess.Popen(
            [*prefix, sys.executable, str(SOURCES / 'remote.py'), str(host.socket), str(uid),
             str(gid), *map(str, groups)], cwd='/', env={**os.environ, 'PYTHONPATH': path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert pickle.load(self.process.stdout) == 'ready'

    @property
    def pid(self):
        return self.process.pid

    def begin(self, name, *arguments, **fields):
        """Asks; the answer comes from end()."""
        pickle.dump((name, arguments, fields), self.process.stdin)
        self.process.stdin.flush()

    def end(self):
        well, value = pickle.load(self.process.stdout)
        if not well:
            raise Refused(value)
        return value

    def call(self, name, *arguments, **fields):
        self.begin(name, *arguments, **fields)
        return self.end()

    def fail(self, name, *arguments, **fields):
        """The failure of a call that must fail."""
        try:
            self.call(name, *arguments, **fields)
        except Refused as refused:
            return refused.failure
        raise AssertionError(f'{name} went well')

    def kill(self):
        """SIGKILL, and nothing else."""
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.kill()
        self.process.stdin.close()
        self.process.stdout.close()


def serve(socket, uid, gid, groups):
    answers = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)
    if uid != os.geteuid():
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    client = Client(socket)
    pickle.dump('ready', answers)
    answers.flush()
    while True:
        try:
            name, arguments, fields = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            value = functools.reduce(getattr, name.split('.'), client)(*arguments, **fields)
            # Lists in messages cannot be pickled, messages can.
            answer = True, list(value) if hasattr(value, 'append') else value
        except grpc.RpcError as error:
            failure = failure_of(error)
            answer = False, Failure(failure.code, failure.reason, failure.message)
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == '__main__':
    numbers = [int(text) for text in sys.argv[2:]]
    serve(sys.argv[1], numbers[0], numbers[1], numbers[2:])
