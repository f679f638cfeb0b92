"""Finds out whether a report answers the range of days that it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from http import HTTPStatus

from ..api.client import ApiClient, ApiResponse
from ..api.page_signs import more_rows
from ..api.paging import announced_number
from ..core.errors import ConfigurationError, RequestError, RequestRefused
from ..endpoints import Endpoint
from ..schema.coerce import convert
from ..schema.records import Record, pick
from .answer_shape import records_in
from .explained import Draft, TableExplanation

_OTHER_WORDS = (("from", "to"), ("start_date", "end_date"), ("start", "end"), ("dateFrom", "dateTo"))
_DAY_FORMATS = ("%Y%m%d", "%Y-%m-%dT00:00:00Z", "%d/%m/%Y", "%m/%d/%Y")
_WINDOWS = (180, 90, 30, 7, 1)
_SHORT = 30


class ReportQuestion:
    """Asks a report for a range, and for a part of it where the answer does not fit the range.

    Args:
        client: Sends the requests.
        draft: The endpoint; takes the proposals.
        found: Takes the facts and the doubts.
        start: First day of the range.
        end: Last day of the range.
    """

    def __init__(self, client: ApiClient, draft: Draft, found: TableExplanation, start: date, end: date) -> None:
        self._client, self._draft, self._found = client, draft, found
        self._start, self._end = start, end

    def ask(self) -> ApiResponse:
        """The answer for the whole range; or for its last month, or with another form of days, if that is refused."""
        try:
            return self._get(self._draft.endpoint, self._start, self._end)
        except RequestRefused as error:
            answer = None if error.status == HTTPStatus.NOT_FOUND else self._ask_otherwise()
            if answer is None:
                raise
            return answer

    def _ask_otherwise(self) -> ApiResponse | None:
        days, endpoint = (self._end - self._start).days + 1, self._draft.endpoint
        last_month = max(self._start, self._end - timedelta(days=_SHORT - 1))
        for format_ in dict.fromkeys((endpoint.date_format, *_DAY_FORMATS)):
            other = self._draft.tried(date_format=format_)
            try:
                answer = self._get(other, last_month, self._end)
            except RequestRefused:
                continue
            if format_ != endpoint.date_format:
                self._draft.propose(date_format=format_)
                with suppress(RequestRefused):
                    return self._get(other, self._start, self._end)
            self._found.facts["largest_range"] = f"less than {days} days"
            self._found.report_window_days = _SHORT
            self._start = last_month
            return answer
        return None

    def explain_range(self, records: Sequence[Record], answer: ApiResponse) -> None:
        """Say whether the records are in the range and cover it, and propose what is needed if not.

        Args:
            records: The records of the range.
            answer: The answer that they are from.
        """
        asked = f"{self._start} to {self._end}"
        days = _days(self._draft.endpoint, records)
        if not days:
            self._found.facts["range"] = {"asked": asked, "given": "no day"}
            return
        self._found.facts["range"] = {"asked": asked, "given": f"{days[0]} to {days[-1]}"}
        total = announced_number(answer, self._draft.endpoint.total)
        more = more_rows(answer.headers, answer.body)
        if more or (total is not None and total > len(records)):
            # A sync follows the pages. What the range lacks here may be on another page.
            self._found.facts["pages"] = (
                f"{len(records)} of {total} rows; {more.at if more else 'no sign of a next page'}"
            )
            return
        if days[0] < self._start or days[-1] > self._end or not self._follows():
            self._find_words()
        else:
            self._find_cut(days)

    def _follows(self) -> bool:
        """Whether a smaller range has rows of this range only."""
        middle = self._start + (self._end - self._start) // 2
        return self._respected(self._draft.endpoint, self._start, middle)

    def _respected(self, endpoint: Endpoint, start: date, end: date) -> bool:
        try:
            answer = self._get(endpoint, start, end)
        except RequestError:
            return False
        days = _days(endpoint, records_in(endpoint, answer.body))
        return not days or (start <= days[0] and days[-1] <= end)

    def _find_words(self) -> None:
        """Try other names of the two parameters."""
        middle = self._start + (self._end - self._start) // 2
        for start, end in _OTHER_WORDS:
            words = {"start": start, "end": end}
            if words == dict(self._draft.endpoint.parameters):
                continue
            if self._respected(self._draft.tried(parameters=words), self._start, middle):
                self._draft.propose(parameters=words)
                self._found.facts["range_parameters"] = [start, end]
                return
        names = " and ".join(self._draft.endpoint.parameters.values())
        self._found.doubts.append(f"The report ignores {names}. Set parameters to the vendor's names of the range.")

    def _find_cut(self, days: Sequence[date]) -> None:
        """Whether rows exist in the part of the range that the answer does not cover."""
        before, after = (days[0] - self._start).days, (self._end - days[-1]).days
        if max(before, after) < _SHORT:
            return
        part = (
            (self._start, days[0] - timedelta(days=1)) if before >= after else (days[-1] + timedelta(days=1), self._end)
        )
        try:
            answer = self._get(self._draft.endpoint, *part)
        except (RequestError, ConfigurationError):
            return
        if not _days(self._draft.endpoint, records_in(self._draft.endpoint, answer.body)):
            return
        span = (days[-1] - days[0]).days + 1
        window = next((one for one in _WINDOWS if one <= span), 1)
        self._found.facts["largest_range"] = f"about {span} days"
        self._found.report_window_days = window

    def _get(self, endpoint: Endpoint, start: date, end: date) -> ApiResponse:
        words = endpoint.parameters
        days = {words[name]: day.strftime(endpoint.date_format) for name, day in (("start", start), ("end", end))}
        return self._client.get(endpoint.path, {**endpoint.params, **days}, endpoint.scope)


def _days(endpoint: Endpoint, records: Sequence[Record]) -> list[date]:
    """The days of the records, in order."""
    column = endpoint.find_column("date")
    if column is None or not records:
        return []
    values = convert(pick(records, column)[0], "date", column.formats)[0].to_pylist()
    return sorted(value for value in values if value is not None)
