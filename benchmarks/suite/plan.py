"""What is measured: programs, the work that they do, and the groups in which they take turns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from suite.rows import CHANGED, DELETED, PAGE, dimension_count, is_changed, is_deleted

FLOOR, CONNECTOR, BEFORE = "floor", "automatum", "automatum (before)"
SECTIONS = ("flat", "nested", "second", "startup", "push", "organizations", "growth", "peers")
TITLES = {"customers": "customers", "entitlements": "entitlements with their dimensions"}


@dataclass(frozen=True)
class Program:
    """A program that is measured.

    Attributes:
        name: As the table shows it.
        commands: Commands in a pipe. `{python}` is the interpreter of its environment, `{automatum}` the connector's
            command, `{url}`, `{table}` and `{database}` are what to read and where to load.
        home: Environment that it runs in: `bench`, `singer`, `airbyte`.
        environment: Further environment variables.
        dataset: Schema of its tables in the database.
        child: Name of the table with the dimensions of entitlements; empty if it does not make one.
        copied: What it leaves behind can be copied. A ledger cannot: the push refuses a copy.
        exact: It has to load every row. If not, the rows that it loses are counted and shown.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    home: str = "bench"
    environment: Mapping[str, str] = field(default_factory=dict)
    dataset: str = "bench"
    child: str = ""
    copied: bool = True
    exact: bool = True


@dataclass(frozen=True)
class Task:
    """What one line of the table is about.

    Attributes:
        program: What is run.
        work: What it does, if the group has several kinds of work.
        before: Runs before it, not measured, each with the version of the lists that it reads.
        version: Version of the lists that it reads.
        tables: Rows that each table has to have after it.
        summary: What the JSON on its standard output has to say: dotted path to value.
        usages: Usages that the server has to have received from it.
        against: Name of the task that it is compared with; empty for the first of the group.
    """

    program: Program
    work: str = ""
    before: tuple[tuple[Program, int], ...] = ()
    version: int = 1
    tables: Mapping[str, int] = field(default_factory=dict)
    summary: Mapping[str, object] = field(default_factory=dict)
    usages: int = 0
    against: str = ""

    @property
    def table(self) -> str:
        """The list that it reads, if it reads one."""
        return next(iter(self.tables), "")

    @property
    def name(self) -> str:
        """Name of the line, unique in its group."""
        return f"{self.program.name}, {self.work}" if self.work else self.program.name


