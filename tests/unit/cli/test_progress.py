"""Progress bars keep bar and count on terminals of every width."""

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from automatum.cli.progress import Progress
from automatum.endpoints import CUSTOMERS
from tests.support.clocks import FakeClock


class Limiter:
    """Knows that each request takes a second."""

    on_wait = None

    def wait_for(self, requests, seconds_per_request):
        return requests * seconds_per_request


def session(organization=None):
    client = SimpleNamespace(limiter=Limiter(), seconds_per_request=1.0)
    settings = SimpleNamespace(organization=organization)
    return SimpleNamespace(client=client, clock=FakeClock(), settings=settings)


def run(api, table, pages=0, announced=None):
    result = SimpleNamespace(pages=pages, announced=announced)
    return SimpleNamespace(session=api, endpoint=replace(CUSTOMERS, table=table), result=result)


def shown(progress, width):
    """The lines of the bars, as a terminal of this width shows them."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(progress._bars.get_renderable())
    return console.file.getvalue().rstrip("\n").splitlines()


def terminal(width):
    return Console(file=io.StringIO(), width=width, force_terminal=True)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_bar_and_count_are_there_at_every_width(width):
    api = session()
    progress = Progress(console=terminal(width))
    progress.on_page(run(api, "analytics_revenue", 1, 100))
    progress.on_page(run(api, "entitlements", 50, 12_345))
    lines = shown(progress, width)
    assert len(lines) == 2 and all(len(line) <= width for line in lines), lines
    assert all("━" in line for line in lines), lines
    for line, count in zip(lines, ("1/1", "50/124"), strict=True):
        assert f" {count} " in line, lines
    assert "1:14" in lines[1], lines


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_wait_shows_its_end_at_every_width(width):
    api = session()
    only = run(api, "customers", 3, 500)
    progress = Progress(console=terminal(width))
    progress.on_page(only)
    api.client.limiter.on_wait(3600, "application: 1000 requests per hour")
    (line,) = shown(progress, width)
    assert "3/5" in line and "until 23:13" in line and len(line) <= width, line


def test_another_organization_replaces_the_bars():
    one, other = session("acme"), session("globex")
    progress = Progress(console=terminal(80))
    for table in ("customers", "entitlements"):
        progress.on_page(run(one, table, 1, 100))
    progress.on_page(run(other, "customers", 1, 200))
    (line,) = shown(progress, 80)
    assert line.startswith("customers") and " 1/2 " in line


@pytest.mark.parametrize("console", [Console(file=io.StringIO()), terminal(80)], ids=["file", "quiet"])
def test_without_a_terminal_and_with_quiet_nothing_is_shown(console):
    api = session()
    with Progress(quiet=console.is_terminal, console=console) as progress:
        progress.on_page(run(api, "customers", 1, 100))
    assert console.file.getvalue() == ""
