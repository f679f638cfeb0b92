"""Connections: kept open, through the proxy and with the certificates that the environment names (I3, I5, I6)."""

import base64
import gzip
import logging

import pytest

from automatum.api.connections import BUNDLES, Connections
from automatum.api.http import ApiResponse, HttpFailure, send
from automatum.core.clock import SystemClock
from automatum.core.errors import ConfigurationError
from automatum.core.redaction import redact_logging
from tests.support.loopback import Loopback, Say, closed_port, error
from tests.support.tls import Authority, Proxy

VENDOR = "api.example.com"
PAGE = "/api/v1/customers"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", *BUNDLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def connections():
    with Connections() as opened:
        yield opened


def request(connections, url, method="GET", **more):
    return send(connections, method, url, clock=SystemClock(), timeout=20, within=30, headers={}, **more)


def test_pages_share_one_connection_i3(connections):
    """Also where a page is compressed, chunked, empty or refused."""
    page = Say(body=gzip.compress(b'{"data": [{"id": "1"}]}'), headers={"Content-Encoding": "gzip"})
    answers = [Say(), page, Say(chunked=True), Say(204, b""), error(404, "No"), error(429, "Later"), Say(302, b"")]
    with Loopback() as server:
        server.say(PAGE, *answers)
        for number in range(20):
            assert isinstance(request(connections, server.url + PAGE, params={"page": str(number)}), ApiResponse)
        assert server.connections == 1
        assert [one.query["page"] for one in server.seen] == [[str(number)] for number in range(20)]


def test_a_connection_that_the_server_closed_is_opened_again_i3(connections):
    """Without a failed attempt: it would cost a request."""
    with Loopback() as server:
        server.say(PAGE, Say(headers={"Connection": "close"}))
        assert [request(connections, server.url + PAGE).status for _ in range(3)] == [200] * 3
        assert server.connections == len(server.seen) == 3


