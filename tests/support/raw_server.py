"""Servers that send bytes as they stand, on a real socket: broken, endless or hostile answers."""

import json
import socket
import threading

TOKEN = b'{"access_token": "token-one", "token_type": "Bearer", "expires_in": 3600}'


def http(body, status="200 OK", length=None, **headers):
    """The bytes of an answer; the body is bytes, or what is sent as JSON."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class RawServer:
    """A server that answers each request with the pieces of bytes that `answer` yields, and closes the connection.

    Args:
        answer: Called with the method, the target and the number of the request to it, from 1.

    Attributes:
        url: Its root.
        asked: Set by the first request that is not for a token.
        over: Set when the server is closed.
        requests: Targets of all requests, in the order of their arrival.
    """

    def __init__(self, answer):
        self._answer = answer
        self.over, self.asked = threading.Event(), threading.Event()
        self.requests = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.over.set()
        self._listening.close()

    def _accept(self):
        while not self.over.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                method, target = read_request(connection)
                self.requests.append(target)
                if not target.startswith("/oauth/token"):
                    self.asked.set()
                for piece in self._answer(method, target, self.requests.count(target)):
                    connection.sendall(piece)
            except OSError:
                pass


def read_request(connection):
    """Method and target of a request, whose body is read, too: otherwise the close resets the connection."""
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(65536)
        if not piece:
            raise OSError
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536) or bytes(length)
    method, target, *_ = head.decode("latin-1").split(" ", 2)
    return method, target


class Dripping(RawServer):
    """A server that sends these bytes to each request, then one more every 20 ms, until it is closed."""

    def __init__(self, opening, drip):
        self._opening, self._drip = opening, drip
        super().__init__(self._drop)

    def _drop(self, method, target, number):
        if target.startswith("/oauth/token"):
            yield http(TOKEN)
            return
        yield self._opening
        while not self.over.wait(0.02):
            yield self._drip
