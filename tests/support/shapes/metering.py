"""Metering calls of other shapes: paths, names, and answers that say yes or no in other words.

A push of three lines meets each of them. The server knows what it took; the ledger may say `accepted` of nothing else.
"""

from dataclasses import dataclass
from datetime import timedelta

from tests.support.pushing import METERING, NOON, Books, hour_of
from tests.support.shapes.api import Api
from tests.support.shapes.registry import registry
from tests.support.shapes.server import Answer

SHAPES, shape = registry("metering", "metering")


def usage():
    """Three lines of one customer: one call."""
    at = (hour_of(NOON, 2) + timedelta(minutes=10)).isoformat()
    fields = {"customer_id": "cust_1", "listing_id": "list_1", "vendor": "aws", "usage_at": at}
    return [
        {**fields, "dimension": f"dim_{number}", "units": f"{number + 1}.5", "price": "0.013"} for number in range(3)
    ]


class Metering(Api):
    """Takes what has the documented form, and answers as documented.

    Attributes:
        taken: Dimensions that were taken.
        takes: Whether it takes usage at all.
    """

    takes = True
    status = 202

    def __init__(self):
        super().__init__()
        self.taken = []

    def receive(self, call):
        if call.method == "POST" and call.path == METERING:
            self.calls.append(call)
            dimensions = self.read(call.json)
            if dimensions is None:
                errors = [{"field": "listing_id", "message": "is required"}]
                return Answer({"code": 400, "message": "Validation failed", "errors": errors}, 400)
            if self.takes:
                self.taken += dimensions
            return self.receipt(dimensions)
        return super().receive(call)

    def read(self, body):
        """The dimensions of a body; None if it has not the form that the server wants."""
        details = body.get("details", {})
        known = {"vendor", "listingId", "details"} == set(body) and isinstance(details.get("charged"), float)
        return [one["apiKey"] for one in details["usages"]] if known else None

    def receipt(self, dimensions):
        """The answer to usage that was taken, or not."""
        return Answer(self.body_of(dimensions), self.status)

    def body_of(self, dimensions):
        return {"code": 202, "data": {"id": "meter_1", "status": "queued"}}


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    Attributes:
        states: Dimension to state in the ledger.
        says: Errors and reasons.
        code: Exit code.
    """

    states: dict
    says: str
    code: int


def push(api, folder, **settings):
    """Push the usage to a served API."""
    books = Books(api.base_url, folder, **settings)
    summary = books.push(usage())
    entries = list(books.entries().values())
    reasons = [str(entry.error or "") for entry in entries]
    errors = [f"{error.message} {error.next_step}" for error in summary.errors]
    states = {row["dimension"]: "not sent" for row in usage()} | {one.line.dimension: one.state for one in entries}
    return Pushed(states, " ".join([*reasons, *errors]), summary.exit_code)


# Answers to usage that was taken


@shape("metering as documented")
class Documented(Metering):
    pass


def answers(name, body, status=200, takes=True, names="", **connection):
    """Add a server with this answer."""

    @shape(name, names, connection=connection)
    class Answering(Metering):
        def receipt(self, dimensions):
            made = body(dimensions) if callable(body) else body
            return Answer(made, status)

    Answering.takes = takes


answers("taken: 201 without a body", b"", 201)
answers("taken: 204", b"", 204)
answers("taken: success true", {"success": True})
answers("taken: status ok", {"status": "ok"})
answers("taken: code as text", {"code": "200", "data": {"status": "queued"}})
answers("taken: with a field of its own", {"code": 200, "data": {"status": "queued", "queuePosition": 7}})
answers("taken: code 0", {"code": 0, "data": {"status": "queued"}}, names="code")
answers(
    "taken: another word",
    {"code": 200, "data": {"status": "in review"}},
    names="metering_yes_words",
    metering_yes_words=["in review"],
)
answers(
    "taken: a result for each usage",
    lambda dimensions: {"code": 200, "data": {"results": [{"apiKey": one, "status": "ok"} for one in dimensions]}},
)
answers("taken: an empty object", {})
answers("taken: a text", b"OK")
answers("taken, and the connection breaks: 502", {"code": 502, "message": "Bad gateway"}, 502)

# Answers to usage that was refused

answers("refused: success false", {"success": False}, takes=False)
answers("refused: 200 with code 400", {"code": 400, "message": "Customer not found"}, takes=False)
answers("refused: 200 with errors", {"code": 200, "data": {}, "errors": [{"message": "unknown listing"}]}, takes=False)
answers("refused: 202 with status rejected", {"code": 202, "data": {"status": "rejected"}}, 202, takes=False)
answers("refused: 200 with a message", {"code": 200, "message": "Listing is not active"}, takes=False)
answers("refused: accepted 0", {"code": 200, "data": {"accepted": 0, "rejected": 3}}, takes=False)
answers("refused: a page of a proxy", b"<html><body>Sign in</body></html>", takes=False)
answers("refused: 409", {"code": 409, "message": "Usage was reported"}, 409, takes=False)
answers("refused: 422", {"code": 422, "message": "Unprocessable"}, 422, takes=False)


# Other names


@shape("metering in snake_case", names="listing_id")
class SnakeCase(Metering):
    def read(self, body):
        details = body.get("details", {})
        known = {"vendor", "listing_id", "details"} == set(body) and "reporting_date" in details
        return [one["api_key"] for one in details["usages"]] if known else None
