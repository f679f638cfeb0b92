"""`automatum check --explain`: reads a page of each table, says what it has, and proposes the settings that it needs.

Nothing is applied and nothing is stored. A table takes two or three requests, or up to ten where the answers are not as
assumed. What is shown of records are names, types and counts, and the values of `status` and `vendor`.
"""

from __future__ import annotations

from datetime import date, timedelta
from http import HTTPStatus
from urllib.parse import quote

from ..api.client import ApiResponse
from ..api.paging import page_parameters
from ..api.session import ApiSession
from ..config.settings import DEFAULT_DAYS, AutomatumSettings
from ..core.clock import utc
from ..core.errors import (
    AccessError,
    AutomatumError,
    ConfigurationError,
    MoreToDo,
    NotThere,
    RequestError,
    RequestRefused,
    UnknownCode,
)
from ..endpoints import NO_DETAIL, Endpoint
from ..schema.records import Record, dig, pick
from ..sync.selection import select_rows
from .answer_shape import find_lists, find_object, objects_at, safe_name, shape_of
from .explain_fields import explain_fields
from .explain_paging import PagingQuestion
from .explain_report import ReportQuestion
from .explained import Draft, Explanation, TableExplanation


def explain(session: ApiSession) -> Explanation:
    """Read a page of each granted table, and say what it needs.

    Raises:
        AccessError: The credentials are refused.
        ApiUnreachable: The token endpoint gives no answer.
    """
    chosen = session.select(tuple(session.settings.tables or ()))
    missing = session.missing_scopes(chosen)
    explanation = Explanation()
    for endpoint in chosen:
        if endpoint.group in missing:
            explanation.skipped[endpoint.table] = endpoint.scope
            continue
        explanation.tables.append(_TableQuestion(session, endpoint).answer())
        if isinstance(explanation.tables[-1].error, MoreToDo):
            break
    propose_for_all(session.settings, explanation)
    explanation.requests, explanation.token_requests = session.budget.requests, session.budget.token_requests
    return explanation


