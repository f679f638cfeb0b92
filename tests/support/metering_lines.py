"""Lines for the tests of the ledger."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from automatum.metering.ledger.decision_log import NOBODY
from automatum.metering.ledger.planned import cancel, plan_again
from automatum.metering.ledger.reconcile import resolve_by_events, resolve_by_hand
from automatum.metering.ledger.states import Transition
from automatum.metering.ledger.transitions import apply_transition
from automatum.metering.model import Line
from automatum.metering.retry import plan_retry

START = datetime(2026, 11, 20, tzinfo=timezone.utc)


def make_line(hour=0, units="5", price="0.01", *, dimension="api_calls", grain="hour", customer="cust_1", **more):
    """A line of an hour counted from START, or of the day in which that hour lies."""
    starts_at = START + timedelta(hours=hour)
    if grain == "day":
        starts_at = starts_at.replace(hour=0)
    return Line(
        vendor=more.pop("vendor", "aws"),
        listing_id=more.pop("listing", "lst_1"),
        customer_id=customer,
        dimension=dimension,
        grain=grain,
        starts_at=starts_at,
        units=Decimal(units),
        price=Decimal(price),
        **more,
    )


def ids(lines):
    return {line.id for line in lines}


def states(ledger):
    """State by line id, read anew."""
    return {entry.line_id: entry.state for entry in ledger.reader.lines()}


def bring(ledger, line, state):
    """Bring a new line to a state, the way a push does."""
    with ledger.run() as run:
        if state == "expired":
            run.expire([line])
            return None
        if state == "carried":
            # Without the line that bills its usage, which would be in the way.
            run.expire([line])
            late = {"carried_units": line.units, "asked_units": line.units, "asked_price": line.price}
            with ledger.database.write() as connection:
                apply_transition(connection, Transition.CARRY, [line.id], late | {"asked_hash": line.payload_hash})
            return None
        run.plan([line])
        if state == "planned":
            return None
        if state == "canceled":
            cancel(ledger, [line.id])
            return None
        attempt = run.claim("body", [line])
        if state == "sending":
            return attempt
        if state == "conflict":
            run.settle(attempt, "accepted", status_code=202)
            run.conflict([make_like(line, units=line.units + 1)])
        else:
            settled = {"writeoff": "rejected", "confirmed": "accepted"}.get(state, state)
            run.settle(attempt, settled, reference=attempt.id if state == "confirmed" else None)
        if state == "writeoff":
            resolve_by_hand(ledger, written_off=[line.id])
        if state == "confirmed":
            resolve_by_events(ledger, [event([line], call=attempt.id, number=attempt.id)])
        return attempt


def retry(ledger, line_ids=None, *, expired=False, author=NOBODY):
    """Plan again what `automatum push retry` would, before any deadline; the ids of the lines."""
    chosen = plan_retry(ledger, line_ids, START, expired=expired).to_send
    return plan_again(ledger, [entry.line_id for entry in chosen], author)


def make_like(line, **changes):
    """The same key with other values."""
    fields = {name: getattr(line, name) for name in Line.__slots__}
    return Line(**{**fields, **changes})


def event(lines, kind="confirmed", call="meter_1", number=1, **changes):
    """An event as the sandbox writes it."""
    line = lines[0]
    data = {
        "id": call,
        "vendor": line.vendor,
        "listingId": line.listing_id,
        "customerId": line.customer_id,
        "reportingDate": line.day.isoformat(),
        "usages": [{"apiKey": one.dimension, "units": one.units, "price": str(one.price)} for one in lines],
    }
    return {"id": f"evt_{number}", "event": f"metering.{kind}", "data": {**data, **changes}}
