"""The results of commands as tables on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table as Grid

from ..core.clock import instant
from ..operations.check import CheckReport
from ..operations.plan import Plan
from ..operations.verify import Verification
from ..sync.summary import MultiOrgSummary, SyncSummary
from .console import grid_of, out
from .progress import format_time_left

if TYPE_CHECKING:
    from ..operations.demo import Demo

_STATE_STYLE = {"ok": "green", "complete": "green", "no scope": "yellow", "more_to_do": "yellow"}
_FIGURES = ("requests", "distinct", "inserted", "updated", "deleted", "unchanged")


def show_sync(summary: SyncSummary) -> None:
    """What a sync did: of one organization by table, of several by organization."""
    if not isinstance(summary, MultiOrgSummary):
        show_summary(summary)
        return
    grid = grid_of("organization", "verdict", *_FIGURES)
    for name, one in summary.organizations.items():
        tables = one.as_json()["tables"].values()
        # A sync that did not get to its tables has no figures; those of its requests are known.
        figures = {key: sum(table[key] for table in tables) for key in _FIGURES} | {"requests": one.requests}
        grid.add_row(name, _state(one.verdict), *(_number(figures[key]) for key in _FIGURES))
    out.print(grid)
    out.print(f"{summary.verdict}: {summary.requests} requests in {summary.seconds:.1f} s", highlight=False)


def show_summary(summary: SyncSummary) -> None:
    """The tables of a sync, and its verdict."""
    figures = summary.as_json()
    grid = grid_of("table", "verdict", *_FIGURES)
    for table, row in figures["tables"].items():
        grid.add_row(table, _state(row["verdict"]), *(_number(row[key]) for key in _FIGURES))
    out.print(grid)
    for table, row in figures["tables"].items():
        if row["reason"]:
            out.print(f"{table}: {row['reason']}", markup=False, highlight=False)
    for table, why in figures["skipped"].items():
        out.print(f"{table} skipped: {why}", markup=False, highlight=False)
    out.print(
        f"{figures['verdict']}: {figures['requests']} requests and {figures['token_requests']} for a token "
        f"in {figures['seconds']:.1f} s",
        highlight=False,
    )


def show_check(report: CheckReport) -> None:
    """Each table's answer, the scopes and the windows."""
    figures = report.as_json()
    grid = grid_of("table", "state", "announced")
    grid.add_column("scope")
    for table, row in figures["tables"].items():
        grid.add_row(table, _state(row["state"]), _number(row["announced"]), row["scope"])
    out.print(grid)
    granted = figures["granted_scopes"]
    out.print(f"granted: {'not said' if granted is None else ' '.join(granted) or 'nothing'}", highlight=False)
    out.print(f"push usage: {'yes' if figures['can_push'] else 'no (needs write:metering)'}", highlight=False)
    for window in figures["windows"]:
        out.print(
            f"{window['window']}: {window['used']} of {window['limit']} requests used in {window['seconds']:g} s",
            highlight=False,
        )


def show_status(figures: Mapping[str, Any]) -> None:
    """The last sweep of each table, and those under way; one organization after the other, where there are several."""
    if "organizations" in figures:
        for name, one in figures["organizations"].items():
            out.print(name, style="bold", markup=False, highlight=False)
            show_status(one)
        return
    grid = grid_of("table", "verdict", "age", "requests", "rows", "changed", "deleted")
    for table, row in figures["tables"].items():
        changed = (row["inserted"] or 0) + (row["updated"] or 0)
        numbers = (row["requests"], row["distinct_keys"], changed, row["deleted"])
        grid.add_row(table, _state(row["verdict"]), _age(row["age_seconds"]), *(_number(one) for one in numbers))
    out.print(grid if figures["tables"] else "No sweep has been recorded yet.")
    for table, row in figures["tables"].items():
        if row["reason"]:
            out.print(f"{table}: {row['reason']}", markup=False, highlight=False)
    for table, row in figures["under_way"].items():
        out.print(f"{table}: under way, {row['pages']} pages read, {_number(row['announced'])} rows announced")


