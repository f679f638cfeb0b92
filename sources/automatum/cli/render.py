"""Draws the results of commands on stdout, from the same figures that `--json` prints."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..core.clock import format_age, format_duration, instant
from ..core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET, DUCKDB
from ..core.result_line import describe_verdict
from ..core.text import plural
from . import console
from .console import say_command, say_text
from .tables import Cell, TextTable, show_counts

if TYPE_CHECKING:
    from automatum_sandbox import Serving

    from ..warehouse.target import Target

_COUNTS = ("requests", "distinct", "inserted", "updated", "deleted", "unchanged")
_STYLES = {"ok": "green", "complete": "green", "no scope": "yellow", "more_to_do": "yellow"}
_WORDS = frozenset({"verdict", "state", "scope", "note", "rule", "scopes", "name", "lastUsedAt"})
"""Columns of words; the others hold numbers."""
Figures = Mapping[str, Any]


def show_rows(first: str, rows: Mapping[str, Figures], *columns: str) -> None:
    """A table with a line for each row; the columns are keys of its figures, and headings."""
    table = TextTable(first, *columns, words=[one for one in columns if one in _WORDS])
    for name, row in rows.items():
        table.add(name, *(_cell(column, row.get(column)) for column in columns))
    if len(table):
        table.show()


def _cell(column: str, value: Any) -> Cell:
    if column in ("verdict", "state"):
        return Text(describe_verdict(value), style=_STYLES.get(value, "red"))
    if column == "broken":
        return Text(f"{value:,}", style="red" if value else "green")
    if value is None:
        return "" if column in _WORDS else "-"
    if column == "age_seconds":
        return format_age(value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_sync(figures: Figures) -> None:
    """What a sync did: of one organization by table, of several by organization; then where the data is."""
    if "organizations" in figures:
        rows = {}
        for name, one in figures["organizations"].items():
            sums = {key: sum(row[key] for row in one["tables"].values()) for key in _COUNTS}
            rows[name] = {**sums, "verdict": one["verdict"], "requests": one["requests"]}
        show_rows("organization", rows, "verdict", *_COUNTS)
    else:
        _show_tables(figures)
    say_text(
        f"{describe_verdict(figures['verdict']).capitalize()}: {plural(figures['requests'], 'request')} and "
        f"{figures['token_requests']:,} for a token in {figures['seconds']:.1f} s."
    )
    place = figures["target"]
    if not place["loaded"]:
        return
    say_text(f"Data: {place['database'] or 'destination ' + place['destination']}, dataset {place['dataset']}.")
    if figures["verdict"] == "more_to_do":
        when = f" at {figures['resume_at']} or later" if figures["resume_at"] else ""
        say_text(f"Next: run the same command again{when}; it goes on from here.")
    elif figures["verdict"] == "complete":
        say_command(_query_command(place, figures))


def _show_tables(figures: Figures) -> None:
    show_rows("table", figures["tables"], "verdict", *_COUNTS)
    for name, row in figures["tables"].items():
        if row["reason"]:
            say_text(f"{name}: {row['reason']}")
        for column, count in row["unread"].items():
            say_text(
                f"{name}: {plural(count, 'value')} of {column} did not fit its type. The column is null there, and the "
                "values are in extra. If most rows are affected, set columns for the table."
            )
    for name, why in figures["skipped"].items():
        say_text(f"{name} skipped: {why}")


def describe_target(target: Target) -> dict[str, Any]:
    """Where the data is, for the JSON of a sync."""
    database = str(target.database) if target.file else None
    place = {"destination": target.destination, "dataset": target.dataset, "database": database}
    return {**place, "loaded": not target.missing}


def _query_command(place: Figures, figures: Figures) -> str:
    """A command to look at the data: rows of the first synced list, if it is a DuckDB file; else the status."""
    from ..schema.columns import normalize_identifier

    dataset = place["dataset"]
    synced = [figures, *figures.get("organizations", {}).values()]
    tables = (pair for one in synced for pair in one.get("tables", {}).items())
    first = next((name for name, row in tables if "reports" not in row), None)
    if first is None or not place["database"]:
        options = {"destination": place["destination"], "database": place["database"], "dataset": dataset}
        usual = {"destination": DUCKDB, "database": str(DEFAULT_DATABASE), "dataset": DEFAULT_DATASET}
        differ = [(f"--{name}", value) for name, value in options.items() if value and value != usual[name]]
        return shlex.join(["automatum", "status", *(word for pair in differ for word in pair)])
    schema = DEFAULT_DATASET if dataset == DEFAULT_DATASET else f'"{normalize_identifier(dataset)}"'
    query = f"FROM {schema}.{first} LIMIT 5"
    script = f"import duckdb; duckdb.connect({place['database']!r}).sql({query!r}).show()"
    return python_command(script)


def python_command(script: str) -> str:
    """A command that runs a script by this Python, to be pasted into the shell that started this process."""
    folder = Path(sys.executable).parent
    found = shutil.which("python")
    python = "python" if found and Path(found).parent == folder else os.path.relpath(sys.executable)
    plain = not any(one in script for one in '"$`\\!')
    return f'{shlex.quote(python)} -c "{script}"' if plain else f"{shlex.quote(python)} -c {shlex.quote(script)}"


def show_plan(figures: Figures) -> None:
    """What a sync will cost, and what it leaves."""
    skipped = {name: {"note": f"skipped: {why}"} for name, why in figures["skipped"].items()}
    show_rows("table", {**figures["tables"], **skipped}, "requests", "announced", "note")
    show_rows("window", {row["window"]: row for row in figures["windows"]}, "used", "limit", "reserved")
    say_text(
        f"A sync takes {plural(figures['requests'], 'request')} and one for a token. Started now, the rate limits let "
        f"it end in {format_duration(figures['seconds'])}, at {figures['finishes_at']}. The shortest interval of a "
        f"schedule is {figures['shortest_interval_seconds'] // 60:,} min. This forecast took "
        f"{plural(figures['spent'], 'request')}."
    )


def show_check(figures: Figures) -> None:
    """Each table's answer, the scopes and the windows."""
    show_rows("table", figures["tables"], "state", "announced", "scope")
    for name, row in figures["tables"].items():
        for sign in row["signs"]:
            say_text(f"{name}: {sign}")
    granted = figures["granted_scopes"]
    say_text(f"Granted scopes: {'the token does not say' if granted is None else ' '.join(granted) or 'none'}")
    if figures["excess_scopes"]:
        say_text(
            f"Scopes that this configuration does not use: {' '.join(figures['excess_scopes'])}. Set the others: "
            "automatum apps update ID --scope SCOPE"
        )
    say_text(f"Push usage: {'yes' if figures['can_push'] else 'no, it needs the scope write:metering'}")
    for name, problem in figures["applications"].items():
        say_text(f"Application {name}: {problem or 'ok'}")
    show_rows("window", {row["window"]: row for row in figures["windows"]}, "used", "limit")
    if figures["ok"]:
        say_text("Next: automatum sync. Before, automatum sync --dry-run shows what it costs.")