class _TableQuestion:
    """Reads one table and explains it."""

    def __init__(self, session: ApiSession, endpoint: Endpoint) -> None:
        self._session, self._client = session, session.client
        self._draft = Draft(session.settings, endpoint)
        self._found = TableExplanation(endpoint.table)

    def answer(self) -> TableExplanation:
        found, before = self._found, self._session.budget.requests
        try:
            self._explain_list() if self._draft.endpoint.kind == "list" else self._explain_report()
        except AutomatumError as error:
            found.error = error
        found.requests = self._session.budget.requests - before
        found.proposed = list(self._draft.proposal)
        found.settings = self._draft.complete() if self._draft.proposal else {}
        return found

    def _explain_list(self) -> None:
        endpoint = self._draft.endpoint
        answer = self._client.get(endpoint.path, {**endpoint.params, **page_parameters(endpoint, 1)}, endpoint.scope)
        records = self._find_records(answer)
        paging = PagingQuestion(self._client, self._draft, self._found, answer)
        paging.answer()
        if records:
            explain_fields(self._draft, self._found, paging.records)
            self._explain_filters()
            self._explain_own_url(records[0])

    def _explain_report(self) -> None:
        today = utc(self._session.clock.time()).date()
        settings = self._session.settings
        first = date.fromisoformat(settings.since) if settings.since else today - timedelta(days=DEFAULT_DAYS)
        if settings.report_window_days:
            first = max(first, today - timedelta(days=settings.report_window_days - 1))
        question = ReportQuestion(self._client, self._draft, self._found, min(first, today), today)
        answer = question.ask()
        records = self._find_records(answer)
        if records:
            explain_fields(self._draft, self._found, records)
        question.explain_range(records, answer)

    def _find_records(self, answer: ApiResponse) -> list[Record]:
        """The records, where the settings say or where they seem to be."""
        endpoint, facts = self._draft.endpoint, self._found.facts
        if answer.status == HTTPStatus.NO_CONTENT:
            facts["records"] = "none: the answer is empty (204)"
            return []
        for path in endpoint.records:
            if isinstance(dig(answer.body, path), list):
                facts["records"] = path
                return objects_at(answer.body, path)
        lists = find_lists(answer.body)
        facts["answer"] = shape_of(answer.body)
        if not lists:
            wanted = " or ".join(endpoint.records)
            raise ConfigurationError(
                f"sources.automatum.endpoints.{endpoint.table}.records",
                f"GET {endpoint.path} has no list at {wanted}, and no other list of objects. Its answer is "
                f"{shape_of(answer.body)}.",
                "If the records are in a list, set it to its dotted path. A list of other shapes cannot be read.",
            )
        facts["records"] = lists[0]
        self._draft.propose(records=lists[0])
        if len(lists) > 1:
            others = ", ".join(map(safe_name, lists[1:4]))
            self._found.doubts.append(f"The answer has other lists, too: {others}. The longest is proposed.")
        return objects_at(answer.body, lists[0])

    def _explain_filters(self) -> None:
        """Ask with the filters of the settings, and propose to leave out those that the API refuses."""
        endpoint, values = self._draft.endpoint, select_rows(self._session.settings).filters
        refused = []
        for name, parameter in endpoint.filters.items():
            if name not in values:
                continue
            query = {**endpoint.params, **page_parameters(endpoint, 1), parameter: values[name]}
            try:
                self._client.get(endpoint.path, query, endpoint.scope)
            except RequestRefused:
                refused.append(name)
        if refused:
            self._found.facts["refused_filters"] = refused
            self._draft.propose(filters={name: at for name, at in endpoint.filters.items() if name not in refused})

    def _explain_own_url(self, record: Record) -> None:
        """Ask for the first record at its own URL."""
        endpoint = self._draft.endpoint
        name = endpoint.own_column
        column = endpoint.find_column(name)
        if column is None:
            self._found.facts["own_url"] = "none, as configured"
            return
        own_id = pick([record], column)[0][0]
        if own_id is None:
            return
        path = endpoint.own_path.replace(f"{{{name}}}", quote(str(own_id), safe=""))
        shown = endpoint.own_path
        try:
            answer = self._client.get(path, scope=endpoint.scope)
        except NotThere:
            self._found.facts["own_url"] = f"{shown} answers 404 for a row that is listed"
            self._draft.propose(detail_path=NO_DETAIL)
            return
        except (RequestError, AccessError, ConfigurationError) as error:
            self._found.facts["own_url"] = f"{shown} is refused"
            self._found.doubts.append(
                f"A row's own URL is refused: {type(error).__name__}. Set detail_path if it is wrong."
            )
            return
        place = column.places[0].path
        at = find_object(answer.body, own_id, place)
        self._found.facts["own_url"] = {"path": shown, "record": at or "not found"}
        if at == endpoint.detail:
            return
        if at:
            self._draft.propose(detail=at)
        else:
            self._found.doubts.append(f"{shown} has no object with the row: {shape_of(answer.body)}.")
            self._draft.propose(detail_path=NO_DETAIL)


def propose_for_all(settings: AutomatumSettings, explanation: Explanation) -> None:
    """Propose once for the whole API what its tables need: codes, a range of days, the naming, the case of filters.

    Args:
        settings: Resolved settings.
        explanation: What was found of all tables; takes the proposals.
    """
    codes = [one.error.code for one in explanation.tables if isinstance(one.error, UnknownCode)]
    if codes:
        explanation.settings["success_codes"] = list(dict.fromkeys([*(settings.success_codes or ()), *codes]))
    windows = [one.report_window_days for one in explanation.tables if one.report_window_days]
    if windows:
        explanation.settings["report_window_days"] = min(windows)
    _propose_naming(explanation)
    _propose_filters(settings, explanation)


def _propose_naming(explanation: Explanation) -> None:
    """Propose the naming once, if all tables with records have it."""
    with_records = [one for one in explanation.tables if "names" in one.facts]
    if len(with_records) > 1 and all("naming" in one.proposed for one in with_records):
        explanation.settings["naming"] = "snake_case"
        for one in with_records:
            del one.settings["naming"]
            one.proposed.remove("naming")


def _propose_filters(settings: AutomatumSettings, explanation: Explanation) -> None:
    """Propose the case of `vendor` and `status` that the rows have, if it is another than that of the settings."""
    for name, wanted in select_rows(settings).filters.items():
        found = [one.facts.get(f"values_of_{name}") for one in explanation.tables]
        values = {value for each in found if isinstance(each, dict) for value in each}
        alike = sorted(value for value in values if value.lower() == wanted.lower())
        if len(alike) == 1 and wanted not in values:
            explanation.settings[name] = alike[0]
