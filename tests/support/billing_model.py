"""A marketplace that bills what it takes, however it answers, for the model of the push."""

from collections import Counter, deque

from tests.support.clocks import FakeClock
from tests.support.loopback import Say, error
from tests.support.pushing import Api

TAKEN = {
    "yes": lambda number: Say(202, {"code": 202, "data": {"id": f"m{number}", "status": "queued"}}),
    "lost": lambda number: Say(reset=True),
    "vague": lambda number: Say(200, {}),
    "broken": lambda number: error(502, "Bad gateway"),
}
"""Answers to calls that the marketplace takes."""
NOT_TAKEN = {
    "refused": lambda number: error(400, "Not for sale"),
    "missing": lambda number: error(404, "No such customer"),
    "busy": lambda number: error(429, "Too many requests", headers={"Retry-After": "1"}),
    "down": lambda number: error(503, "Down"),
    "dropped": lambda number: Say(reset=True),
}
"""Answers to calls that it does not take."""


class Call:
    """A call that the marketplace took.

    Attributes:
        verdict: None as long as it is queued; then `confirmed` or `failed`.
    """

    def __init__(self, number, body):
        self.id, self.body, self.verdict = f"m{number}", body, None

    @property
    def keys(self):
        """Customer, dimension and units of each usage."""
        customer = self.body["details"]["customer"]["id"]
        return [(customer, usage["apiKey"], usage["units"]) for usage in self.body["details"]["usages"]]


class Marketplace(Api):
    """Takes and bills calls, and answers as it was told to.

    Attributes:
        answers: Names of the next answers; `yes` after them.
        calls: The calls that it took.
        events: The events about them.
    """

    def __init__(self):
        super().__init__(self._answer)
        self.answers, self.calls, self.events = deque(), [], []

    def _answer(self, number, body):
        name = self.answers.popleft() if self.answers else "yes"
        if name in NOT_TAKEN:
            return False, NOT_TAKEN[name](number)
        self.calls.append(Call(number, body))
        return True, TAKEN[name](number)

    def judge(self, call, verdict):
        """Bill a call, or refuse it, and make the event."""
        call.verdict = verdict
        details = call.body["details"]
        data = {
            "id": call.id,
            "vendor": call.body["vendor"],
            "listingId": call.body["listingId"],
            "customerId": details["customer"]["id"],
            "reportingDate": details["reportingDate"],
            "usages": [{name: usage[name] for name in ("apiKey", "units", "price")} for usage in details["usages"]],
        }
        self.events.append({"id": f"evt_{len(self.events)}", "event": f"metering.{verdict}", "data": data})

    def billed(self):
        """How often each customer's dimension is billed, or will be."""
        return Counter(key[:2] for call in self.calls if call.verdict != "failed" for key in call.keys)

    def failed(self):
        """Customers' dimensions of calls that the marketplace refused after it took them."""
        return {key[:2] for call in self.calls if call.verdict == "failed" for key in call.keys}


class MortalClock(FakeClock):
    """A clock whose process dies, as by kill -9, at one of its readings, and stays dead until it is revived."""

    def __init__(self, epoch):
        super().__init__(epoch=epoch)
        self.left = None

    def time(self):
        if self.left is not None:
            if self.left <= 0:
                raise KeyboardInterrupt
            self.left -= 1
        return super().time()
