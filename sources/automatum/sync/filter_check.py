"""Whether a filter that leaves no row can be believed.

An API may compare the values of a filter with regard to case, or not know the filter and answer nothing. So a filtered
list without a row is proven by a value that rows have: if the filter finds those, there is none of the other kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..api.pages import Page
from ..schema.arrow_tables import Table
from ..schema.records import Record, pick

_MOST_VALUES = 5


class FilterCheck:
    """Watches the rows of a filtered list.

    Args:
        table: The table of the list.
        filters: Column to the value that rows must have.
        wanted: Tells whether a record is selected; None if all are.
        read: Reads the first page of the list with other filters.
        kept: A row that is selected was read by an earlier run.

    Attributes:
        why_not: Why the list is not proven; None if that is not known yet, empty if it is proven.
    """

    def __init__(
        self,
        table: Table,
        filters: Mapping[str, str],
        wanted: Callable[[Record], bool] | None,
        read: Callable[[Mapping[str, str]], Page],
        kept: bool = False,
    ) -> None:
        self.why_not: str | None = None if filters and wanted else ""
        self._columns = {name: table.column(name) for name in filters}
        self._filters, self._wanted, self._read = dict(filters), wanted, read
        self._kept, self._listed = kept, 0
        self._values: dict[str, dict[str, None]] = {name: {} for name in filters}

    def is_wanted(self, record: Record) -> bool:
        """Whether a record of the list is selected."""
        found = self._wanted is None or self._wanted(record)
        self._kept = self._kept or found
        self._note(record)
        return found

    def prove(self) -> None:
        """Find out whether the list is proven, after it was read completely.

        Raises:
            RequestError: See `ApiClient.get`; it can be called again.
            MoreToDo: The same.
        """
        if self._kept or self.why_not is not None:
            self.why_not = self.why_not or ""
        elif self._listed:
            self.why_not = f"{self._words()} keeps none of the {self._listed} rows that the API lists: {self._seen()}"
        else:
            self.why_not = self._why_none()

    def _why_none(self) -> str:
        records = self._read({}).records
        for record in records:
            self._note(record)
        if any(map(self._has_filters, records)):
            return f"the API answers no row to {self._words()}, and has such rows without it: {self._seen()}"
        sample = next((values for record in records if (values := self._of(record))), None)
        if sample is None:
            return ""  # There is no row at all, or none that says what it is.
        if not self._read(sample).records:
            return f"the API answers no row to {self._words()}, nor to {self._words(sample)}, which rows have"
        spelled = {name: _spelled_like(value, sample.get(name, "")) for name, value in self._filters.items()}
        if spelled != self._filters and self._read(spelled).records:
            return f"the API answers no row to {self._words()}, and rows to {self._words(spelled)}; set it so"
        return ""

    def _has_filters(self, record: Record) -> bool:
        values = self._of(record)
        return all(values.get(name, "").casefold() == value.casefold() for name, value in self._filters.items())

    def _of(self, record: Record) -> dict[str, str]:
        """The values of a record in the columns of the filters."""
        found = {name: pick([record], column)[0][0] for name, column in self._columns.items()}
        return {name: value for name, value in found.items() if isinstance(value, str) and value}

    def _note(self, record: Record) -> None:
        self._listed += 1
        for name, value in self._of(record).items():
            if len(self._values[name]) <= _MOST_VALUES:
                self._values[name][value] = None

    def _words(self, filters: Mapping[str, str] | None = None) -> str:
        """Filters in words."""
        given = self._filters if filters is None else filters
        return "the filter " + " and ".join(f'{name} = "{value}"' for name, value in given.items())

    def _seen(self) -> str:
        """The values that rows have, in words."""
        return ", ".join(f"{name} is {_some(list(values))}" for name, values in self._values.items())


def _some(values: Sequence[str]) -> str:
    shown = [f'"{value}"' for value in values[:_MOST_VALUES]]
    return ", ".join([*shown, *(["..."] if len(values) > _MOST_VALUES else [])]) or "missing"


def _spelled_like(value: str, sample: str) -> str:
    """The value in the case of another one."""
    if sample.isupper():
        return value.upper()
    return value.lower() if sample.islower() or not sample else value.capitalize()
