"""A server that answers like the API as fast as it can: `python -m suite.server LIST=ROWS ...`; it prints its URL.

Pages are rendered before the first request, so that the server does not take part in what is measured. It accepts any
credentials and knows no limits. `dimensions=25` gives each entitlement so many dimensions. Clients `app_org_0`,
`app_org_1` and so on are those of different organizations, which have the same rows. Beside the API:

- `GET /bench/take` answers with the number of requests by path since the last time, and the number of usages.
- `GET /bench/version/2` serves the second version of all lists from then on: with some records changed, and without
  a few.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from datetime import date, timedelta

from suite import rows

DAYS = 10
"""Days with revenue, up to today."""
_SCOPES = "read:customers read:entitlements read:analytics read:private-offers write:metering"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CLIENT = re.compile(rb"app_org_(\d+)")
_BEARER = re.compile(rb"Bearer t{28}(org_[0-9a-f]{8})")
_PAGE = re.compile(rb"[?&]page=(\d+)")
_SPAN = re.compile(rb"startDate=([\d-]+)&endDate=([\d-]+)")


def response(body: bytes, status: str = "200 OK") -> bytes:
    """A whole response."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def render(records: list[str]) -> list[bytes]:
    """The pages of a list, with the empty page behind them."""
    count, pages = len(records), -(-len(records) // rows.PAGE)
    return [
        response(
            f'{{"code":200,"data":[{",".join(records[at * rows.PAGE : (at + 1) * rows.PAGE])}],"pagination":'
            f'{{"page":{at + 1},"limit":{rows.PAGE},"total":{count},"pages":{pages}}}}}'.encode()
        )
        for at in range(pages + 1)
    ]


class Site:
    """What is served.

    Args:
        counts: Number of records by path of the list.
        dimensions: Dimensions of each entitlement; 0 for one to three.
    """

    def __init__(self, counts: dict[str, int], dimensions: int) -> None:
        self.counts, self.dimensions = counts, dimensions
        self.usages = 0
        self.requests: Counter[str] = Counter()
        self.serve(1)

    def serve(self, version: int) -> None:
        """Render all lists in this version."""
        self.version = version
        self.pages = {
            path: render(rows.listed(path, count, version, self.dimensions)) for path, count in self.counts.items()
        }
        self.taken = response(b'{"code":202,"data":{"id":"meter_00000001","status":"queued"}}', "202 Accepted")
        token = {"access_token": "t" * 40, "token_type": "Bearer", "expires_in": 3600, "scope": _SCOPES}
        self.token = response(json.dumps(token).encode())
        self.not_found = response(b'{"code":404,"message":"Not found"}', "404 Not Found")

    def answer(self, target: bytes, body: bytes) -> bytes:
        """The response to a request."""
        path, _, query = target.decode().partition("?")
        path = path.removeprefix("/api/v1").strip("/")
        self.requests[path] += 1
        if path in self.pages:
            found, pages = _PAGE.search(target), self.pages[path]
            return pages[min(int(found[1]) if found else 1, len(pages)) - 1]
        if path == "metering":
            self.usages += body.count(b'"apiKey"')
            return self.taken
        if path == "oauth/token":
            return self.token
        if path == "analytics/revenue":
            return self._revenue(query.encode())
        if path.startswith("bench/"):
            return self._control(path)
        return self._detail(*path.partition("/")[::2])

    def _detail(self, path: str, id_: str) -> bytes:
        number = rows.number_of(id_) if path in self.counts and id_ else -1
        if not 0 <= number < self.counts.get(path, 0) or (self.version > 1 and rows.is_deleted(number)):
            return self.not_found
        record = rows.RECORDS[path](number, self.version, self.dimensions)
        return response(f'{{"code":200,"data":{record}}}'.encode())

    def _revenue(self, query: bytes) -> bytes:
        first, last = (found.decode() for found in _SPAN.search(query).groups())  # type: ignore[union-attr]
        days = [(date.today() - timedelta(days=ago)).isoformat() for ago in range(DAYS)]
        listed = ",".join(rows.revenue(day) for day in reversed(days) if first <= day <= last)
        return response(f'{{"code":200,"data":[{listed}]}}'.encode())

    def _control(self, path: str) -> bytes:
        if path.startswith("bench/version/"):
            self.serve(int(path.rpartition("/")[2]))
        del self.requests[path]
        taken = {"requests": dict(self.requests), "usages": self.usages}
        self.requests.clear()
        self.usages = 0
        return response(json.dumps(taken).encode())


class Connection(asyncio.Protocol):
    """A connection that may bring several requests at once.

    Args:
        site: What is served.
    """

    def __init__(self, site: Site) -> None:
        self._site, self._received = site, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is there as a whole."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, rest = self._received.partition(b"\r\n\r\n")
            found = _LENGTH.search(head)
            length = int(found[1]) if found else 0
            if len(rest) < length:
                return
            self._received = rest[length:]
            answer = self._site.answer(head.split(b" ", 2)[1], rest[:length])
            if client := _CLIENT.search(head + rest[:length]):
                answer = answer.replace(b"t" * 40, b"t" * 28 + b"org_%08x" % int(client[1]))
            elif bearer := _BEARER.search(head):
                answer = answer.replace(rows.ORGANIZATION.encode(), bearer[1])
            self._transport.write(answer)


async def serve(site: Site) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(site), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Read what to serve from the command line, and serve it."""
    given = {name: int(value) for name, _, value in (argument.partition("=") for argument in sys.argv[1:])}
    dimensions = given.pop("dimensions", 0)
    asyncio.run(serve(Site(given, dimensions)))


if __name__ == "__main__":
    main()
