"""One check decides which hosts may be reached without TLS."""

import pytest

from automatum.core.network import is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "api.automatum.io", "localhost.example.com", "127.0.0.2", "0.0.0.0", "10.0.0.1"])
def test_every_other_host_is_not(host):
    assert not is_loopback(host)
