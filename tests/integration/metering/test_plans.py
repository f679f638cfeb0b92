"""I5: what a push plans is bound to the usage that it was planned from, and a person can keep or cancel it."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from automatum.metering.ledger.decision_log import Author
from automatum.metering.ledger.decisions import undo
from automatum.metering.ledger.plan_reader import lines_on_hold
from automatum.metering.ledger.planned import cancel, find_planned, keep, plan_again
from automatum.metering.run import run_push

from automatum.config.settings import resolve_settings
from automatum.core.errors import ConfigurationError
from automatum.metering.checks import Checks
from automatum.metering.options import PushOptions
from automatum.metering.push import send_planned
from tests.support.clocks import FakeClock
from tests.support.loopback import Say, error
from tests.support.pushing import NOON, UTC, YES, Api, Books, hour_of, keys_of, keys_of_bodies

AT = hour_of(NOON, 1) + timedelta(minutes=10)


def row(customer=1, dimension="calls", units="5", at=AT, **changes):
    """A row of usage."""
    fields = {
        "customer_id": f"cust_{customer}",
        "listing_id": "list_1",
        "vendor": "aws",
        "dimension": dimension,
        "units": units,
        "price": "0.5",
        "usage_at": at.isoformat(),
    }
    return {**fields, **changes}


@pytest.fixture
def api():
    with Api() as found:
        yield found


@pytest.fixture
def books(api, tmp_path):
    return Books(api.url, tmp_path)


def dry(books, usage, **settings):
    """A dry run by the public function, with the settings."""
    resolved = resolve_settings({**books.settings, **settings}, with_credentials=False)
    return run_push(usage, PushOptions(ledger_url=books.url), settings=resolved, clock=books.clock)


# The hour's end


def test_i5_usage_that_arrives_while_it_is_read_does_not_close_its_hour(books):
    """The last rows of the hour may have been written after the first ones were read."""
    end = datetime(2026, 11, 24, 13, tzinfo=UTC)
    books.clock.advance((end - NOON).total_seconds() - 1)

    def read():
        yield row(at=end - timedelta(minutes=10))
        books.clock.advance(3600)
        yield row(units="7", at=end + timedelta(minutes=5))

    summary = dry(books, read(), metering_grace_minutes=0)
    assert (summary.lines["new"], summary.lines["invalid"], summary.classification.open_rows) == (0, 0, 2)


@pytest.mark.parametrize("minutes", [None, 0, 90])
def test_i5_an_hour_is_closed_after_the_grace_period(minutes, books):
    settings = {} if minutes is None else {"metering_grace_minutes": minutes}
    minutes = 5 if minutes is None else minutes
    end = hour_of(NOON, 0)
    for seconds, closed in ((-1, 0), (0, 1)):
        books.clock = FakeClock(epoch=(end + timedelta(minutes=minutes, seconds=seconds)).timestamp())
        summary = dry(books, [row()], **settings)
        assert (summary.lines["new"], summary.classification.open_rows) == (closed, 1 - closed)


# Planned lines and the usage of a later push


def leave_planned(api, books, rows, **options):
    """Push rows to an API that takes nothing, so that their lines stay planned."""
    api.decide = lambda number, body: (False, error(403, "Insufficient scope"))
    summary = books.push(rows, **options)
    assert books.states() == {"planned": len(rows)}
    api.decide = lambda number, body: (True, Say(202, YES))
    return summary


def kinds(summary):
    """The reasons of the lines on hold."""
    return sorted(hold.kind for hold in summary.plan.on_hold)


def id_of(books, units):
    return books.entries()[Decimal(units)].line_id


@pytest.mark.parametrize("dry", [True, False])
def test_i5_a_line_that_the_usage_lacks_is_not_sent(dry, api, books):
    """It may come from a wrong file."""
    leave_planned(api, books, [row(1, units="111")])
    summary = books.push([row(2, units="2")], dry=dry)
    assert (kinds(summary), summary.exit_code, summary.lines["on_hold"]) == (["not_in_usage"], 65, 1)
    assert keys_of_bodies(api.taken) == ({} if dry else keys_of([row(2, units="2")]))
    if not dry:
        assert summary.unresolved == {"on_hold": 1}
        assert books.push([row(2, units="2")]).exit_code == 65, "until a person decides"


def test_i5_a_line_that_is_kept_is_sent_and_undo_stops_it(api, books):
    leave_planned(api, books, [row(1, units="111")])
    books.push([])
    with books.open() as ledger:
        (line_id,) = find_planned(ledger, ["all"])
        assert keep(ledger, [line_id], Author("ada", "right after all")) == [line_id]
        assert undo(ledger, [line_id], Author("ada")).refused == ()
    assert kinds(books.push([])) == ["not_in_usage"]
    with books.open() as ledger:
        keep(ledger, [line_id])
    summary = books.push([])
    assert (summary.lines["accepted"], summary.exit_code) == (1, 0)
    assert keys_of_bodies(api.taken) == keys_of([row(1, units="111")])


def test_i5_a_line_that_is_canceled_is_not_sent_and_other_units_are(api, books):
    leave_planned(api, books, [row(1, units="111"), row(2, units="2")])
    with books.open() as ledger:
        assert cancel(ledger, [id_of(books, "111")], Author("ada", "wrong file")) == [id_of(books, "111")]
    assert "wrong file" in books.entries()[Decimal(111)].error
    wrong = books.push([row(1, units="111"), row(2, units="2")])
    assert (wrong.lines["accepted"], wrong.exit_code, len(wrong.classification.canceled)) == (1, 0, 1)
    right = books.push([row(1, units="11"), row(2, units="2")])
    assert (right.lines["accepted"], right.exit_code) == (1, 0)
    assert keys_of_bodies(api.taken) == keys_of([row(1, units="11"), row(2, units="2")])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["keep", "undo"])
def test_i5_a_canceled_line_has_a_way_back(how, api, books):
    leave_planned(api, books, [row(1)])
    line_id = id_of(books, "5")
    with books.open() as ledger:
        cancel(ledger, [line_id])
        if how == "keep":
            keep(ledger, find_planned(ledger, [line_id], canceled=True))
        else:
            undo(ledger, [line_id], Author())
    assert books.push([row(1)]).lines["accepted"] == 1


def test_i5_a_whole_plan_is_canceled_by_its_digest(api, books):
    digest = leave_planned(api, books, [row(one) for one in range(1, 4)]).plan.digest
    with books.open() as ledger:
        assert len(cancel(ledger, find_planned(ledger, [], plan=digest))) == 3
        with pytest.raises(ConfigurationError, match="is not a plan in"):
            find_planned(ledger, [], plan="20260101T000000Z-1-0123456789abcdef")
        with pytest.raises(ConfigurationError, match="is canceled, not planned"):
            find_planned(ledger, [id_of(books, "5")])
    assert books.states() == {"canceled": 3}
    assert books.push([]).exit_code == 0


@pytest.mark.parametrize("decide", ["not_sent", "retry"])
def test_i5_a_line_that_a_person_plans_again_needs_no_usage(decide, api, books):
    """Neither at once nor if that push is interrupted."""
    if decide == "not_sent":
        api.decide = lambda number, body: (False, Say(500, {}))
    else:
        api.decide = lambda number, body: (False, error(400, "no"))
    books.push([row(1)])
    api.decide = lambda number, body: (True, Say(202, YES))
    line_id = id_of(books, "5")
    with books.open() as ledger:
        if decide == "not_sent":
            from automatum.metering.ledger.reconcile import resolve_by_hand

            resolve_by_hand(ledger, not_sent=[line_id])
        else:
            plan_again(ledger, [line_id])
    assert books.push([]).lines["accepted"] == 1


def test_i5_a_line_that_was_left_before_this_version_waits_for_a_person(api, books):
    """Its ledger says nothing of its usage."""
    from tests.support.metering_lines import make_line

    books.push([])
    with books.open() as ledger, ledger.run() as run:
        run.plan([make_line(units="9")])
    books.clock = FakeClock(epoch=datetime(2026, 11, 20, 2, tzinfo=UTC).timestamp())
    assert kinds(books.push([])) == ["not_in_usage"]
    assert api.taken == []


# Refused rows


def test_i5_rows_refused_today_are_not_billed_by_the_plan_of_yesterday(api, books):
    leave_planned(api, books, [row(1, units="100")])
    summary = books.push([row(1, units="ten")])
    assert kinds(summary) == ["not_in_usage", "refused_rows"]
    assert api.taken == [] and summary.exit_code == 65


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "broken",
    [
        {"units": "ten"},
        {"dimension": None},
        {"usage_at": "yesterday"},
        {"listing_id": ""},
        {"vendor": None, "units": None},
    ],
)
def test_i5_a_partial_sum_is_not_sent_unless_asked_for(broken, api, books):
    """It cannot be raised later. A part of the key that cannot be read may be any."""
    rows = [row(1, units="3"), {**row(1, units="4"), **broken}, row(2, units="7")]
    first = books.push(rows)
    assert (kinds(first), first.lines["accepted"], first.lines["invalid"]) == (["refused_rows"], 1, 1)
    assert keys_of_bodies(api.taken) == keys_of(rows[2:])
    mended = books.push([row(1, units="3"), row(1, units="4"), row(2, units="7")])
    assert (mended.lines["accepted"], mended.unresolved.get("on_hold")) == (1, None)
    assert keys_of_bodies(api.taken) == keys_of([row(1, units="7"), row(2, units="7")])


def test_i5_a_partial_sum_can_be_sent(api, books):
    rows = [row(1, units="3"), row(1, units="ten")]
    assert books.push(rows, checks=Checks(send_partial=True)).lines["accepted"] == 1
    assert books.push([row(2, units="3"), row(2, units="ten")]).lines["accepted"] == 0
    allowed = books.push([row(2, units="3"), row(2, units="ten")], checks=Checks(allow=frozenset({"all"}), by="ada"))
    assert allowed.lines["accepted"] == 1


def test_i5_a_row_without_a_customer_stops_no_line(api, books):
    assert books.push([row(1), row(2, customer_id=None)]).lines["accepted"] == 1


def test_i5_a_hold_stops_every_way_of_sending(api, books):
    """Also `retry`, and a run that has planned the line itself."""
    books.push([row(1, units="3"), row(1, units="ten")])
    with books.open() as ledger:
        assert len(lines_on_hold(ledger)) == 1
        sent = send_planned(books.connect(), ledger, ledger.reader.line_ids("planned"))
        assert (sent.lines["accepted"], sent.lines["on_hold"], sent.exit_code) == (0, 1, 65)
        (entry,) = ledger.reader.lines()
        with ledger.run() as run:
            assert run.claim("body", [entry.line]) is None
    assert api.bodies == []


def test_i5_a_release_counts_for_these_units_only(api, books):
    rows = [row(1, units="3"), row(1, units="ten")]
    books.push(rows)
    with books.open() as ledger:
        keep(ledger, find_planned(ledger, ["all"]))
    assert kinds(books.push([row(1, units="4"), row(1, units="ten")])) == ["refused_rows"]
    assert api.taken == []


# By the settings


def test_i5_the_settings_limit_a_push_and_an_option_comes_first(books, monkeypatch):
    """The text of an environment variable is a decimal, not a float."""
    monkeypatch.setenv("SOURCES__AUTOMATUM__METERING_MAX_AMOUNT", "2.50")
    rows = [row(1)]
    assert dry(books, rows).lines["new"] == 1
    monkeypatch.setenv("SOURCES__AUTOMATUM__METERING_MAX_AMOUNT", "2.49")
    assert kinds(dry(books, rows)) == ["limit"]
    options = PushOptions(ledger_url=books.url, max_amount=Decimal("2.5"))
    settings = resolve_settings(books.settings, with_credentials=False)
    assert run_push(rows, options, settings=settings, clock=books.clock).lines["new"] == 1
    with pytest.raises(ConfigurationError, match="is not a limit"):
        PushOptions(max_lines=-1)


def test_i5_the_settings_check_prices(books):
    assert kinds(dry(books, [row(1, price="0")])) == ["price"]
    assert dry(books, [row(1, price="0")], metering_check_prices=False).lines["new"] == 1
