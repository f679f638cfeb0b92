"""What a hostile server answers. The functions here make an `answer` of `RawServer`; tokens are honest by default."""

import json
import zlib
from urllib.parse import parse_qs, urlsplit

from .raw_server import http

SCOPES = "read:customers read:entitlements read:private-offers read:analytics write:metering"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\u200b[/gcp][bold red]:boom:\r\x08\x00"
"""ESC, OSC and C1 sequences, bidirectional and invisible characters, markup of rich, and an overwritten line."""
OBEYED = [chr(one) for one in (*range(9), *range(11, 32), *range(127, 160), 0x200B, 0x202E, 0x2066)]
"""Characters that must reach no terminal, log or table of the connector. The runner of a test writes no `\\r`."""


def token(**more):
    """A token answer."""
    return {"access_token": "token-one", "token_type": "Bearer", "expires_in": 3600, "scope": SCOPES, **more}


def listed(records, **pagination):
    """An answer of a list."""
    numbers = {"total": len(records), "pages": 1, "page": 1, "limit": 100, **pagination}
    return {"code": 200, "data": records, "pagination": numbers}


def customers(first=0, count=3, **fields):
    """Records of customers."""
    numbers = range(first, first + count)
    return [{"id": f"c{i}", "createdAt": "2026-01-01T00:00:00Z", "vendor": "aws", **fields} for i in numbers]


def page_of(target):
    """The number of the page that is asked for."""
    return int(parse_qs(urlsplit(target).query).get("page", ["1"])[0])


def always(made, **options):
    """Answer each request with this; a token request is answered honestly."""
    answer = made if isinstance(made, bytes) and made.startswith(b"HTTP/") else http(made, **options)
    return lambda method, target, number: [http(token()) if target.startswith("/oauth/token") else answer]


def by_request(make):
    """Answer each request with what `make(target, number)` returns, as JSON or as bytes of an answer."""

    def answer(method, target, number):
        made = token() if target.startswith("/oauth/token") else make(target, number)
        yield made if isinstance(made, bytes) and made.startswith(b"HTTP/") else http(made)

    return answer


def with_token(answered, **headers):
    """An honest API whose tokens are answered so."""
    honest = http(listed(customers()))
    return lambda method, target, number: [http(answered, **headers) if target.startswith("/oauth/token") else honest]


def lazily(make):
    """The answer that `make` returns, which is large: it is made at the first request."""
    made = []

    def answer(method, target, number):
        if not made:
            made.append(make())
        return made[0](method, target, number)

    return answer


def gzip_bomb():
    """256 MiB of blanks in 256 kB."""
    packing = zlib.compressobj(wbits=31)
    pieces = [packing.compress(b'{"data": [')]
    pieces += [packing.compress(b" " * 2**20) for _ in range(256)]
    return b"".join([*pieces, packing.compress(b"]}"), packing.flush()])


def records_text(count, text='{"id":"c%d"}'):
    """A list of so many records, as bytes."""
    rows = ",".join(text % i if "%d" in text else text for i in range(count))
    return b'{"code":200,"data":[' + rows.encode() + b'],"pagination":{"total":%d}}' % count


def nested(levels):
    """A record of so many levels."""
    return '{"id":"deep","x":' + '{"a":[' * (levels // 2) + "1" + "]}" * (levels // 2) + "}"


def raw_list(*records, total=None, pages="1"):
    """A list of JSON texts as they stand; `total` and `pages` are JSON texts, too."""
    total = str(len(records)) if total is None else total
    return f'{{"code":200,"data":[{",".join(records)}],"pagination":{{"total":{total},"pages":{pages}}}}}'.encode()


def new_rows(total, pages):
    """Pages of new rows without an end, which announce these numbers (JSON texts)."""

    def make(target, number):
        rows = [json.dumps(one) for one in customers(100 * page_of(target), 100)]
        return raw_list(*rows, total=total, pages=pages)

    return by_request(make)


def counted(total, pages="1", rows=3):
    """The same short list for each page, which announces these numbers (JSON texts)."""
    return always(raw_list(*map(json.dumps, customers(count=rows)), total=total, pages=pages))


def redirected(target, number):
    """An endless redirect on the same host."""
    return http({}, "302 Found", Location=f"{target.partition('?')[0]}?again={number}")


def escapes(target, number):
    """Escapes in every text, and in the names of fields."""
    rows = customers(vendor=ESCAPES, status=ESCAPES, email=ESCAPES, clientId="app_1", name=ESCAPES, scopes=[ESCAPES])
    body = {**listed(rows), "message": ESCAPES, ESCAPES: ESCAPES}
    for one in rows:
        one[ESCAPES] = ESCAPES
        one["id"] += ESCAPES if "customers" in target else ""
    return body


def escaped_error(status):
    """An error whose message is escapes."""
    return always(
        {"code": status, "message": ESCAPES, "errors": [{"field": ESCAPES, "message": ESCAPES}]},
        status=f"{status} {'x'}",
    )
