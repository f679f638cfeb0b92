"""What one page of a list, or one day of a report, shows of settings that are missing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ..api.pages import Page
from ..endpoints import Endpoint
from ..schema.coerce import convert
from ..schema.coverage import coverage_of
from ..schema.records import pick

_FEW = 5
"""Records that are too few to say anything about columns that are null in each."""


def list_signs(endpoint: Endpoint, page: Page) -> list[str]:
    """What is not as the settings say, one sentence each.

    Args:
        endpoint: Endpoint of a list, with overrides applied.
        page: Its first page.
    """
    return [*_paging_signs(endpoint, page), *_record_signs(endpoint, page)]


def report_signs(endpoint: Endpoint, page: Page, start: date, end: date) -> list[str]:
    """What is not as the settings say, one sentence each.

    Args:
        endpoint: Endpoint of a report, with overrides applied.
        page: The report.
        start: First day that was asked for.
        end: Last day.
    """
    signs = list(_record_signs(endpoint, page))
    column = endpoint.find_column("date")
    if column is not None and page.records:
        days = convert(pick(page.records, column)[0], "date", column.formats)[0].to_pylist()
        outside = sum(day is not None and not start <= day <= end for day in days)
        if outside:
            words = " and ".join(endpoint.parameters[name] for name in ("start", "end"))
            signs.append(f"{outside} of {len(days)} rows are outside of the range that {words} ask for.")
    return signs


def _paging_signs(endpoint: Endpoint, page: Page) -> Iterator[str]:
    given, asked = len(page.records), endpoint.paging.size
    if page.total is None and page.total_at:
        yield f"No total is at {endpoint.total}; it seems to be at {page.total_at} (key total)."
    elif page.total is None and endpoint.exact_total and endpoint.paging.kind != "single_page":
        yield f"No total is at {endpoint.total}: two equal readings have to prove the list (keys total, exact_total)."
    elif page.total is not None and endpoint.exact_total and page.total < given:
        yield f"A total of {page.total} is announced, and the page has {given} rows (keys total, exact_total)."
    if given > asked:
        yield f"{asked} rows were asked for, and {given} came (keys parameters, paginator)."
    elif page.total is not None and given < min(asked, page.total):
        yield f"{asked} rows were asked for, and {given} of {page.total} came (keys page_size, parameters, paginator)."
    if page.sign is not None and page.sign.kind and endpoint.paging.any_page:
        yield f"{page.sign.at} leads to the next page (key paginator), unless page numbers do as well."


def _record_signs(endpoint: Endpoint, page: Page) -> Iterator[str]:
    records = page.records
    if not records:
        return
    coverage = coverage_of(endpoint, records)
    columns = {one.name: one for one in endpoint.columns}
    unkeyed = [name for name in endpoint.key if name in coverage.null_columns]
    if endpoint.kind == "list" and len(endpoint.key) == 1 and unkeyed:
        yield f"None of the {len(records)} records has the key {unkeyed[0]} (keys columns, key)."
    elif endpoint.kind == "report" and "date" in unkeyed:
        yield f"None of the {len(records)} records has a date (key columns)."
    unread = [name for name, count in coverage.misfits.items() if columns[name].type in ("date", "timestamp") and count]
    if unread:
        yield f"Times in {', '.join(unread)} are in another format (key timestamps)."
    if len(records) < _FEW:
        return
    missing = [name for name in coverage.null_columns if columns[name].documented and name not in unkeyed]
    if missing:
        yield f"Null in every record: {', '.join(missing)}, which the vendor documents (keys columns, naming)."
    elif len(coverage.null_columns) > len(columns) * 3 // 4:
        yield f"{len(coverage.null_columns)} of {len(columns)} columns are null in every record (keys columns, naming)."
