"""The adapter in a JVM without Flink around it: client/java's Driver, asked by lines.

As root it is run by an ordinary user of pyenvd's group, as a TaskManager would be.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

from cluster import UID
from host import IS_ROOT, PATIENCE


class Refused(Exception):
    pass


class Driver:
    def __init__(self, line, socket, prefix=(), **variables):
        """line: a conftest.Line; prefix: a command that starts commands."""
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='driver-'))
        as_user = []
        if IS_ROOT:
            as_user = ['setpriv', f'--reuid={UID}', '--regid=pyenvd', '--clear-groups']
            os.chown(self.directory, UID, -1)
        self.log = self.directory / 'log'
        self.log_text = None
        java = ['java', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1',
                f'-Djava.io.tmpdir={self.directory}', '-Dorg.apache.logging.log4j.level=WARN',
                '-cp', f'{line.home}/lib/*:{line.tests}', 'org.pyenvd.flink.Driver',
                line.jar, line.flink_python, line.tests]
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [*prefix, *as_user, *java], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True, env={
                    'PATH': '/usr/local/bin:/usr/bin:/bin', 'LANG': 'C.UTF-8',
                    'PYENVD_SOCKET': str(socket), **variables})

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE)
        self.log_text = self.log.read_text(encoding='utf-8')
        print(self.log_text)
        shutil.rmtree(self.directory)

    @property
    def pid(self):
        return self.process.pid

    def tell(self, *words):
        self.process.stdin.write('\t'.join(map(str, words)) + '\n')
        self.process.stdin.flush()

    def ask(self, *words):
        """The lines of the answer."""
        self.tell(*words)
        lines = []
        while True:
            line = self.process.stdout.readline()
            assert line, 'the JVM has ended'
            if line == 'ok\n':
                return lines
            if line.startswith('failed '):
                raise Refused(line.removeprefix('failed ').strip())
            lines.append(line.rstrip('\n'))

    def open(self, *commands):
        """Returns the base directory."""
        for words in commands:
            self.ask(*words)
        self.ask('open')
        return self.ask('base')[0]

    def worker(self):
        """The program, and variables."""
        program, *rows = self.ask('worker')
        return program, dict(row.split('=', 1) for row in rows)
