"""Shows in a terminal what the commands of the push print as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ..core.text import plural
from ..metering.model import format_decimal, format_money
from .console import say_text
from .tables import TextTable, show_counts

MOST_SHOWN = 20
"""Longest list that is shown in full; --json has all rows."""
_COUNTS = {
    "accepted": "accepted",
    "rejected": "refused",
    "expired": "too late",
    "conflict": "in conflict with what was billed",
    "unknown": "unknown: may have been billed",
    "other_source": "asked for by another source",
    "refused": "rows refused",
}
_BESIDES = {
    "already_accepted": "accepted before",
    "zero": "zero, which the marketplace does not take",
    "sent_by_another": "being sent by another push",
}


def show_push(figures: Mapping[str, Any]) -> None:
    """What was sent, or would be sent, with the money."""
    dry, lines, to_send = figures["verdict"] == "dry_run", figures["lines"], figures["to_send"]
    if dry:
        say_text("Dry run: nothing is sent and nothing is written.")
    names = {"to_send": "to be sent" if dry else "not sent yet", **_COUNTS}
    counted = {name: lines[key] for key, name in names.items() if lines[key]}
    counted |= {name: figures[key] for key, name in _BESIDES.items()}
    show_counts("lines", "number", {name: number for name, number in counted.items() if number})
    if not any(counted.values()):
        say_text("There is no line to send.")
    show_list("Refused, until the usage is corrected", map(_refused, figures["refused"]))
    show_list("Too late", (f"{_line(line)}: {line['reason']}" for line in figures["expired"]))
    show_list("Asked for by two sources, and not sent", map(_source, figures["other_sources"]))
    show_list("Waiting for a decision: automatum push status", map(_entry, figures["waiting"]))
    if figures["open_rows"]:
        say_text(f"Of the current hour or day: {plural(figures['open_rows'], 'row')}. A later push sends them.")
    show_list(f"To be sent, in {plural(figures['requests_needed'], 'request')}", map(_line, to_send))
    if figures["limit"]:
        say_text(f"Nothing is sent: {figures['limit']}.")
    for warning in figures["warnings"]:
        say_text(f"Note: {warning}.")
    _show_cost(figures, dry)
    if dry and len(to_send) and not figures["limit"]:
        say_text(f"Next: the same command with --confirm sends them; with --plan {figures['plan']} only these.")
    elif lines["to_send"] and not dry:
        say_text("Next: run the same command again; it sends the rest.")
    elif figures["unresolved"]:
        say_text("Next: automatum push status")


def _show_cost(figures: Mapping[str, Any], dry: bool) -> None:
    charged = f"{'Would charge' if dry else 'Charged'} {money(figures['charged'])}"
    requests = plural(figures["requests_needed" if dry else "requests"], "request")
    tokens = f" and {figures['token_requests']:,} for a token" if not dry and figures["token_requests"] else ""
    say_text(f"{charged} in {requests}{tokens}. Ledger: {figures['ledger']}")


def show_status(figures: Mapping[str, Any]) -> None:
    """Each open item with its command, then the open money and the lines by state."""
    if not figures["ledger_exists"]:
        say_text(f"There is no ledger at {figures['ledger']}: no usage was pushed to this API from here.")
        return
    for item in figures["open"][:MOST_SHOWN]:
        say_text(f"{item['kind']} {item['id']}", style="bold")
        say_text(
            f"  {' '.join(str(item[name] or '?') for name in ('vendor', 'customer_id', 'listing_id', 'dimension'))}"
            f" {_time(item)}"
        )
        if "asked_units" in item:
            say_text(f"  {_units(item)}")
        say_text(f"  why: {item['why']}")
        if item["command"]:
            say_text(f"  {item['command']}" + (f"    ({item['hint']})" if item["hint"] else ""))
    _show_left_out(figures["open"])
    columns = {"amount": figures["amounts"]}
    if figures["over_billed"]:
        columns["over-billed"] = figures["over_billed"]
    table = TextTable("open", "number", *columns)
    for kind, number in figures["unresolved"].items():
        table.add(kind, f"{number:,}", *(money(sums[kind]) if sums.get(kind) else "" for sums in columns.values()))
    if len(table):
        table.show()
    else:
        say_text("Nothing waits for a decision.")
    show_counts("state", "lines", figures["lines"])
    say_text(f"Ledger: {figures['ledger']}")


def show_settled(figures: Mapping[str, Any]) -> None:
    """What a decision changed, closed and sent, or would."""
    dry = figures["verdict"] == "dry_run"
    after = (f"; would be {one['after']} {one['after_why']}".rstrip() if dry else "" for one in figures["changes"])
    show_list("Lines", (f"{_entry(one)}{then}" for one, then in zip(figures["changes"], after, strict=True)))
    show_list("Closed", (f"{item['kind']} {item['item_id']}: {item['reason']}" for item in figures["closed"]))
    show_list("To be sent" if dry else "Sent", map(_line, figures["to_send"]))
    show_list("Refused", (f"{one['id']}: {one['reason']}" for one in figures["refused"]))
    for outcome, ids in figures["sent"].items():
        if ids:
            say_text(f"{plural(len(ids), 'line')} {outcome}.")
    if dry and (figures["changes"] or figures["closed"]):
        say_text("Dry run. Next: the same command with --confirm.")


def show_statement(figures: Mapping[str, Any]) -> None:
    """The statement in units and in money, and the differences to a report."""
    rows, listed = figures["rows"], ("customer_id", "vendor", "listing_id", "dimension", "entitlement_id", "currency")
    columns = [name for name in (rows[0] if rows else ()) if name.endswith(("_units", "_amount"))]
    used = [name for name in columns if any(row[name] for row in rows)]
    for what, title in (("_units", "units"), ("_amount", "money")):
        numbers = [name for name in used if name.endswith(what)]
        headings = [name.removesuffix(what) for name in numbers]
        table = TextTable(listed[0], *headings, words=listed[1:], title=f"{figures['month']}, {title}")
        for row in rows:
            key = [row[name] for name in listed]
            table.add(key[0], *(format_decimal(row[name]) for name in numbers), *key[1:])
        if len(table):
            table.show()
    if not rows:
        say_text(f"There is no line of {figures['month']} in the ledger.")
    if not (compared := figures.get("compared")):
        return
    for note in compared["notes"]:
        say_text(f"Note: {note}.")
    by = ", ".join(compared["keys"])
    if not compared["differences"]:
        say_text(f"The report agrees with the ledger: {plural(compared['rows'], 'row')}, by {by}.")
    names = ("our_units", "their_units", *(("our_amount", "their_amount") if compared["amounts"] else ()))
    lines = []
    for row in compared["differences"]:
        numbers = [f"{name.replace('_', ' ')} {format_decimal(row[name])}" for name in names]
        lines.append(" ".join([*(row[key] or "-" for key in compared["keys"]), *numbers]))
    show_list(f"Differences, by {by}", lines)


def show_figures(figures: Mapping[str, Any]) -> None:
    """Names and values, one a line."""
    for name, value in figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {number}" for key, number in value.items() if number) or "none"
        say_text(f"{name.replace('_', ' ')}: {'-' if value is None else value}")


def show_list(title: str, rows: Iterable[str]) -> None:
    """The first rows, indented, and how many more there are; nothing without a row."""
    found: Sequence[str] = list(rows)
    if not found:
        return
    say_text(f"{title}:")
    for row in found[:MOST_SHOWN]:
        say_text(f"  {row}")
    _show_left_out(found)


def _show_left_out(found: Sequence[object]) -> None:
    if len(found) > MOST_SHOWN:
        say_text(f"  and {len(found) - MOST_SHOWN:,} more; --json lists all")


def money(amounts: Mapping[str, Decimal]) -> str:
    """Amounts by currency, such as `12.5 USD, 3 of unknown currency`."""
    return ", ".join(format_money(amount, currency) for currency, amount in amounts.items()) or "0"


def _time(line: Mapping[str, Any]) -> str:
    start = line.get("starts_at") or ""
    return f"{start:%Y-%m-%d %H:%M}" if isinstance(start, datetime) else str(start)[:16].replace("T", " ")


def _units(line: Mapping[str, Any]) -> str:
    names = {"asked": "asked_units", "accepted": "accepted_units", "carried": "carried_units", "open": "open_units"}
    numbers = [f"{name} {format_decimal(line[key] or Decimal(0))}" for name, key in names.items()]
    if line["state"] == "unknown":
        numbers[1] = "accepted ?"  # Nobody knows.
    amount = format_money(line["open_amount"], line["currency"])
    return f"{', '.join(numbers)} at {format_decimal(line['price'])}: {amount} open"


def _line(line: Mapping[str, Any]) -> str:
    names = ("vendor", "customer_id", "listing_id", "dimension")
    amount = format_money(line["asked_amount"], line["currency"])
    return (
        f"{line['line_id']} {_time(line)} {' '.join(line[name] for name in names)}: "
        f"{format_decimal(line['asked_units'])} at {format_decimal(line['price'])} = {amount}"
    )


def _entry(line: Mapping[str, Any]) -> str:
    accepted = "" if line["accepted_units"] is None else f", accepted {format_decimal(line['accepted_units'])}"
    state = f"{line['state']} {line['why'] or ''}".rstrip()
    return f"{_line(line)}{accepted}: {state}" + (f": {line['error']}" if line["error"] else "")


def _refused(row: Mapping[str, Any]) -> str:
    place = f"row {', '.join(map(str, row['rows']))}" if row["rows"] else f"line {row['line_id']}"
    more = f" and {row['count'] - len(row['rows']):,} more" if row["rows"] and row["count"] > len(row["rows"]) else ""
    return f"{place}{more}: {row['reason']}"


def _source(row: Mapping[str, Any]) -> str:
    other = row["other"]
    units = f"{format_decimal(other['asked_units'])} at {format_decimal(other['price'])}"
    return f"{_line(row)}; {other['source']} has {units}, which is {other['state']}"
