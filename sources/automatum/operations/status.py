"""What the last syncs did and what waits for a person, asked of the destination and the ledgers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlt.common.pipeline import SupportsPipeline

from ..api.overrides import resolve_endpoints
from ..config.organizations import organization_names
from ..config.settings import AutomatumSettings, parse_age, resolve_settings
from ..core.budget import Budget
from ..core.clock import Clock, SystemClock, format_age, instant, utc
from ..core.errors import (
    EXIT_COMPLETE,
    EXIT_INCOMPLETE,
    EXIT_MORE_TO_DO,
    AutomatumError,
    MoreToDo,
    TooOld,
)
from ..core.result_line import result_line
from ..endpoints import ORGANIZATION
from ..metering.status import status_of
from ..schema.columns import EXTRA
from ..sync.facts import (
    MOST_SWEEPS,
    PastSweep,
    SweepFacts,
    last_verdict,
)
from ..sync.results import Verdict
from ..warehouse.dataset import has_organizations, read_owners
from ..warehouse.sql import (
    PAGES_TABLE,
    REJECTED_TABLE,
    SWEEPS_TABLE,
    as_utc,
    json_object,
    organization_filter,
    read_latest,
    read_rows,
)

if TYPE_CHECKING:
    from ..sync.options import SyncOptions
    from .verify import Finding

_COLUMNS = (
    "sweep_id", "finished_at", "verdict", "reason", "requests", "pages", "announced", "distinct_keys",
    "inserted", "updated", "deleted", "unchanged", EXTRA,
)  # fmt: skip


@dataclass
class Status:
    """What the last syncs did, and what waits for a person.

    Attributes:
        figures: `tables` and `under_way` (see `read_sweeps`), or these by `organizations`.
        ledgers: See `ledgers_unresolved`.
        old: Why data is older than it may be.
        findings: What the check of the data found; None without `--verify`.
        read_copy: `file` and `made_at` of the read copy that was asked, because another program writes to the file.
    """

    figures: dict[str, Any]
    ledgers: list[dict[str, Any]] = field(default_factory=list)
    old: TooOld | None = None
    findings: list[Finding] | None = None
    read_copy: dict[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """65 if data is too old or not consistent, or if something in a ledger waits for a person."""
        waiting = any(one["unresolved"] or one["error"] for one in self.ledgers)
        broken = any(one.broken for one in self.findings or ())
        return EXIT_INCOMPLETE if waiting or broken or self.old else EXIT_COMPLETE

    @property
    def changed(self) -> bool:
        """Whether there is anything to report although nothing is wrong: nothing."""
        return False

    @property
    def named_errors(self) -> list[tuple[str, AutomatumError]]:
        """What is wrong with the data."""
        return [("", self.old)] if self.old else []

    def line(self, brief: bool = False) -> str:
        """The status in one line; if brief, without what a server or the destination said."""
        code = self.exit_code
        broken = [one for one in self.findings or () if one.broken]
        reasons = [f"{one.table}: {one.broken:,} break the rule: {one.rule}" for one in broken]
        if self.read_copy:
            made_at = instant(self.read_copy["made_at"].timestamp())
            reasons.append(f"read from the copy {self.read_copy['file']} of {made_at}")
        for ledger in self.ledgers:
            if ledger["error"] or ledger["unresolved"]:
                reasons.append(ledger["error"] or "the ledger has open items: automatum push status")
        verdict = Verdict.INCOMPLETE if code else Verdict.COMPLETE
        return result_line("status", verdict.value, code, reasons=reasons, errors=self.named_errors, brief=brief)

    def to_json(self) -> dict[str, Any]:
        """The status as one JSON object."""
        figures = {**self.figures, "ledgers": self.ledgers, "old": self.old.message if self.old else None}
        if self.findings is not None:
            figures["findings"] = [asdict(one) for one in self.findings]
        return figures | ({"read_copy": self.read_copy} if self.read_copy else {})


def read_status(
    pipeline: SupportsPipeline,
    clock: Clock,
    *,
    max_age: str | None = None,
    verify: bool = False,
    copy: Path | None = None,
) -> Status:
    """Ask the destination and the ledgers.

    Args:
        pipeline: The pipeline whose destination is asked.
        clock: Time.
        max_age: Age beyond which data is too old; None for the setting `max_age`.
        verify: Check the consistency of the data, too.
        copy: The read copy that the pipeline reads; None for the destination itself.

    Raises:
        ConfigurationError: A setting is wrong, or there is no table to check.
        DestinationError: The destination cannot be reached or read.
    """
    settings = resolve_settings(with_credentials=False)
    most = parse_age(max_age, "--max-age") if max_age else settings.max_age_seconds()
    found = Status(read_sweeps(pipeline, clock.time()), ledgers_unresolved(clock))
    found.old = _find_old(found.figures, settings, settings.tables or (), most, never=True)
    if copy:
        found.read_copy = {"file": str(copy), "made_at": utc(copy.stat().st_mtime)}
    if verify:
        from .verify import check_rules  # With Arrow, which a status without it does not need.

        endpoints = resolve_endpoints(settings, bool(has_organizations(pipeline)))
        found.findings = check_rules(pipeline, endpoints, settings.deletes)
    return found


@contextmanager
def not_overdue(options: SyncOptions) -> Iterator[Callable[[int], None]]:
    """Turn exit code 75 of a sync into 65 once data is too old: a scheduler that takes 75 for success hides no outage.

    The setting `max_age` says what is too old. What cannot be read is not, unless it is a file that nobody wrote to.

        with not_overdue(options) as check_age:
            check_age(run_sync(options).exit_code)

    Args:
        options: Those of the sync. Only its tables and its organizations are checked.

    Yields:
        A function to call with the exit code of the sync.

    Raises:
        TooOld: Data is too old, and the sync has not finished.
    """
    settings = resolve_settings(with_credentials=False)
    most, clock = settings.max_age_seconds(), SystemClock()

    def check_age(exit_code: int) -> None:
        tables = options.tables or settings.tables or ()
        if exit_code != EXIT_MORE_TO_DO or most is None:
            return
        if old := _overdue(options, settings, tables, most, clock):
            raise old

    try:
        yield check_age
    except MoreToDo as error:
        check_age(error.exit_code)
        raise


def _overdue(
    options: SyncOptions, settings: AutomatumSettings, tables: Sequence[str], most: float, clock: Clock
) -> TooOld | None:
    now, target = clock.time(), options.target
    if target.missing:
        return None
    if target.file:
        files = [one for one in (target.file, target.file.with_name(target.file.name + ".wal")) if one.exists()]
        age = now - max(one.stat().st_mtime for one in files)
        if age > most:
            return TooOld([f"{target.database} was last written {format_age(age)} ago"], format_age(most))
    with suppress(AutomatumError):
        figures = read_sweeps(target.existing(clock, Budget(clock), 0.0), now)
        return _find_old(figures, settings, tables, most, never=False, organizations=options.organizations)
    return None


def _find_old(
    figures: Mapping[str, Any],
    settings: AutomatumSettings,
    tables: Sequence[str],
    most: float | None,
    *,
    never: bool,
    organizations: Sequence[str] = (),
) -> TooOld | None:
    """The tables without a complete sweep within a time; with `never`, also those that never had one."""
    if most is None:
        return None
    parts = figures.get("organizations", {"": figures})
    if parts.keys() >= set(organization_names()):  # Otherwise one has a new name, and was not synced by it yet.
        organizations = organizations or organization_names()
    old = ["nothing was synced yet"] if never and not any(part["tables"] for part in parts.values()) else []
    left, read = set[str](), {one.table for one in resolve_endpoints(settings)}
    for name, part in parts.items():
        for table, row in part["tables"].items():
            group, age = "analytics" if table.startswith("analytics_") else table, row["complete_age_seconds"]
            chosen = not tables or table in tables or group in tables
            known = chosen and (not name or not organizations or name in organizations)
            if known and (never if age is None else age > most):
                since = "never" if age is None else f"{format_age(age)} ago"
                old.append(f"{name} {table} ({since})".strip())
                left |= {table} - read
    return TooOld(old, format_age(most), sorted(left)) if old else None


def ledgers_unresolved(clock: Clock) -> list[dict[str, Any]]:
    """The ledgers of the configured organizations; empty if nothing was pushed from here (I5).

    Each row has `organization` (null if only one is configured), `ledger`, `unresolved` (number of lines and
    other items by kind), and `error`: why the ledger cannot be used, or null.

    Args:
        clock: Time.
    """
    rows = []
    for name in organization_names() or (None,):
        row: dict[str, Any] = {"organization": name, "ledger": None, "unresolved": {}, "error": None}
        try:
            settings = resolve_settings(with_credentials=False, organization=name)
            # A setting that names a ledger before the first push is no trouble here: `push status` says so.
            found = status_of(settings, clock, named=False)
            row |= {"ledger": found.ledger, "unresolved": found.unresolved} if found.exists else {}
        except AutomatumError as error:
            row["error"] = f"{error.message} {error.next_step}".strip()
        if row["ledger"] or row["error"]:
            rows.append(row)
    return rows


def read_sweeps(pipeline: SupportsPipeline, now: float) -> dict[str, Any]:
    """The last sweep of each table, its verdict, age and cost; and sweeps that are under way; by organization, if any.

    Args:
        pipeline: The pipeline whose destination is asked.
        now: Epoch seconds.

    Raises:
        DestinationError: The destination cannot be reached or read.
    """
    if not has_organizations(pipeline):
        return _read_sweeps(pipeline, utc(now), None)
    names = {one.owner: one.name for one in reversed(read_owners(pipeline, True))}
    owners = {owner for (owner,) in read_rows(pipeline, SWEEPS_TABLE, (ORGANIZATION,))}
    every = {names.get(owner, owner): _read_sweeps(pipeline, utc(now), owner) for owner in owners}
    return {"organizations": dict(sorted(every.items()))}


def _read_sweeps(pipeline: SupportsPipeline, now: datetime, organization_id: str | None) -> dict[str, Any]:
    own = organization_filter(organization_id)
    rejections = read_rows(pipeline, REJECTED_TABLE, ("table_name", "resolved_at"), own)
    rejected = Counter(table for table, resolved_at in rejections if resolved_at is None)
    tables: dict[str, Any] = {}
    sweeps: dict[str, list[PastSweep]] = {}
    for table in sorted({name for (name,) in read_rows(pipeline, SWEEPS_TABLE, ("table_name",), own)}):
        by = {"table_name": table, **own}
        for row in read_latest(pipeline, SWEEPS_TABLE, _COLUMNS, by, "finished_at", MOST_SWEEPS):
            last = dict(zip(_COLUMNS, row, strict=True))
            finished, facts = as_utc(last.pop("finished_at")), SweepFacts.from_json(json_object(last.pop(EXTRA)))
            age = round((now - finished).total_seconds())
            sweeps.setdefault(table, []).append(PastSweep(last.pop("sweep_id"), finished, last["verdict"], facts))
            if table not in tables:
                last |= {"reason": last["reason"] or "", "finished_at": finished, "age_seconds": age}
                tables[table] = {
                    **last, "complete_at": None, "complete_age_seconds": None, "rejected": rejected[table]
                }  # fmt: skip
            if last["verdict"] == Verdict.COMPLETE and not facts.part and tables[table]["complete_at"] is None:
                tables[table] |= {"complete_at": finished, "complete_age_seconds": age}
    return {"tables": tables, "under_way": _read_under_way(pipeline, sweeps, own)}


def _read_under_way(
    pipeline: SupportsPipeline, sweeps: Mapping[str, Sequence[PastSweep]], own: Mapping[str, Any]
) -> dict[str, Any]:
    """Sweeps whose pages were read after the last verdict of their table."""
    under_way: dict[str, Any] = {}
    for row in read_rows(pipeline, PAGES_TABLE, ("table_name", "page", "total", "read_at", EXTRA), own):
        table, page, total, read_at, extra = row
        over = last_verdict(sweeps.get(table, ()), SweepFacts.from_json(json_object(extra)).part)
        if over is None or as_utc(read_at) >= over:
            so_far = under_way.setdefault(table, {"pages": 0, "announced": total, "last_read_at": as_utc(read_at)})
            so_far["pages"] = max(so_far["pages"], page)
            so_far["last_read_at"] = max(so_far["last_read_at"], as_utc(read_at))
    return under_way
