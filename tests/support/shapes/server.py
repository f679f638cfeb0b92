"""Serves an API of any shape over a real socket."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        method: `GET` or `POST`.
        path: Path, percent-encoding removed.
        query: Parameters, each once.
        headers: Headers, with names in lower case.
        body: The bytes.
    """

    method: str
    path: str
    query: dict
    headers: dict
    body: bytes = b""

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """One response.

    Attributes:
        body: What is sent as JSON; bytes are sent as they are.
        status: HTTP status.
        headers: Further headers.
        chunked: Send the body in chunks, without a length.
    """

    body: object = b""
    status: int = 200
    headers: dict = field(default_factory=dict)
    chunked: bool = False

    @property
    def bytes(self):
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def serve(api):
    """Serve an object with `answer(call)` on loopback; its `base_url`, `calls` and `client_*` are set.

    Args:
        api: Any `tests.support.shapes.api.Api`.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
            self.send(api.receive(call))

        do_POST = do_GET  # noqa: N815  the name that http.server calls

        def send(self, answer):
            body = answer.bytes
            self.send_response_only(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            if answer.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in _parts(body)) + b"0\r\n\r\n"
            elif answer.status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    api.base_url = f"http://127.0.0.1:{server.server_port}{api.prefix}"
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _parts(body, size=1000):
    return [body[start : start + size] for start in range(0, len(body), size)]
