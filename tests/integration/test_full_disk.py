"""A full disk ends a run with exit 69, wherever it shows and whatever is used up: DAGs and timers run it again."""

from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import text

from automatum.core.clock import SystemClock
from automatum.core.errors import DiskFull
from automatum.metering.ledger.database import LedgerDatabase
from tests.support.faults.machine import fill, small_disk
from tests.support.pushing import taken_by, use, write_csv

pytestmark = pytest.mark.slow
PUSH = ("push", "--usage", "usage.csv", "--confirm", "--unchecked", "--new-ledger", "--json")


class Disk(NamedTuple):
    """A small disk, and what of it is used up."""

    folder: Path
    what: str

    def fill(self):
        return fill(self.folder, self.what)

    def __truediv__(self, name):
        return self.folder / name


@pytest.fixture(params=["bytes", "names"])
def disk(desk, small, request):
    """A disk, and the ways to use it up: no room for content, or none for a further file."""
    folder = desk.folder / "disk"
    folder.mkdir()
    with small_disk(folder, "size=4m,nr_inodes=60"):
        yield Disk(folder, request.param)


@pytest.fixture
def usage(desk, small):
    """A file of one line, and one of none."""
    one = next(one for one in small.metering.billable() if one.prices)
    moment = datetime.now(timezone.utc) - timedelta(hours=2)
    rows = [use(one, next(iter(one.prices)), moment, "1.5")]
    write_csv(rows, desk.folder / "usage.csv")
    (desk.folder / "none.csv").write_text(",".join(rows[0]) + "\n")


def ends(desk, disk, *command):
    """The command fails, and ends well once there is space again."""
    free = disk.fill()
    ran = desk.run(*command)
    assert ran.code == 69, ran
    assert "space" in str(ran.json["errors"][0]["next_step"]), ran
    free()
    assert desk.run(*command).code == 0


@pytest.mark.parametrize("place", ["the database", "the working folder", "a copy"])
def test_in_a_sync(desk, disk, monkeypatch, place):
    command = ["sync", "customers", "--json"]
    if place == "the database":
        command += ["--database", disk / "a.duckdb"]
    elif place == "a copy":
        command += ["--read-copy", disk / "copy.duckdb"]
    else:
        monkeypatch.setenv("DLT_DATA_DIR", str(disk / "dlt"))
    ends(desk, disk, *command)


def test_the_file_that_counts_requests_needs_no_space(desk, disk):
    desk.set(quota_url=f"sqlite:///{disk / 'quota.sqlite'}")
    disk.fill()
    ran = desk.run("sync", "customers", "--json")
    assert (ran.code, "cannot be used" in ran.says) == (0, True)


@pytest.mark.parametrize("begun", [False, True])
def test_in_a_push(desk, disk, usage, small, begun):
    desk.set(ledger_url=f"sqlite:///{disk / 'ledger.sqlite'}")
    if begun:
        assert desk.run(*(one.replace("usage.csv", "none.csv") for one in PUSH)).code == 0
    ends(desk, disk, *PUSH)
    assert len(taken_by(small)) == 1


def test_between_two_steps_of_a_push(desk, disk, usage, small):
    """SQLite then cannot write its journal, or cannot create it, and does not say why."""
    desk.set(ledger_url=f"sqlite:///{disk / 'ledger.sqlite'}")
    assert desk.run(*PUSH).code == 0
    with closing(LedgerDatabase(f"sqlite:///{disk / 'ledger.sqlite'}", SystemClock())) as ledger:
        free = disk.fill()
        with pytest.raises(DiskFull, match="Do not start a new ledger"), ledger.write() as connection:
            connection.execute(text("CREATE TABLE more AS SELECT randomblob(100000) AS content"))
        free()
        with ledger.write() as connection:
            connection.execute(text("CREATE TABLE more AS SELECT 1 AS content"))


def test_in_a_report(desk, disk):
    assert desk.run("sync").code == 0
    assert desk.run("models", "create").code == 0
    ends(desk, disk, "report", "--out", disk / "report.html", "--json")