@dataclass(frozen=True)
class Group:
    """Tasks that take turns against one server, and are compared with each other.

    Attributes:
        section: Name on the command line.
        title: Heading of the table.
        served: What the server lists: arguments of `suite.server`.
        tasks: The tasks; the first is what the others are compared with, if `compared`.
        compared: Whether the table has ratios.
        rows: Number of rows of the work, for the time per row; 0 if that makes no sense.
    """

    section: str
    title: str
    served: Mapping[str, int]
    tasks: tuple[Task, ...]
    compared: bool = True
    rows: int = 0


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rows: Rows of the list that is synced.
        growth: Rows of the lists whose time per row is compared; the nested list has no more than `nested_growth`.
        usages: Rows of the pushes.
        organizations: Organizations of the sync of several organizations.
        whole: Whether syncs with history, and second syncs of the nested list, are measured, too.
    """

    rows: int = 100_000
    growth: tuple[int, ...] = (10_000, 100_000, 300_000, 1_000_000)
    nested_growth: int = 300_000
    usages: tuple[int, ...] = (10_000, 100_000)
    organizations: int = 50
    whole: bool = True


QUICK = Sizes(rows=5_000, growth=(1_000,), nested_growth=0, usages=(1_000,), organizations=2, whole=False)


def case(name: str, module: str = "", *, arguments: tuple[str, ...] = (), **others: object) -> Program:
    """A program of `suite.cases`."""
    command = ("{python}", "-m", f"suite.cases.{module or name}", *arguments, "{url}", "{table}", "{database}")
    return replace(Program(name, (command,)), **others)  # type: ignore[arg-type]


def connector(*arguments: str, **environment: str) -> Program:
    """A command of the connector. JSON, so that its result can be checked."""
    return Program(
        CONNECTOR, (("{automatum}", *arguments),), environment=environment, dataset="automatum",
        child="entitlement_dimensions",
    )  # fmt: skip


SYNC = connector("sync", "{table}", "--json")
HISTORY = connector("sync", "{table}", "--json", SOURCES__AUTOMATUM__HISTORY="true")
FLOOR_CASE = case(FLOOR, dataset="main", child="entitlement_dimensions")
ARROW = case("dlt, Arrow tables", "dlt_arrow", child="entitlement_dimensions")
DICTS = case("dlt, dicts", "dlt_dict", child="entitlements__dimensions")

PEERS = (
    case("dlt, rest_api", "dlt_rest_api", arguments=("default",), child="entitlements__dimensions"),
    case("dlt, rest_api with parquet", "dlt_rest_api", arguments=("parquet",), child="entitlements__dimensions"),
    Program(
        "Singer tap, target-duckdb",
        (
            ("{python}", "-m", "suite.cases.singer_tap", "{url}", "{table}", "{database}"),
            ("{python}", "-m", "suite.cases.singer_target", "{database}"),
        ),
        home="singer",
        exact=False,
    ),
    case("PyAirbyte", "pyairbyte", home="airbyte", environment={"AIRBYTE_OFFLINE_MODE": "1"}),
)


def loaded(program: Program, table: str, count: int) -> dict[str, int]:
    """Rows that a first load makes."""
    tables = {table: count}
    if table == "entitlements" and program.child:
        tables[program.child] = sum(dimension_count(number, 0) for number in range(count))
    return tables


def first(program: Program, table: str, count: int, work: str = "") -> Task:
    """The first load of a list."""
    summary: dict[str, object] = {}
    if program.name == CONNECTOR:
        summary = {"verdict": "complete", f"tables.{table}.inserted": count}
    return Task(program, work, tables=loaded(program, table, count), summary=summary)


def repeated(program: Program, table: str, count: int, work: str = "unchanged") -> Task:
    """A second load that finds every row unchanged."""
    task = first(program, table, count, work)
    pages = count // PAGE + 1  # with the page behind a full last one
    summary = {"verdict": "complete", "requests": pages, f"tables.{table}.unchanged": count}
    return replace(task, before=((program, 1),), summary=summary if program.name == CONNECTOR else {})


def changed(table: str, count: int) -> Task:
    """The sync that meets changed rows, and asks for each row that it misses."""
    updated = sum(is_changed(number) for number in range(count))
    gone = sum(is_deleted(number) for number in range(count))
    work = f"{100 / CHANGED:g} % changed, {100 / DELETED:g} % deleted"
    said = {"verdict": "complete", f"tables.{table}.updated": updated, f"tables.{table}.deleted": gone}
    return Task(SYNC, work, ((SYNC, 1),), 2, {table: count}, said)


def sync_groups(sections: set[str], sizes: Sizes) -> list[Group]:
    """First loads, with the peers in the same rounds if these are measured, and second loads."""
    groups = []
    for section, table in (("flat", "customers"), ("nested", "entitlements")):
        served = {table: sizes.rows}
        if sections & {section, "peers"}:
            programs = (FLOOR_CASE, SYNC, ARROW, *(PEERS if "peers" in sections else ()))
            tasks = [first(program, table, sizes.rows) for program in programs]
            if sizes.whole:
                tasks.insert(2, first(HISTORY, table, sizes.rows, "with history"))
            title = f"First sync of {sizes.rows:,} {TITLES[table]}"
            groups.append(Group(section, title, served, tuple(tasks), rows=sizes.rows))
        if "second" in sections and (sizes.whole or table == "customers"):
            tasks = [first(FLOOR_CASE, table, sizes.rows, "first load"), repeated(FLOOR_CASE, table, sizes.rows)]
            tasks += [repeated(SYNC, table, sizes.rows), changed(table, sizes.rows)]
            if sizes.whole:
                tasks.append(repeated(HISTORY, table, sizes.rows, "unchanged, with history"))
            tasks.append(repeated(ARROW, table, sizes.rows))
            title = f"Second sync of {sizes.rows:,} {TITLES[table]}"
            groups.append(Group("second", title, served, tuple(tasks), rows=sizes.rows))
    return groups


def growth_groups(sizes: Sizes) -> list[Group]:
    """First loads of lists of several sizes."""
    groups = []
    for table, limit in (("customers", max(sizes.growth)), ("entitlements", sizes.nested_growth)):
        for count in sizes.growth:
            if count <= limit:
                tasks = (first(FLOOR_CASE, table, count), first(SYNC, table, count))
                groups.append(Group("growth", f"{count:,} {TITLES[table]}", {table: count}, tasks, rows=count))
    return groups


def startup_group() -> Group:
    """Commands that have little to do, against a resource of dicts of bare dlt."""
    page = {"customers": 50, "entitlements": 50, "private-offers": 50, "dimensions": 25}
    usage = Program("usage", (("{python}", "-m", "suite.cases.usage", "25", "usage.csv"),))
    push = replace(connector("push", "--usage", "usage.csv", "--confirm", "--new-ledger", "--json"), copied=False)
    sync = connector("sync", "customers", "entitlements", "--json")
    synced, pushed = ((sync, 1),), ((sync, 1), (usage, 1), (push, 1))
    tasks = (
        replace(first(DICTS, "customers", 50), work="one page"),
        replace(repeated(DICTS, "customers", 50), work="one page, unchanged"),
        first(SYNC, "customers", 50, "one page"),
        replace(repeated(SYNC, "customers", 50, "one page, unchanged"), against=f"{DICTS.name}, one page, unchanged"),
        Task(connector("--help"), "--help"),
        Task(connector("--version"), "--version"),
        Task(connector("check", "--json"), "check", summary={"ok": True}),
        Task(connector("status", "--json"), "status", synced),
        Task(connector("push", "status", "--json"), "push status", pushed),
        Task(Program("Python", (("{python}", "-c", "pass"),)), "nothing"),
        Task(Program("Python", (("{python}", "-c", "import dlt"),)), "import dlt"),
    )
    return Group("startup", "Start-up, and work of one page", page, tasks)


def push_group(sizes: Sizes) -> Group:
    """Pushes of usage rows that each become a line, checked against synced customers and entitlements."""
    most = max(sizes.usages)
    tasks = []
    for count in sizes.usages:
        usage = Program("usage", (("{python}", "-m", "suite.cases.usage", str(count), "usage.csv"),))
        before = ((connector("sync", "customers", "entitlements", "--json"), 1), (usage, 1))
        push = ("push", "--usage", "usage.csv", "--json")
        planned = {"verdict": "dry_run", "lines.to_send": count, "requests_needed": count // 25}
        sent = {"verdict": "complete", "lines.accepted": count, "requests": count // 25}
        tasks.append(Task(connector(*push), f"{count:,} rows planned", before, summary=planned))
        confirmed = connector(*push, "--confirm", "--new-ledger")
        tasks.append(Task(confirmed, f"{count:,} rows sent", before, summary=sent, usages=count))
    customers = most // 25 * 2  # Half of them have an active entitlement.
    served = {"customers": customers, "entitlements": customers, "dimensions": 25}
    return Group("push", "Push of usage", served, tuple(tasks), compared=False)


def organizations_group(count: int) -> Group:
    """Four tables of one page of several organizations, in one command."""
    names = [f"org_{at}" for at in range(count)]
    environment = {"SOURCES__AUTOMATUM__ORGANIZATIONS": json.dumps([{"name": name} for name in names])}
    for name in names:
        environment[f"SOURCES__AUTOMATUM__{name.upper()}__CLIENT_ID"] = f"app_{name}"
        environment[f"SOURCES__AUTOMATUM__{name.upper()}__CLIENT_SECRET"] = f"secret_{name}_1234"
    sync = connector("sync", "--json", **environment)
    said: dict[str, object] = {f"organizations.{name}.verdict": "complete" for name in names}
    tables = {"customers": 50 * count, "entitlements": 50 * count, "private_offers": 50 * count}
    # Three lists, and a window of the report with its proofs (docs/internals/completeness.md).
    again = {**said, **{f"organizations.{name}.requests": 8 for name in names}}
    tasks = (
        Task(sync, "first sync", tables=tables, summary=said),
        Task(sync, "unchanged", ((sync, 1),), tables=tables, summary=again),
    )
    served = {"customers": 50, "entitlements": 50, "private-offers": 50}
    return Group("organizations", f"{count} organizations, four tables of one page each", served, tasks, compared=False)


def groups(sections: set[str], sizes: Sizes) -> list[Group]:
    """What is measured, in order."""
    made = sync_groups(sections, sizes)
    if "startup" in sections:
        made.append(startup_group())
    if "push" in sections:
        made.append(push_group(sizes))
    if "organizations" in sections:
        made.append(organizations_group(sizes.organizations))
    if "growth" in sections:
        made += growth_groups(sizes)
    return made


def _older(program: Program) -> Program:
    return replace(program, name=BEFORE, home="before") if program.name == CONNECTOR else program


def with_before(group: Group) -> Group:
    """The group with each line of the connector twice: as it is, and as it was before."""
    tasks: list[Task] = []
    for task in group.tasks:
        tasks.append(task)
        if task.program.name == CONNECTOR:
            before = tuple((_older(step), version) for step, version in task.before)
            tasks.append(replace(task, program=_older(task.program), before=before))
    return replace(group, tasks=tuple(tasks))


def environments(root: Path) -> dict[str, Path]:
    """The interpreters of the environments that `make bench` makes."""
    return {"bench": root / ".venv-bench/bin/python"} | {
        home: root / f".venv-bench-{home}/bin/python" for home in ("singer", "airbyte")
    }
