"""Servers whose plan has other limits than the connector believes, and that say so in all the usual ways."""

import json
import math
from email.utils import formatdate

from automatum.api.http import HttpResponse
from tests.support.front import Front

PERIODS = {60.0: "Minute", 3600.0: "Hour"}


class Bucket:
    """A rate limit: a fixed window at a phase, or a sliding one.

    Attributes:
        limit: Requests.
        seconds: Length of the window.
    """

    def __init__(self, limit, seconds, kind, phase):
        self.limit, self.seconds, self._kind, self._phase = limit, seconds, kind, phase
        self._times = []

    def used(self, now):
        start = self._start(now) if self._kind == "fixed" else now - self.seconds
        self._times = [
            moment for moment in self._times if moment > start or (self._kind == "fixed" and moment == start)
        ]
        return len(self._times)

    def take(self, now):
        self._times.append(now)

    def resets(self, now):
        """When it allows another request, if it is full; else when the oldest request no longer counts."""
        if self._kind == "fixed":
            return self._start(now) + self.seconds
        return (self._times[0] if self._times else now) + self.seconds

    def _start(self, now):
        return now - (now + self._phase) % self.seconds


def epoch(moment, now):
    return str(math.ceil(moment))


def delta(moment, now):
    return str(math.ceil(moment - now))


def milliseconds(moment, now):
    return str(math.ceil(moment * 1000))


def http_date(moment, now):
    return formatdate(math.ceil(moment), usegmt=True)


class PlanServer:
    """Counts requests against a minute and an hour, and answers as a style says.

    Args:
        clock: Time; the server's clock and ours are the same.
        minute: Requests a minute.
        hour: Requests an hour.
        kind: `fixed` or `sliding`.
        style: A key of `STYLES`.
        phase: Seconds by which fixed windows begin before the epoch.

    Attributes:
        refused: When it refused a request.
        taken: When it took a request.
    """

    def __init__(self, clock, minute, hour, kind, style, phase=17.0):
        self.clock = clock
        self.buckets = [Bucket(minute, 60.0, kind, phase), Bucket(hour, 3600.0, kind, phase)]
        self.refused, self.taken = [], []
        self._style = STYLES[style]

    def answer(self):
        """Status, headers and JSON body of the answer to a request that arrives now."""
        now = self.clock.time()
        full = [bucket for bucket in self.buckets if bucket.used(now) >= bucket.limit]
        (self.refused if full else self.taken).append(now)
        for bucket in self.buckets if not full else ():
            bucket.take(now)
        wait = math.ceil(max((bucket.resets(now) for bucket in full), default=now) - now)
        tightest = max(full, key=lambda one: one.resets(now), default=None)
        tightest = tightest or min(self.buckets, key=lambda one: one.limit - one.used(now))
        headers, body = self._style(self, now, tightest, max(1, wait) if full else None)
        headers = {"Date": formatdate(int(now), usegmt=True), **headers}
        if full:
            return 429, headers, {"code": 429, "message": "Rate limit exceeded", **body}
        return 200, headers, {"code": 200, "data": [], "pagination": {"page": 1, "limit": 100, "total": 0, "pages": 1}}

    def respond(self):
        """The same as the connector parses it."""
        status, headers, body = self.answer()
        content, now = json.dumps(body).encode(), self.clock.time()
        return HttpResponse(status, status, headers, body, content, now, float(int(now)))


class ServedPlan(Front):
    """A `PlanServer` on a real socket: a token, and empty lists and reports.

    Args:
        server: Decides about each request, token requests included.
    """

    def __init__(self, server):
        self._decide = server.answer
        super().__init__(self._respond)

    async def _respond(self, scope, receive, send):
        status, headers, body = self._decide()
        if status == 200 and scope["path"] == "/oauth/token":
            body = {"access_token": "opaque", "expires_in": 3600, "token_type": "Bearer", "scope": "read:customers"}
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": content})


def _fields(bucket, now, write=epoch, prefix="X-RateLimit-", suffix="", reset=True):
    found = {f"{prefix}Limit{suffix}": bucket.limit, f"{prefix}Remaining{suffix}": bucket.limit - bucket.used(now)}
    if reset:
        found[f"{prefix}Reset{suffix}"] = write(bucket.resets(now), now)
    return {name: str(value) for name, value in found.items()}


def _documented(server, now, tightest, wait):
    """The hour alone, as in the vendor's samples; the time of a refusal in the body."""
    return _fields(server.buckets[1], now), {"retryAfter": wait}


def _minute(server, now, tightest, wait):
    return {**_fields(server.buckets[0], now), **_retry_after(wait)}, {}


def _tightest(write):
    def style(server, now, tightest, wait):
        return {**_fields(tightest, now, write), **_retry_after(wait)}, {}

    return style


def _unpunctual(server, now, tightest, wait):
    """No Retry-After: the reset alone says how long."""
    return _fields(tightest, now), {}


def _refusals(server, now, tightest, wait):
    return ({**_fields(tightest, now), **_retry_after(wait)} if wait else {}), {}


def _refusals_unpunctual(server, now, tightest, wait):
    return (_fields(tightest, now) if wait else {}), {}


def _body(server, now, tightest, wait):
    reset = formatdate(tightest.resets(now) + 1, usegmt=True)
    return {}, {"limit": tightest.limit, "remaining": 0, "reset": reset}


def _message(server, now, tightest, wait):
    period = PERIODS[tightest.seconds].lower()
    return {}, {"message": f"Rate limit exceeded: {tightest.limit} requests per {period}", "retryAfter": wait}


def _time_alone(server, now, tightest, wait):
    return {}, {"retryAfter": wait}


def _no_reset(server, now, tightest, wait):
    return {**_fields(tightest, now, reset=False), **_retry_after(wait)}, {}


def _named(server, now, tightest, wait):
    both = [_fields(bucket, now, reset=False, suffix=f"-{PERIODS[bucket.seconds]}") for bucket in server.buckets]
    return {**both[0], **both[1], **_retry_after(wait)}, {}


def _draft(server, now, tightest, wait):
    left = tightest.limit - tightest.used(now)
    return {
        "RateLimit": f'"default";r={left};t={delta(tightest.resets(now), now)}',
        "RateLimit-Policy": f'"default";q={tightest.limit};w={tightest.seconds:.0f}',
    }, {}


def _retry_after(wait):
    return {"Retry-After": str(wait)} if wait else {}


STYLES = {
    "documented": _documented,
    "minute": _minute,
    "tightest": _tightest(epoch),
    "tightest, seconds": _tightest(delta),
    "tightest, milliseconds": _tightest(milliseconds),
    "tightest, date": _tightest(http_date),
    "tightest, no Retry-After": _unpunctual,
    "on 429 only": _refusals,
    "on 429 only, no Retry-After": _refusals_unpunctual,
    "in the body only": _body,
    "in the message only": _message,
    "retryAfter alone": _time_alone,
    "no reset": _no_reset,
    "named": _named,
    "draft": _draft,
}
