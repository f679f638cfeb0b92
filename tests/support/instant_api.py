"""An API of metering in the same process, without HTTP, whose every answer the test decides: for thousands of calls."""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace

from automatum.api.http import ApiResponse
from automatum.core.errors import ApiUnreachable, NotThere, QuotaExhausted, RequestRefused
from automatum.endpoints import METERING


@dataclass
class Call:
    """A call that was taken."""

    id: str
    usages: dict
    verdict: str = ""


@dataclass
class InstantApi:
    """The API session of a push.

    Attributes:
        clock: Of the push.
        answers: Names of the next answers: see `post`; `yes` after them.
        calls: The calls that were taken.
        posts: Whatever was sent, in order: the call if it was taken, else None.
    """

    clock: object
    answers: list = field(default_factory=list)
    calls: list = field(default_factory=list)
    posts: list = field(default_factory=list)
    metering = METERING
    settings = SimpleNamespace(metering_yes_words=None)
    budget = SimpleNamespace(requests=0, token_requests=0)
    tokens = SimpleNamespace(scopes=lambda: None)

    @property
    def client(self):
        return self

    def billed(self):
        """Units by customer and dimension, of calls that did not fail later."""
        found = {}
        for call in self.calls:
            for key, units in call.usages.items() if call.verdict != "failed" else ():
                found[key] = found.get(key, 0) + units
        return found

    def post(self, path, payload, *, before, not_taken, inspect, scope):
        before()
        name = self.answers.pop(0) if self.answers else "yes"
        body = json.loads(payload, parse_float=Decimal, parse_int=Decimal)
        customer = body["details"]["customer"]["id"]
        call = Call(
            f"m{len(self.calls)}", {(customer, one["apiKey"]): one["units"] for one in body["details"]["usages"]}
        )
        taken = name in ("yes", "vague", "lost", "killed")
        self.calls += [call] if taken else []
        self.posts.append(call if taken else None)
        if name in ("killed", "killed before"):
            raise KeyboardInterrupt
        if name == "busy":
            not_taken()
            raise QuotaExhausted("busy", resume_at=self.clock.time() + 60)
        if name in ("lost", "lost before"):
            raise ApiUnreachable("POST", path, None, "reset")
        if name in ("refused", "missing", "duplicate"):
            status = {"refused": 400, "missing": 404, "duplicate": 409}[name]
            inspect(json.dumps({"code": status, "message": name}).encode())
            raise (NotThere if status == 404 else RequestRefused)("POST", path, status, name)
        answer = {"code": 202, "data": {"id": call.id, "status": "queued" if name == "yes" else "perhaps"}}
        inspect(json.dumps(answer).encode())
        return ApiResponse(answer, 202, self.clock.time())
