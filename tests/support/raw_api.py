"""A server whose records are JSON text as it stands, however odd: what `automatum_sandbox` could not write."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SCOPES = "read:customers read:entitlements read:private-offers read:analytics"


class RawApi:
    """What is served.

    Attributes:
        base_url: Its root.
        client_id: Any.
        client_secret: Any.
        lists: Path to the JSON texts of its records, such as `{"customers": ['{"id": "a"}']}`.
        details: Path of a row to the JSON text of its record; every other row answers 404.
    """

    client_id = "app_raw"
    client_secret = "secret_raw_raw_raw"

    def __init__(self):
        self.base_url = ""
        self.lists = {}
        self.details = {}

    def answer(self, path, query):
        """Status and body of a GET."""
        name = path.removeprefix("/api/v1/")
        if name in self.details:
            return 200, f'{{"code":200,"data":{self.details[name]}}}'
        if "/" in name and not name.startswith("analytics"):
            return 404, '{"code":404,"message":"not found"}'
        rows = self.lists.get(name, [])
        if "page" not in query:
            return 200, f'{{"code":200,"data":[{",".join(rows)}]}}'
        first = (int(query["page"][0]) - 1) * 100
        counts = {"total": len(rows), "pages": -(-len(rows) // 100), "page": int(query["page"][0]), "limit": 100}
        return 200, f'{{"code":200,"data":[{",".join(rows[first : first + 100])}],"pagination":{json.dumps(counts)}}}'


@contextmanager
def serve_raw():
    """Serve a `RawApi` on loopback."""
    api = RawApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            parts = urlsplit(self.path)
            self.send(*api.answer(parts.path, parse_qs(parts.query)))

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = {"access_token": "token_raw", "token_type": "Bearer", "expires_in": 86400, "scope": SCOPES}
            self.send(200, json.dumps(token))

        def send(self, status, text):
            body = text.encode("utf-8", "surrogatepass")
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    api.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