def test_fresh_connections_share_certificates_and_nothing_else_i5(connections, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with Loopback(authority.server_context("127.0.0.1")) as server:
        server.say(PAGE, Say(headers={"Set-Cookie": "stuck=1"}))
        assert request(connections, server.url + PAGE).status == 200
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
        with connections.fresh() as others:
            assert request(others, server.url + PAGE, "POST", body=b"{}").status == 200
        assert request(connections, server.url + PAGE).status == 200
        assert server.connections == 2
        assert not any("Cookie" in one.headers for one in server.seen)


@pytest.mark.parametrize("name", BUNDLES)
def test_a_companys_authority_is_trusted_where_a_variable_names_it(connections, authority, monkeypatch, name):
    with Loopback(authority.server_context("127.0.0.1")) as server:
        server.say(PAGE, Say())
        refused = request(connections, server.url + PAGE, "POST", body=b"{}")
        assert isinstance(refused, HttpFailure)
        assert "certificate is refused" in refused.detail
        assert "REQUESTS_CA_BUNDLE" in refused.detail
        assert not refused.sent, "no byte of the request was sent, so a push may go on (I5)"
        if name == "SSL_CERT_DIR":
            link = authority.bundle.parent / "folder"
            link.mkdir()
            (link / f"{_subject_hash(authority.bundle)}.0").write_bytes(authority.bundle.read_bytes())
            monkeypatch.setenv(name, str(link))
        else:
            monkeypatch.setenv(name, str(authority.bundle))
        with Connections() as trusting:
            assert request(trusting, server.url + PAGE).status == 200
        assert len(server.seen) == 1


def _subject_hash(bundle):
    """The name by which OpenSSL finds a certificate in a folder."""
    import hashlib

    from cryptography import x509

    name = x509.load_pem_x509_certificate(bundle.read_bytes()).subject
    # The canonical form: the text in lower case, UTF-8, without the outer sequence.
    text = name.rfc4514_string().partition("=")[2].lower().encode()
    value = b"\x0c" + bytes([len(text)]) + text
    kind = b"\x06\x03\x55\x04\x03"
    pair = b"\x30" + bytes([len(kind + value)]) + kind + value
    digest = hashlib.sha1(b"\x31" + bytes([len(pair)]) + pair).digest()
    return digest[:4][::-1].hex()


def test_a_certificate_for_another_name_is_refused(connections, authority, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with Loopback(authority.server_context("other.example.com")) as server:
        assert "not valid for '127.0.0.1'" in request(connections, server.url + PAGE).detail
        assert server.seen == []


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"no certificate", "holds no certificates")])
def test_certificates_that_cannot_be_read_are_a_mistake_of_the_settings(
    connections, tmp_path, monkeypatch, content, reason
):
    path = tmp_path / "bundle.pem"
    if content:
        path.write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    with pytest.raises(ConfigurationError, match=reason) as caught:
        request(connections, "https://127.0.0.1:1/")
    assert "REQUESTS_CA_BUNDLE" in str(caught.value)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_tls_goes_through_the_proxy_in_a_tunnel_i6(connections, authority, monkeypatch, caplog, variable):
    """The proxy sees the name of the host, and neither path nor token. Its own password is in no log."""
    redact_logging()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    with Loopback(authority.server_context(VENDOR), VENDOR) as server, Proxy(server.port) as proxy:
        monkeypatch.setenv(variable, f"http://someone:canary%40pass@{proxy.address}")
        server.say(PAGE, Say())
        with caplog.at_level(logging.DEBUG):
            for _ in range(3):
                assert request(connections, server.url + PAGE).status == 200
        basic = base64.b64encode(b"someone:canary@pass").decode()
        assert proxy.seen == [("CONNECT", f"{VENDOR}:{server.port}", f"Basic {basic}")]
        assert server.connections == 1
        assert not any("Proxy-Authorization" in one.headers for one in server.seen)
    assert "canary" not in caplog.text
    assert basic not in caplog.text


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_plain_http_goes_through_no_proxy_i6(connections, monkeypatch, variable):
    """The proxy would get the token in the clear."""
    with Proxy(closed_port()) as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.address}")
        assert isinstance(request(connections, f"http://127.0.0.2:{closed_port()}{PAGE}"), HttpFailure)
        assert proxy.seen == []


@pytest.mark.parametrize(
    ("listed", "asked"),
    [("10.0.0.1, 127.0.0.2", 0), ("*", 0), ("127.0.0.3,example.com", 1), ("", 1)],
)
def test_no_proxy_lists_addresses(connections, monkeypatch, listed, asked):
    with Proxy(closed_port()) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        monkeypatch.setenv("no_proxy", listed)
        request(connections, f"https://127.0.0.2:{closed_port()}{PAGE}")
        assert len(proxy.seen) == asked


@pytest.mark.parametrize("refusal", [407, 503, None])
def test_a_proxy_that_gives_no_tunnel_has_sent_nothing_i5(connections, monkeypatch, refusal):
    with Proxy(closed_port(), refusal or 403) as proxy:
        address = proxy.address if refusal else f"127.0.0.1:{closed_port()}"
        monkeypatch.setenv("https_proxy", f"http://{address}")
        failed = request(connections, f"https://{VENDOR}{PAGE}", "POST", body=b"{}")
    assert not failed.sent
    assert str(refusal or "refused") in failed.detail


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1", "http://", "ftp://127.0.0.1", "http://someone:canary-pass@[x"]
)
def test_a_proxy_that_cannot_be_used_is_a_mistake_of_the_settings_i6(connections, monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        request(connections, f"https://{VENDOR}{PAGE}")
    assert "canary" not in repr(caught.value)
    assert VENDOR in caught.value.next_step


def test_a_request_that_a_server_read_may_have_been_taken_i5(connections):
    with Loopback() as server:
        server.say(PAGE, Say(reset=True))
        assert request(connections, server.url + PAGE, "POST", body=b"{}").sent
    assert not request(connections, f"http://127.0.0.1:{closed_port()}/", "POST", body=b"{}").sent
