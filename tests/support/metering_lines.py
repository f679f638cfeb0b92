"""Lines for the tests of the ledger and of the push."""

from dataclasses import fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from automatum.metering.ledger.entries import Outcome
from automatum.metering.model import Line
from automatum.metering.options import PushOptions

START = datetime(2026, 11, 20, tzinfo=timezone.utc)
SOURCE = "usage.csv"


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


def make_like(line, **changes):
    """The same key with other values."""
    return Line(**{**{one.name: getattr(line, one.name) for one in fields(Line)}, **changes})


def ids(lines):
    return {line.id for line in lines}


def states(ledger):
    """State by line id, read anew."""
    return {entry.id: entry.state for entry in ledger.entries()}


def missing(ledger, item_id):
    """Ids of the lines of a run, by its journal item, that are not in the ledger."""
    from automatum.metering.ledger import rows
    from automatum.metering.ledger.tables import JOURNAL

    with ledger.read() as connection:
        row = connection.execute(JOURNAL.select().filter_by(item_id=item_id)).one()
        return rows.missing_of(connection, rows.unpack(row.line_ids), row.recorded_at)


def bring(ledger, line, state, source=SOURCE):
    """Bring a new line to a state, the way a push does; the attempt, if there was a call.

    Of `sending`, the run is over when this returns, so the line becomes `unknown`.
    """
    with ledger.run(source, [line], "ann") as run:
        if state == "expired":
            run.record(expired=[(line, "too late")])
            return None
        attempt = run.claim("body", [line])
        if state == "sending":
            return attempt
        taken = {"conflict": "accepted", "settled": "unbilled", "confirmed": "accepted"}.get(state, state)
        outcome = Outcome(taken, "" if taken == "accepted" else f"it is {taken}")
        run.answer(attempt, {line.id: outcome}, status_code=202, reference=f"call {line.id}")
        if state == "conflict":
            run.record(asked=[make_like(line, units=line.units + 1)])
    if state == "settled":
        settle_never(ledger, line.id)
    if state == "confirmed":
        from automatum.metering.ledger.events import apply_events

        apply_events(ledger, [event([line], call=f"call {line.id}", number=line.id)])
    return attempt


def settle_never(ledger, *line_ids):
    """Say of lines that they need not be billed."""
    from automatum.metering.settle import settle

    settle(ledger, None, line_ids, "never", PushOptions(confirm=True), reason="not to be billed", clock=None)


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
