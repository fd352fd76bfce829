"""Each test has a host of its own."""
import signal

import pytest
from host import Host

# A shell's background ignores it, and what is started here would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def host():
    with Host() as it:
        yield it


@pytest.fixture
def client(host):
    return host.connect()
