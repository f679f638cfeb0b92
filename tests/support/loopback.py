"""A real HTTP server on a real socket that says what a test tells it to, and can misbehave in all the usual ways."""

import json
import socket
import struct
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


@dataclass
class Say:
    """One answer.

    Attributes:
        status: HTTP status.
        body: Bytes, or what is sent as JSON.
        headers: Further headers.
        cut: Send only so many bytes of the body, then close.
        chunked: Send the body in chunks.
        reset: Send no answer but a TCP reset.
        hang: Send nothing until the server is closed.
        trickle: Send the body byte by byte, this many seconds apart, and never end.
        then: Called before the answer is sent.
    """

    status: int = 200
    body: object = field(default_factory=lambda: {"code": 200, "data": []})
    headers: dict = field(default_factory=dict)
    cut: int | None = None
    chunked: bool = False
    reset: bool = False
    hang: bool = False
    trickle: float = 0.0
    then: object = None


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes


def error(status, message, **more):
    """An error in the vendor's envelope."""
    headers = more.pop("headers", {})
    return Say(status, {"code": status, "message": message, **more}, headers)


def token(access_token="token-one", **more):
    """A token answer."""
    fields = {"access_token": access_token, "token_type": "Bearer", "expires_in": 3600, "scope": "read:customers"}
    return Say(body={**fields, **more})


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A client that hangs up in the middle is what some tests are about; anything else is a mistake here."""
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            super().handle_error(request, client_address)


class Loopback:
    """The server; use it as a context.

    Attributes:
        seen: All requests in the order of their arrival.
        connections: TCP connections accepted.

    Args:
        tls: The server's TLS context; None for plain HTTP.
        host: Name in `url`.
    """

    def __init__(self, tls=None, host="127.0.0.1"):
        self.seen = []
        self.connections = 0
        self._scripts = defaultdict(list)
        self._lock = threading.Lock()
        self.closing = threading.Event()
        self._http = _Quiet(("127.0.0.1", 0), self._handler())
        self._scheme, self._host = "https" if tls else "http", host
        if tls:
            # The handshake belongs to the thread of the connection.
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.say("/oauth/token", token())

    @property
    def url(self):
        return f"{self._scheme}://{self._host}:{self.port}"

    @property
    def port(self):
        return self._http.server_port

    def say(self, path, *answers):
        """Answer requests to this path in this order; the last answer is given again and again."""
        with self._lock:
            self._scripts[path] = list(answers)

    def to(self, path):
        """The requests to this path."""
        return [one for one in self.seen if one.path == path]

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def _next(self, seen):
        with self._lock:
            self.seen.append(seen)
            script = self._scripts.get(seen.path) or [error(404, "Not in the script")]
            return script.pop(0) if len(script) > 1 else script[0]

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes: without this the second waits 40 ms

            def setup(self):
                server.connections += 1
                super().setup()

            def do_GET(self):
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                seen = Seen(self.command, parts.path, parse_qs(parts.query), dict(self.headers.items()), body)
                self.answer(server._next(seen))

            do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  the names that http.server calls

            def log_message(self, *args):
                pass

            def answer(self, say):
                if say.then:
                    say.then()
                if say.hang:
                    server.closing.wait(20)
                    self.close_connection = True
                elif say.reset:
                    self.reset()
                else:
                    self.speak(say)

            def speak(self, say):
                body = say.body if isinstance(say.body, bytes) else json.dumps(say.body).encode()
                self.send_response_only(say.status)
                for name, value in say.headers.items():
                    self.send_header(name, value)
                if say.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                else:
                    self.send_header("Content-Length", str(10**6 if say.trickle else len(body)))
                self.end_headers()
                if say.trickle:
                    self.trickle(say.trickle)
                    return
                sent = body if say.cut is None else body[: say.cut]
                if say.chunked:
                    # The chunk's size is always that of the whole, or a cut at 0 would be a proper end.
                    self.wfile.write(b"%x\r\n%s" % (len(body), sent))
                    if say.cut is None:
                        self.wfile.write(b"\r\n0\r\n\r\n")
                else:
                    self.wfile.write(sent)
                if say.cut is not None:
                    self.close_connection = True

            def trickle(self, apart):
                self.close_connection = True
                try:
                    while not server.closing.wait(apart):
                        self.wfile.write(b" ")
                        self.wfile.flush()
                except OSError:
                    return

            def reset(self):
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                for one in (self.rfile, self.wfile, self.connection):
                    one.close()

        return Handler


def closed_port():
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
