"""A server in front of a sandbox that answers some requests with a fault, and passes the others on."""

import contextlib
import http.client
import socket
import ssl
import threading
from urllib.parse import urlencode

from tests.support.loopback import Loopback, Say

_HOP = {"connection", "content-length", "transfer-encoding", "date", "server", "host"}


class Gate(Loopback):
    """The gate; each answer ends its connection, so that a fault of connections meets the request that it is meant for.

    Args:
        port: Of the sandbox.
        certificates: Files of a certificate that clients trust and of one that they do not. None for plain HTTP.

    Attributes:
        fault: Made for the phase; None to pass everything on.
    """

    def __init__(self, port, certificates=None):
        self._certificates = certificates
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificates else None
        self.show_certificate(trusted=True)
        super().__init__(self._tls)
        self._behind = port
        self.fault = None
        self._listening = self._http.socket
        self._accepting = threading.Event()
        self._accepting.set()
        self._parked = threading.Event()
        self._plug = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.closing.set()
        self.recover()
        self.refuse()

    def _accept(self):
        while not self.closing.is_set():
            if not self._accepting.is_set():
                self._parked.set()
                self._accepting.wait()
            try:
                self._http.process_request(*self._listening.accept())
            except OSError:
                self.closing.wait(0.005)  # It refuses, or a handshake failed.

    def _next(self, seen):
        with self._lock:
            self.seen.append(seen)
            say = self.fault.answer(seen) if self.fault else None
        say = say or self.pass_on(seen)
        say.headers["Connection"] = "close"
        return say

    def pass_on(self, seen):
        """The sandbox's own answer."""
        headers = {name: value for name, value in seen.headers.items() if name.lower() not in _HOP}
        target = seen.path + (f"?{urlencode(seen.query, doseq=True)}" if seen.query else "")
        there = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=30)
        try:
            there.request(seen.method, target, seen.body or None, headers)
            answer = there.getresponse()
            body = answer.read()
        finally:
            there.close()
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        return Say(answer.status, body, kept)

    def refuse(self):
        """Refuse connections until `recover`."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def stall(self):
        """Let connections hang before they are there, until `recover`: the queue of the socket is full."""
        self._parked.clear()
        self._accepting.clear()
        # The thread may be inside `accept`: what it takes there would leave a place in the queue.
        while not self._parked.wait(0.05):
            socket.create_connection(("127.0.0.1", self.port), timeout=10).close()
        self._listening.listen(0)
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
            self._plug.append(one)

    def show_certificate(self, trusted):
        """Show new connections one of the certificates."""
        if self._certificates:
            self._tls.load_cert_chain(self._certificates[not trusted])

    def recover(self):
        """Accept connections again, with the certificate that clients trust."""
        self.show_certificate(trusted=True)
        for one in self._plug:
            one.close()
        self._plug.clear()
        if self._listening.fileno() < 0:
            listening = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self._listening = self._wrap(listening)
        self._listening.listen(128)
        self._accepting.set()

    def _wrap(self, listening):
        return (
            self._tls.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)
            if self._tls
            else listening
        )
