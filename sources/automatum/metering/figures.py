"""What `automatum push` prints of an outcome: its part of the JSON object, and the warnings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..core.json_rows import JsonRows
from ..core.text import plural
from .classify import difference
from .eligibility import Eligibility
from .ledger.holds import Hold
from .model import Line, Refusal, format_decimal, total
from .outcome import PushOutcome


def outcome_figures(outcome: PushOutcome) -> dict[str, Any]:
    """The outcome as JSON, with `JsonRows` in place of the lists of lines and rows, which may be very long."""
    found, sent, plan, forecast = outcome.classification, outcome.send_result, outcome.plan, outcome.forecast
    requests_needed = len(forecast.bodies) if forecast else 0
    return {
        "requests_needed": requests_needed,
        "forecast": None
        if forecast is None
        else {"seconds": round(forecast.seconds), "too_late": [line.id for line in forecast.too_late]},
        "charged": outcome.charged,
        "charged_by_currency": outcome.charged_by_currency,
        "lines": outcome.lines,
        "plan": plan.digest,
        "to_send": JsonRows(forecast.lines if forecast else [], partial(_line_as_json, outcome.eligibility)),
        "on_hold": JsonRows(plan.on_hold, Hold.as_json),
        "refused": JsonRows(sorted(found.refused, key=lambda refusal: refusal.row), Refusal.as_json),
        "conflicts": JsonRows([*found.changed, *found.conflict], difference),
        "unresolved": outcome.unresolved,
        "already_accepted": len(found.same),
        "written_off": len(found.written_off),
        "canceled": len(found.canceled),
        "not_in_plan": len(plan.not_in_plan),
        "late": len(found.late),
        "zero": len(found.zero),
        "open_rows": found.open_rows,
        "sent_by_another": len(found.sending) + (len(sent.claimed_elsewhere) if sent else 0),
        "bodies": sent.bodies if sent else requests_needed,
        "checks_skipped": outcome.eligibility.missing,
        "warnings": outcome_warnings(outcome),
        "ledger": outcome.ledger,
        "ledger_exists": outcome.ledger_exists,
    }


def _line_as_json(eligibility: Eligibility, line: Line) -> dict[str, Any]:
    return {
        "line_id": line.id,
        "vendor": line.vendor,
        "customer_id": line.customer_id,
        "listing_id": line.listing_id,
        "dimension": line.dimension,
        "starts_at": line.starts_at.isoformat(),
        "units": line.units,
        "price": line.price,
        "charged": line.charged,
        "currency": eligibility.currency(line),
    }


def outcome_warnings(outcome: PushOutcome) -> list[str]:
    """Notes about lines that are sent all the same, or were planned by earlier pushes, and about skipped checks."""
    found, missing = outcome.classification, outcome.eligibility.missing
    notes = []
    if missing and not outcome.unchecked:
        tables = " and ".join(missing)
        notes.append(
            f"the lines were not checked against {tables}: the database holds no {tables}; "
            f"run automatum sync {' '.join(missing)} first, or add --unchecked if that is meant"
        )
    if found.late:
        notes.append(f"late: {plural(len(found.late), 'line')}; the marketplaces want usage within the hour")
    notes += [
        f"the rules of the marketplace {vendor!r} are not known; the strictest known rules were applied"
        for vendor in sorted(found.unknown_vendors)
    ]
    notes += _plan_warnings(outcome)
    if not outcome.ledger_exists:
        notes.append(
            f"there is no ledger at {outcome.ledger}, so all lines count as new; if usage was pushed before, find its "
            "ledger; for the first push of all, add --new-ledger to --confirm"
        )
    return notes


def _plan_warnings(outcome: PushOutcome) -> Iterator[str]:
    """Notes about lines that the plan or the forecast treats in another way than the user may expect."""
    plan, forecast = outcome.plan, outcome.forecast
    if plan.left_over:
        yield f"planned by an earlier push, not in this usage, and kept by a person: {_lines(plan.left_over)}"
    if plan.repeated:
        yield (
            f"{_lines(plan.repeated)} were accepted before from another source with exactly these units, and are not "
            "sent again; if they are further usage, sum both sources into one usage before the push"
        )
    if plan.not_in_plan:
        yield f"not in the approved plan, and not sent: {_lines(plan.not_in_plan)}; a later push sends them"
    if plan.too_late:
        yield f"planned by an earlier push, and too late now: {_lines(plan.too_late)}, {_money(plan.too_late)} in all"
    if forecast and forecast.too_late:
        yield (
            f"the rate limit lets {_lines(forecast.too_late)}, {_money(forecast.too_late)} in all, become too late "
            "before they can be sent; send what is urgent first, or ask for a higher limit"
        )


def _lines(lines: list[Line]) -> str:
    return plural(len(lines), "line")


def _money(lines: list[Line]) -> str:
    return format_decimal(total(lines))
