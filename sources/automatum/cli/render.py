"""The results of commands as text on stdout."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..core.clock import instant
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET
from ..core.result_line import describe_verdict
from ..core.text import plural
from .console import out, say_command, say_text
from .formats import format_duration, format_interval, format_number, format_state
from .render_api import secret_line
from .tables import TextTable

if TYPE_CHECKING:
    from ..operations.check import CheckReport
    from ..operations.demo import Demo
    from ..operations.plan import Plan
    from ..operations.verify import Verification
    from ..sync.summary import MultiOrgSummary, SyncSummary
    from ..warehouse.target import Target

_FIGURES = ("requests", "distinct", "inserted", "updated", "deleted", "unchanged")


def show_sync(summary: SyncSummary, target: Target) -> None:
    """What a sync did: of one organization by table, of several by organization; then where the data is.

    Args:
        summary: The summary.
        target: Where it was loaded to.
    """
    from ..sync.summary import MultiOrgSummary

    figures = summary.as_json()
    if isinstance(summary, MultiOrgSummary):
        _show_organizations(summary)
    else:
        _show_tables(figures)
    say_text(
        f"{describe_verdict(figures['verdict']).capitalize()}: {plural(figures['requests'], 'request')} and "
        f"{figures['token_requests']:,} for a token in {figures['seconds']:.1f} s."
    )
    if target.missing:
        return  # Nothing was loaded yet.
    say_text(f"Data: {_place(target)}, dataset {target.dataset}.")
    if figures["verdict"] == "more_to_do":
        when = f" at {figures['resume_at']} or later" if figures["resume_at"] else ""
        say_text(f"Next: run the same command again{when}; it goes on from here.")
    elif summary.exit_code == 0:
        say_command(_query_command(target, figures))


def describe_target(target: Target) -> dict[str, Any]:
    """Where the data is, for the JSON of a sync."""
    database = str(target.database) if target.file else None
    return {"destination": target.destination, "dataset": target.dataset, "database": database}


def show_check(report: CheckReport) -> None:
    """Each table's answer, the scopes and the windows."""
    figures = report.as_json()
    table = TextTable("table", "state", "announced", words=("state", "scope"))
    for name, row in figures["tables"].items():
        table.add(name, format_state(row["state"]), format_number(row["announced"]), row["scope"])
    table.show()
    for name, row in figures["tables"].items():
        for sign in row["signs"]:
            say_text(f"{name}: {sign}")
    granted = figures["granted_scopes"]
    say_text(f"Granted scopes: {'the token does not say' if granted is None else ' '.join(granted) or 'none'}")
    if report.excess:
        say_text(
            f"Scopes that this configuration does not use: {' '.join(report.excess)}. To take them from the "
            "application: automatum apps update --remove-scope SCOPE"
        )
    if report.secret:
        say_text(secret_line(report.secret))
    say_text(f"Push usage: {'yes' if figures['can_push'] else 'no, it needs the scope write:metering'}")
    _show_windows(figures["windows"])
    if report.exit_code == 0:
        say_text("Next: automatum plan shows what a sync costs; automatum sync syncs.")


def show_verification(found: Verification) -> None:
    """What was checked, and what is broken."""
    table = TextTable("table", "broken", words=("rule",))
    for one in found.findings:
        table.add(one.table, Text(f"{one.broken:,}", style="red" if one.broken else "green"), one.rule)
    if not len(table):
        say_text("There are no tables to check. Next: automatum sync.")
        return
    table.show()
    broken = sum(1 for one in found.findings if one.broken)
    rules = plural(len(found.findings), "rule")
    say_text(f"{rules} checked, all hold." if not broken else f"{rules} checked, {broken:,} broken.")


def show_plan(plan: Plan) -> None:
    """What a sync will cost, and what it leaves."""
    table = TextTable("table", "requests", "announced", words=("note",))
    for one in plan.tables:
        table.add(one.table, format_number(one.requests), format_number(one.announced), one.note)
    for name, why in plan.skipped.items():
        table.add(name, "-", "-", f"skipped: {why}")
    table.show()
    windows = TextTable("window", "used", "limit", "kept for metering")
    for row in plan.windows:
        windows.add(
            row["window"], format_number(row["used"]), format_number(row["limit"]), format_number(row["reserved"])
        )
    windows.show()
    push = plan.left_for_push
    say_text(
        f"A sync takes {plural(plan.requests, 'request')} and one for a token. Started now, the rate limits let it end "
        f"in {format_duration(plan.seconds)}, at {instant(plan.finishes_at)}."
    )
    say_text(
        f"This forecast took {plural(plan.spent, 'request')}. Others have used {plan.used_by_others:,} of the longest "
        f"window. A push could send {plural(push['now'], 'request')} now, and {push['longest_window']:,} within the "
        "longest window."
    )
    schedule = plan.schedule
    if schedule:
        shortest = format_interval(schedule.shortest)
        verdict = "fits" if schedule.fits else f"does not fit. The shortest interval that does is {shortest}"
        say_text(f"A sync every {format_interval(schedule.every)} {verdict}.")


