"""The faults: how a server, a token endpoint or a connection fails, and by which rule a run must answer each."""

import json
from dataclasses import dataclass
from typing import Any

from tests.support.loopback import Say, error

RETRIED = "retried"
"""Sent again. It passes if it happens once; if it lasts, the run ends with exit 69, or 75 for a rate limit."""
RENEWED = "renewed"
"""A new token, then sent again."""
REFUSED = "refused"
"""Not sent again: the answer is an error that no retry changes."""
UNPROVEN = "unproven"
"""The page does not add up. It is read again; if that lasts, the verdict is `incomplete`."""


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        name: In the table.
        rule: By which rule a run must answer it.
        say: The answer to a request of the API, made from the honest one; None if the fault is another one.
        token: The answer to a request for a token. At its phase the API refuses the token, so that one is asked for.
        wire: What happens to connections: `refuse`, `stall` or `certificate`.
        billed: Usage may have been taken although the answer is this. If not, the fault of the phase after acceptance
            comes with the call after the one that was taken.
        slow: It lasts until a timeout.
    """

    name: str
    rule: str
    say: Any = None
    token: Any = None
    wire: str = ""
    billed: bool = False
    slow: bool = False


def _status(status, message="Something is wrong", **headers):
    return lambda honest: error(status, message, headers={name.replace("_", "-"): one for name, one in headers.items()})


def _raw(body, status=200, **headers):
    return lambda honest: Say(status, body, dict(headers))


def _changed(change):
    """The honest answer with another body."""

    def say(honest):
        return Say(honest.status, change(json.loads(honest.body)), {})

    return say


def _with(**fields):
    return _changed(lambda body: {**body, **fields})


_HTML = b"<!doctype html><title>Sign in</title><p>Please sign in."

FAULTS = (
    Fault("401, the token has expired", RENEWED, _status(401, "Token expired")),
    Fault("401 and 403 for a token, the application is revoked", REFUSED, _status(401), _status(403, "Revoked")),
    Fault("401 and 401 for a token, the secret was rotated", REFUSED, _status(401), _status(401, "invalid_client")),
    Fault("403", REFUSED, _status(403, "Forbidden")),
    Fault("404", REFUSED, _status(404, "Not found")),
    Fault("408", RETRIED, _status(408, "Timeout"), billed=True),
    Fault("409", REFUSED, _status(409, "Conflict"), billed=True),
    Fault("413", REFUSED, _status(413, "Too large")),
    Fault("422", REFUSED, _status(422, "Invalid")),
    Fault("429 with Retry-After", RETRIED, _status(429, "Slow down", Retry_After="7")),
    Fault("429 with a date far ahead", RETRIED, _status(429, "Slow down", Retry_After="Fri, 01 Jan 2100 00:00:00 GMT")),
    Fault("429 without a time", RETRIED, _status(429, "Slow down")),
    Fault("429 as the envelope's code", RETRIED, _raw({"code": 429, "message": "Slow down"})),
    Fault("500", RETRIED, _status(500), billed=True),
    Fault("502 with HTML", RETRIED, _raw(_HTML, 502), billed=True),
    Fault("503 with Retry-After", RETRIED, _status(503, **{"Retry_After": "7"}), billed=True),
    Fault("200 with HTML", RETRIED, _raw(_HTML, **{"Content-Type": "text/html"}), billed=True),
    Fault("200 without a body", RETRIED, _raw(b""), billed=True),
    Fault("a truncated body", RETRIED, lambda honest: Say(200, honest.body, cut=len(honest.body) // 2), billed=True),
    Fault("invalid JSON", RETRIED, lambda honest: Say(200, honest.body[:-2] + b",}"), billed=True),
    Fault("an envelope that says 500", RETRIED, _raw({"code": 500, "message": "Later"}), billed=True),
    Fault("data of a wrong type", REFUSED, _with(data="none"), billed=True),
    Fault("records of a wrong type", REFUSED, _changed(lambda body: _records(body, str)), billed=True),
    Fault("an empty page", UNPROVEN, _with(data=[])),
    Fault("a page that repeats a row", UNPROVEN, _changed(lambda body: _records(body, None))),
    Fault("a total that jumps", UNPROVEN, _changed(lambda body: _total(body, 7))),
    Fault("a connection refused", RETRIED, wire="refuse"),
    Fault("a connection reset", RETRIED, lambda honest: Say(reset=True), billed=True),
    Fault("a hang at connect", RETRIED, wire="stall", slow=True),
    Fault("a hang before the headers", RETRIED, lambda honest: Say(hang=True), billed=True, slow=True),
    Fault("a hang in the body", RETRIED, lambda honest: Say(200, honest.body, trickle=20.0), billed=True, slow=True),
    Fault("a slow drip", RETRIED, lambda honest: Say(200, honest.body, trickle=0.05), billed=True, slow=True),
    Fault("a certificate of another authority", RETRIED, wire="certificate"),
    Fault("a redirect to another host", REFUSED, _raw(b"", 302, Location="https://login.example/")),
    Fault("a redirect on the host", REFUSED, _raw(b"", 307, Location="/api/v2/customers")),
    Fault("the token endpoint answers 503", RETRIED, token=_status(503)),
    Fault("the token endpoint answers HTML", RETRIED, token=_raw(_HTML)),
    Fault("the token endpoint hangs", RETRIED, token=lambda honest: Say(hang=True), slow=True),
)
"""All faults of the other side, in the order of the table."""


def _records(body, change):
    """The records of another type; or one of them twice in place of another, which only a list can have."""
    data = body.get("data")
    if not isinstance(data, list):
        return {**body, "data": [1, 2]}
    return {**body, "data": [json.dumps(one) for one in data] if change is str else [*data[:-1], *data[:1]]}


def _total(body, more):
    numbers = body.get("pagination")
    return {**body, "pagination": {**numbers, "total": numbers["total"] + more}} if numbers else {**body, "total": more}
