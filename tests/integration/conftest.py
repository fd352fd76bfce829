"""Each test has a host of its own."""
import pytest
from host import Host


@pytest.fixture
def host():
    with Host() as it:
        yield it


@pytest.fixture
def client(host):
    return host.connect()
