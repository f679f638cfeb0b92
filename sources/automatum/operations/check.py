"""Check credentials, scopes and limits with at most one request for each table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Literal

from ..api.pages import Page, read_page, read_report
from ..api.session import ApiSession
from ..config.settings import AutomatumSettings
from ..core.clock import utc
from ..core.errors import EXIT_ACCESS, EXIT_COMPLETE, AutomatumError, MoreToDo, ScopeMissing, worst_exit_code
from ..endpoints import METERING_SCOPE, Endpoint
from ..metering.ledger.location import default_ledger_url, missing_file
from ..schema.records import dig

State = Literal["ok", "no scope", "failed"]
_FEW = 5
"""Records that are too few to say anything about columns that are null in each."""
_SHOWN = 10


@dataclass
class TableCheck:
    """The result for one table. The field names are the keys of its JSON.

    Attributes:
        scope: Scope that it needs.
        state: `ok`, `no scope` or `failed`.
        announced: Rows that the list announced; None for reports.
        signs: What the answer has otherwise than expected, although it could be read, and the setting that it is about.
        problem: What went wrong.
        next_step: What to do.
    """

    scope: str
    state: State = "ok"
    announced: int | None = None
    signs: list[str] = field(default_factory=list)
    problem: str = ""
    next_step: str = ""


@dataclass
class CheckReport:
    """What a check found. The field names are the keys of its JSON, which has `ok`, too.

    Attributes:
        granted_scopes: Scopes of the token; None if the token does not say.
        can_push: Whether usage may be pushed.
        excess_scopes: Scopes of the token that this configuration does not use.
        tables: The result for each table.
        windows: The quota's windows after the check; of a pool, those of the first application and the organization.
        applications: Of a pool, client id to what is wrong with the application; empty if it can be used.
        errors: All errors. Missing scopes of named tables are one error.
        requests: API requests that the check sent.
        token_requests: Requests for a token.
    """

    granted_scopes: list[str] | None
    can_push: bool
    excess_scopes: list[str]
    tables: dict[str, TableCheck] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    applications: dict[str, str] = field(default_factory=dict)
    errors: list[AutomatumError] = field(default_factory=list)
    requests: int = 0
    token_requests: int = 0

    @property
    def exit_code(self) -> int:
        """0 if every granted table answers and nothing that was asked for is missing."""
        if self.errors:
            return worst_exit_code(error.exit_code for error in self.errors)
        return EXIT_COMPLETE if self.tables else EXIT_ACCESS

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        errors = [error.to_json() for error in self.errors]
        tables = {name: asdict(one) for name, one in self.tables.items()}
        return {"ok": self.exit_code == EXIT_COMPLETE, **vars(self), "tables": tables, "errors": errors}


def check(session: ApiSession) -> CheckReport:
    """Take a token, compare its scopes with what each table needs, and read the first page of each granted table.

    Raises:
        AccessError: The credentials are refused.
        ApiUnreachable: The token endpoint gives no answer.
    """
    chosen = session.select()
    missing = session.missing_scopes(chosen)
    granted = session.client.scopes()
    report = CheckReport(
        None if granted is None else sorted(granted),
        granted is None or METERING_SCOPE in granted,
        _excess_scopes(granted, chosen, session.settings),
    )
    nothing = len(missing) == len({one.group for one in chosen})
    if missing and (session.settings.tables or nothing):
        report.errors.append(ScopeMissing(missing, granted or frozenset()))
    for endpoint in chosen:
        result = report.tables[endpoint.table] = TableCheck(endpoint.scope)
        error: AutomatumError | None = None
        if endpoint.group in missing:
            result.state = "no scope"
            error = ScopeMissing({endpoint.table: endpoint.scope}, granted or frozenset())
        elif error := _check_table(session, endpoint, result):
            result.state = "failed"
            report.errors.append(error)
        if error:
            result.problem, result.next_step = error.message, error.next_step
    if pool := session.client.pool:
        found = pool.check()
        report.applications = {name: error.message if error else "" for name, error in found.items()}
        report.errors += [error for error in found.values() if error]
    report.windows = session.client.limiter.window_usage()
    report.requests, report.token_requests = session.budget.requests, session.budget.token_requests
    return report


def _excess_scopes(
    granted: frozenset[str] | None, endpoints: Iterable[Endpoint], settings: AutomatumSettings
) -> list[str]:
    """The scopes that nothing here uses (`api/authentication`: request only the scopes that you need), sorted."""
    used = {one.scope for one in endpoints}
    # In use, too, if a ledger is configured, or exists where a push would begin one.
    if settings.ledger_url or missing_file(default_ledger_url(settings)) is None:
        used.add(METERING_SCOPE)
    return sorted((granted or frozenset()) - used)


def _check_table(session: ApiSession, endpoint: Endpoint, result: TableCheck) -> AutomatumError | None:
    """Read the first page; returns the error if that fails."""
    today = utc(session.clock.time()).date()
    try:
        if endpoint.kind == "list":
            page = read_page(session.client, endpoint, 1)
            result.announced, result.signs = page.total, [*_paging_signs(endpoint, page), *_signs(endpoint, page)]
        else:
            page = read_report(session.client, endpoint, today - timedelta(days=1), today)
            result.signs = list(_signs(endpoint, page))
    except MoreToDo:
        raise
    except AutomatumError as error:
        return error
    return None


def _paging_signs(endpoint: Endpoint, page: Page) -> Iterator[str]:
    came, asked = len(page.records), endpoint.paging.size
    if came > asked:
        yield f"{asked} rows were asked for, and {came} came (keys parameters, paginator)."
    elif page.total is not None and came < min(asked, page.total):
        yield f"{asked} rows were asked for, and {came} of {page.total} came (keys page_size, parameters, paginator)."


def _signs(endpoint: Endpoint, page: Page) -> Iterator[str]:
    """Columns that are null in every record although they should not be, and fields that no column takes."""
    records = page.records
    null = [
        one.name
        for one in endpoint.columns
        if all(dig(record, place.path) is None for record in records for place in one.places)
    ]
    missing = [one.name for one in endpoint.columns if one.documented and one.name in null]
    if records and endpoint.key and endpoint.key[0] in null:
        yield f"None of the {len(records)} records has the key {endpoint.key[0]} (keys columns, key)."
    elif missing and len(records) >= _FEW:
        yield f"Null in every record: {', '.join(missing)}, which the vendor documents (key columns)."
    places = [place.path for column in endpoint.columns for place in column.places]
    places += [place for child in endpoint.children for place in child.places] + list(endpoint.only_in_detail)
    unknown = sorted({name for record in records for name in record} - {place.partition(".")[0] for place in places})
    if unknown:
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        yield f"Without a column, in extra: {', '.join(unknown[:_SHOWN])}{more} (key columns)."
