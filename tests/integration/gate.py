"""Holds workers back: a test says when they may begin."""
import contextlib

from host import WORKER, Host

PROGRAM = """#!/bin/sh
# A worker that waits until the gate is open.
echo $$ >>'{directory}/started'
while [ ! -e '{directory}/open' ]; do
	sleep 0.02
done
exec '{worker}' "$@"
"""


class GatedHost(Host):
    """A host whose workers wait while its gate is shut; it is open at first."""

    def __init__(self, *flags, **options):
        self.gate = None
        super().__init__(*flags, **options)

    def command(self, *flags):
        if not self.gate:
            self.gate = self.directory / 'gate'
            self.gate.mkdir()
            self.gate.chmod(0o777)
            (self.gate / 'started').touch()
            (self.gate / 'started').chmod(0o666)
            self.program = self.directory / 'gated-worker'
            self.program.write_text(PROGRAM.format(directory=self.gate, worker=WORKER))
            self.program.chmod(0o755)
            self.open()
        return super().command(*flags, '--worker-program', str(self.program))

    def open(self):
        (self.gate / 'open').touch()

    def shut(self):
        (self.gate / 'open').unlink(missing_ok=True)

    def started(self):
        """How many workers were ever started."""
        return len((self.gate / 'started').read_text().splitlines())

    @contextlib.contextmanager
    def held_back(self):
        self.shut()
        try:
            yield
        finally:
            self.open()