def show_discovery(described: Mapping[str, Any]) -> None:
    """Every table with its columns."""
    for name, facts in described["tables"].items():
        place = "the connector's own"
        if facts["path"]:
            standing = "documented" if facts["documented"] else "assumed"
            place = f"{standing}; {facts['path']}; {facts['scope']}"
        say_text(f"{name}  ({place})", "bold")
        say_text(facts["description"])
        table = TextTable("column", words=("type", "origin", "from", "refers to", "description"))
        for column, one in facts["columns"].items():
            mark = " (key)" if column in facts["key"] else ""
            to = one["references"]
            target = f"{to['table']}.{to['column']}" if to else ""
            table.add(column + mark, one["type"], one["origin"], ", ".join(one["from"]), target, one["description"])
        table.show()


def show_demo(demo: Demo) -> None:
    """What the demo did and found."""
    from ..warehouse.target import Target

    figures = demo.as_json()
    table = TextTable("table", "rows")
    for name, rows in figures["rows"].items():
        table.add(name, format_number(rows))
    table.show()
    say_text("Then some rows were changed at the API, and synced again:")
    numbers = ("requests", "inserted", "updated", "deleted", "unchanged")
    table = TextTable("table", *numbers)
    for name, row in figures["second_sync"]["tables"].items():
        table.add(name, *(format_number(row[key]) for key in numbers))
    table.show()
    for answer in figures["answers"]:
        table = TextTable(answer["columns"][0], words=answer["columns"][1:], title=answer["question"])
        for row in answer["rows"]:
            table.add(*(str(value) for value in row))
        table.show()
    say_text(
        f"{plural(figures['requests'], 'request')} in {figures['seconds']:.1f} s to {figures['api']}, the sandbox: a "
        "local server that behaves like the API."
    )
    target = Target(database=demo.database)
    say_text(f"Data: {_place(target)}, dataset {target.dataset}.")
    say_command(_query_command(target, figures["first_sync"]))


def show_sandbox(base_url: str, client_id: str, client_secret: str) -> None:
    """How to reach the sandbox."""
    say_text(f"The sandbox serves at {base_url} until Ctrl-C. Its root page lists what it assumes. In another shell:")
    out.print(
        f"export SOURCES__AUTOMATUM__BASE_URL={base_url}\n"
        f"export SOURCES__AUTOMATUM__CLIENT_ID={client_id}\n"
        f"export SOURCES__AUTOMATUM__CLIENT_SECRET={client_secret}\n"
        "automatum sync",
        soft_wrap=True,
    )


def _show_organizations(summary: MultiOrgSummary) -> None:
    table = TextTable("organization", "verdict", *_FIGURES, words=("verdict",))
    for name, one in summary.organizations.items():
        tables = one.as_json()["tables"].values()
        # A sync that did not get to its tables has no figures; those of its requests are known.
        figures = {key: sum(row[key] for row in tables) for key in _FIGURES} | {"requests": one.requests}
        table.add(name, format_state(one.verdict.value), *(format_number(figures[key]) for key in _FIGURES))
    table.show()


def _show_tables(figures: Mapping[str, Any]) -> None:
    table = TextTable("table", "verdict", *_FIGURES, words=("verdict",))
    for name, row in figures["tables"].items():
        table.add(name, format_state(row["verdict"]), *(format_number(row[key]) for key in _FIGURES))
    if len(table):
        table.show()
    for name, row in figures["tables"].items():
        if row["reason"]:
            say_text(f"{name}: {row['reason']}")
        for column, count in row["unread"].items():
            say_text(
                f"{name}: {plural(count, 'value')} of {column} did not fit its type. The column is null there, and the "
                "values are in extra. If most rows are affected, set timestamps, or columns, for the table."
            )
    for name, why in figures["skipped"].items():
        say_text(f"{name} skipped: {why}")


def _show_windows(windows: list[dict[str, Any]]) -> None:
    table = TextTable("window", "used", "limit")
    for row in windows:
        table.add(row["window"], format_number(row["used"]), format_number(row["limit"]))
    table.show()


def _place(target: Target) -> str:
    return str(target.database) if target.file else f"destination {target.destination}"


def _query_command(target: Target, figures: Mapping[str, Any]) -> str:
    """A command to look at the data: rows of the first synced table, if it is a DuckDB file; else its status."""
    from ..schema.names import normalize_identifier

    if not target.file:
        dataset = "" if target.dataset == DEFAULT_DATASET else f" --dataset {shlex.quote(target.dataset)}"
        return f"automatum status --destination {shlex.quote(target.destination)}{dataset}"
    synced = [figures, *figures.get("organizations", {}).values()]
    tables = (pair for one in synced for pair in one.get("tables", {}).items())
    first = next((name for name, row in tables if "reports" not in row), None)
    if first is None:
        options = [] if target.database == DEFAULT_DATABASE else ["--database", str(target.database)]
        options += [] if target.dataset == DEFAULT_DATASET else ["--dataset", target.dataset]
        return shlex.join(["automatum", "status", *options])
    dataset = DEFAULT_DATASET if target.dataset == DEFAULT_DATASET else f'"{normalize_identifier(target.dataset)}"'
    query = f"FROM {dataset}.{first} LIMIT 5"
    script = f"import duckdb; duckdb.connect({str(target.database)!r}).sql({query!r}).show()"
    plain = not any(one in script for one in '"$`\\!')
    return f'python -c "{script}"' if plain else f"python -c {shlex.quote(script)}"