def show_verification(found: Verification) -> None:
    """What was checked, and what is broken."""
    grid = grid_of("table", "broken")
    grid.add_column("rule")
    for one in found.findings:
        grid.add_row(one.table, f"[{'red' if one.broken else 'green'}]{one.broken}[/]", one.rule)
    out.print(grid)


def show_plan(plan: Plan) -> None:
    """What a sync will cost, and what it leaves."""
    grid = grid_of("table", "requests", "announced", "note")
    for one in plan.tables:
        grid.add_row(one.table, _number(one.requests), _number(one.announced), one.note)
    for table, why in plan.skipped.items():
        grid.add_row(table, "-", "-", f"skipped: {why}")
    out.print(grid)
    windows = grid_of("window", "used", "limit", "kept for metering")
    for row in plan.windows:
        windows.add_row(row["window"], _number(row["used"]), _number(row["limit"]), _number(row["reserved"]))
    out.print(windows)
    push = plan.left_for_push
    lines = [
        f"{plan.requests:,} requests and one for a token; at the present fill of the windows done in "
        f"{format_time_left(plan.seconds).removesuffix(' left')}, at {instant(plan.finishes_at)}.",
        f"Others have spent {plan.used_by_others:,} requests of the longest window; this forecast took {plan.spent}.",
        f"A push could send {push['now']:,} requests at once, {push['longest_window']:,} within the longest window.",
    ]
    schedule = plan.schedule
    if schedule:
        shortest = _span(schedule.shortest)
        verdict = "fits" if schedule.fits else f"does not fit; the shortest that does is every {shortest}"
        lines.append(f"Every {_span(schedule.every)}: {verdict}.")
    out.print("\n".join(lines), highlight=False)


def show_discovery(described: Mapping[str, Any]) -> None:
    """Every table with its columns."""
    for name, table in described["tables"].items():
        standing = "documented" if table["documented"] else "assumed"
        grid = Grid(title=f"{name}  ({standing}; {table['path']}; {table['scope']})", title_justify="left")
        for heading in ("column", "type", "origin", "from"):
            grid.add_column(heading)
        for column, facts in table["columns"].items():
            mark = " (key)" if column in table["key"] else ""
            grid.add_row(column + mark, facts["type"], facts["origin"], ", ".join(facts["from"]))
        out.print(grid)


def show_demo(demo: Demo) -> None:
    """What the demo did and found."""
    figures = demo.as_json()
    grid = grid_of("table", "rows")
    for table, rows in figures["rows"].items():
        grid.add_row(table, _number(rows))
    out.print(grid)
    out.print("\nThen some rows were changed at the API, and synced again:", highlight=False)
    grid = grid_of("table", "requests", "inserted", "updated", "deleted", "unchanged")
    for table, row in figures["second_sync"]["tables"].items():
        grid.add_row(table, *(_number(row[key]) for key in ("requests", "inserted", "updated", "deleted", "unchanged")))
    out.print(grid)
    for answer in figures["answers"]:
        grid = Grid(title=answer["question"], title_justify="left")
        for heading in answer["columns"]:
            grid.add_column(heading)
        for row in answer["rows"]:
            grid.add_row(*(str(value) for value in row))
        out.print(grid)
    out.print(
        f"{figures['requests']} requests in {figures['seconds']:.1f} s against {figures['api']}, the local sandbox "
        f"of the vendor's API. Look around: duckdb {figures['database']}",
        highlight=False,
    )


def show_sandbox(base_url: str, client_id: str, client_secret: str) -> None:
    """How to reach the sandbox."""
    out.print("The local sandbox of the vendor's API. Its root page lists what it assumes. In another shell:")
    out.print(
        f"export SOURCES__AUTOMATUM__BASE_URL={base_url}\n"
        f"export SOURCES__AUTOMATUM__CLIENT_ID={client_id}\n"
        f"export SOURCES__AUTOMATUM__CLIENT_SECRET={client_secret}\n"
        "automatum sync",
        soft_wrap=True,
        highlight=False,
    )


def _state(word: str) -> str:
    return f"[{_STATE_STYLE.get(word, 'red')}]{word}[/]"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _age(seconds: int) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