def show_status(figures: Figures) -> None:
    """The last sweep of each table, and those under way; what is open in the ledgers; what the check of data found."""
    if copy := figures.get("read_copy"):
        say_text(
            f"The DuckDB file is in use. Read from its copy {copy['file']} of {instant(copy['made_at'].timestamp())}:"
        )
    for name, one in figures.get("organizations", {"": figures}).items():
        if name:
            say_text(str(name), style="bold")
        _show_sweeps(one)
    for ledger in figures["ledgers"]:
        name = f" of {ledger['organization']}" if ledger["organization"] else ""
        counted = ", ".join(f"{kind} {number:,}" for kind, number in ledger["unresolved"].items())
        found = f"unresolved: {counted}. Next: automatum push status." if counted else "nothing is unresolved."
        say_text(f"Push{name}: {ledger['error'] or found}")
    if "findings" in figures:
        table = TextTable("table", "broken", words=("rule",))
        for one in figures["findings"]:
            table.add(one["table"], _cell("broken", one["broken"]), one["rule"])
        table.show()
        rules, broken = plural(len(figures["findings"]), "rule"), sum(1 for one in figures["findings"] if one["broken"])
        say_text(f"{rules} checked, {f'{broken:,} broken' if broken else 'all hold'}.")


def _show_sweeps(figures: Figures) -> None:
    columns = ("verdict", "age_seconds", "requests", "distinct_keys", "inserted", "updated", "deleted")
    show_rows("table", figures["tables"], *columns)
    if not figures["tables"]:
        say_text("No sweep has been recorded yet. Next: automatum sync.")
    for name, row in figures["tables"].items():
        if row["reason"]:
            say_text(f"{name}: {row['reason']}")
    for name, row in figures["under_way"].items():
        announced = "" if row["announced"] is None else f"; {plural(row['announced'], 'row')} announced"
        say_text(f"{name}: under way, {plural(row['pages'], 'page')} read{announced}")


def show_discovery(figures: Figures) -> None:
    """Every table with its columns."""
    for name, facts in figures["tables"].items():
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


def show_demo(figures: Figures) -> None:
    """What the demo did and found, with the SQL of each answer and commands that can be pasted."""
    show_counts("table", "rows", figures["rows"])
    say_text("Then some rows were changed at the API, and synced again:")
    show_rows("table", figures["second_sync"]["tables"], "requests", "inserted", "updated", "deleted", "unchanged")
    for answer in figures["answers"]:
        table = TextTable(answer["columns"][0], words=answer["columns"][1:], title=answer["question"])
        for row in answer["rows"]:
            table.add(*(str(value) for value in row))
        table.show()
        say_text(answer["sql"] + "\n")
    say_text(
        f"{plural(figures['requests'], 'request')} in {figures['seconds']:.1f} s to {figures['api']}, the sandbox: a "
        "local server that behaves like the API."
    )
    place = {"destination": DUCKDB, "dataset": DEFAULT_DATASET, "database": figures["database"]}
    say_text(f"Data: {figures['database']}, dataset {DEFAULT_DATASET}.")
    say_command(_query_command(place, figures["first_sync"]))


def show_sandbox(served: Serving) -> None:
    """How to reach the sandbox; with its limits, so that the client does not wait for those of the vendor."""
    limits = served.sandbox.config.limits
    own = [[limits.app_minute, 60], [limits.app_hour, 3600]] if limits else [[1_000_000, 60]]
    values = {
        "BASE_URL": served.base_url,
        "CLIENT_ID": served.client_id,
        "CLIENT_SECRET": served.client_secret,
        "APPLICATION_LIMITS": json.dumps(own),
    }
    say_text(f"The sandbox serves at {served.base_url} until Ctrl-C. Its root page lists what it assumes.")
    say_text("In another shell:")
    exports = [f"export SOURCES__AUTOMATUM__{name}={shlex.quote(value)}" for name, value in values.items()]
    console.out.print("\n".join([*exports, "automatum sync"]), soft_wrap=True)


def show_forgotten(figures: Figures) -> None:
    """What `automatum forget` changed or would change, and what it does not reach."""
    show_counts("table", "rows", figures["rows"])
    if figures["confirmed"]:
        say_text(f"Personal data of {figures['customer_id']} is removed, and stays so in later syncs. Not reached:")
    else:
        say_text("Nothing is changed yet: add --confirm. It does not reach:")
    for one in figures["not_reached"]:
        say_text(f"- {one}")
