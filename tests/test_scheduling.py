"""cron, systemd, `--quiet`: the example's lines run as cron runs them; a mail comes exactly when it is worth one."""

import os
import re
import sys
from pathlib import Path

import pytest

from .conftest import WIDE_LIMITS
from .crontab import due, read_crontab
from .pushing import rows_of

ROOT = Path(__file__).parent.parent
PIPELINES = ROOT / "pipelines"
UNITS = PIPELINES / "systemd"
STAMPED = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ automatum "
"""A line of result in a file: with its time before it."""


# --quiet


def test_quiet_says_nothing_when_nothing_is_new(small, desk):
    """Complete and unchanged: no byte on either stream. Changed: one line on stdout."""
    first, second = desk.run("sync", "--quiet"), desk.run("sync", "--quiet")
    assert (first.code, first.err) == (0, "")
    assert re.fullmatch(
        STAMPED + r"sync: complete; customers \+12, entitlements \+20, private_offers \+9, analytics \+\d+; "
        r"4 requests, \d+\.\d s\n",
        first.out,
    )
    assert (second.code, second.out, second.err) == (0, "", "")


def test_quiet_counts_what_has_changed(small, desk):
    small.delete("customers", small.ids("customers")[0])
    assert desk.run("sync").code == 0
    ids = small.ids("customers")
    small.change("customers", ids[0], {"status": "inactive"})
    small.insert("customers", count=3)
    small.delete("customers", ids[1])
    made = desk.run("sync", "--quiet")
    assert made.code == 0
    assert "sync: complete; customers +3 ~1 -1; 5 requests, " in made.out


@pytest.mark.parametrize("trouble", ["credentials", "one table", "budget", "configuration", "database"])
def test_quiet_trouble_is_one_line_on_stderr(small, desk, trouble):
    """With its exit code and the next step; nothing on stdout, where a log file may be."""
    arguments, code = ["sync", "--quiet"], 77
    if trouble == "credentials":
        desk.set(client_secret="another_secret")
    elif trouble == "one table":
        small.fault("status", "/api/v1/entitlements", status=400, message="no\nway", count=None)
        code = 69
    elif trouble == "budget":
        arguments, code = [*arguments, "--max-requests", "1"], 75
    elif trouble == "configuration":
        desk.set(deletes="perhaps")
        code = 78
    elif trouble == "database":
        arguments, code = [*arguments, "--database", "no/such/folder/file.duckdb"], 78
    made = desk.run(*arguments)
    assert (made.code, made.out) == (code, "")
    (line,) = made.err.splitlines()
    assert re.match(STAMPED + rf"sync: (incomplete|more to do) \(exit {code}\); ", line)
    assert "next: " in line or "run again" in line


def test_quiet_json_is_still_json(small, desk):
    """On stdout, changed or not; trouble is told on stderr besides."""
    assert desk.run("sync", "--quiet", "--json").json["verdict"] == "complete"
    again = desk.run("sync", "--quiet", "--json")
    assert (again.json["verdict"], again.err) == ("complete", "")
    desk.set(client_secret="another_secret")
    refused = desk.run("sync", "--quiet", "--json")
    assert (refused.json["errors"][0]["exit_code"], len(refused.err.splitlines())) == (77, 1)


def test_quiet_leaves_debug_as_it_is(small, desk):
    assert "GET /api/v1/customers" in desk.run("sync", "--quiet", "--debug").err


def test_quiet_keeps_waits_to_itself(start, desk):
    """A wait for the quota is no news: it is logged without --quiet, and not with it."""
    served = start(customers=250, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    desk.set(application_limits=[[2, 1.2]], quota_url="memory://")
    loud = desk.run("sync", "customers")
    quiet = desk.run("sync", "customers", "--quiet")
    assert (loud.code, quiet.code, quiet.err) == (0, 0, "")
    assert "waiting" in loud.err


def test_a_quiet_push_tells_what_it_has_sent(small, desk):
    """Nothing new to send: nothing said."""
    from .pushing import write_csv

    usage = write_csv(rows_of(small, back=(1,), most=2))
    arguments = ("push", "--usage", usage, "--quiet", "--unchecked")
    dry = desk.run(*arguments)
    assert re.fullmatch(STAMPED + r"push: dry run; would send 2; 0 requests\n", dry.out)
    sent, again = desk.run(*arguments, "--confirm"), desk.run(*arguments, "--confirm")
    assert re.fullmatch(STAMPED + r"push: complete; accepted 2; \d requests\n", sent.out)
    assert (again.code, again.out, again.err) == (0, "", "")


# The crontab


@pytest.fixture
def cron(tmp_path, desk, small):
    """The example, for this machine's folders: the environment file beside it, for the sandbox."""
    work = tmp_path / "var"
    work.mkdir()
    table = read_crontab()
    table.settings["PATH"] = f"{Path(sys.executable).parent}:{table.settings['PATH']}"
    table.settings["WORK"] = str(work)
    values = {
        "AUTOMATUM_CLIENT_ID": small.client_id,
        "AUTOMATUM_CLIENT_SECRET": small.client_secret,
        "SOURCES__AUTOMATUM__BASE_URL": os.environ["SOURCES__AUTOMATUM__BASE_URL"],
        "SOURCES__AUTOMATUM__APPLICATION_LIMITS": f"'{WIDE_LIMITS}'",
        "SOURCES__AUTOMATUM__ORGANIZATION_LIMITS": f"'{WIDE_LIMITS}'",
    }
    example = (PIPELINES / "automatum.env.example").read_text()
    kept = [line for line in example.splitlines() if line.partition("=")[0] not in values]
    env = work / "automatum.env"
    env.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items())]))
    env.chmod(0o600)
    table.work = work
    return table


def job(table, command):
    """The one line of the crontab with this command."""
    (found,) = [one for one in table.jobs if command in one.command]
    return found


def run_job(table, command):
    """Run a line to its end: exit code and what cron would mail."""
    home = table.work.parent / "home"
    process = table.start(job(table, command), home)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_the_lines_of_the_example_run_as_cron_runs_them(cron, small, desk):
    """By /bin/sh, with cron's bare environment: result in the log, nothing to mail, every row in the database."""
    assert len(cron.jobs) == 3
    assert run_job(cron, "automatum sync") == (0, "")
    log = (cron.work / "sync.log").read_text()
    assert re.fullmatch(STAMPED + r"sync: complete; customers \+12, .*\n", log)
    desk.database = cron.work / "marketplace.duckdb"
    assert desk.counts()["customers"] == 12

    fill_usage(desk.database, rows_of(small, back=(1,), most=3))
    assert run_job(cron, "automatum push") == (0, "")
    assert re.fullmatch(STAMPED + r"push: complete; accepted 3; .*\n", (cron.work / "push.log").read_text())
    assert len(small.accepted_metering) > 0

    assert run_job(cron, "automatum verify") == (0, "")
    written = {path.name for path in cron.work.iterdir()}
    assert written >= {"automatum.env", "marketplace.duckdb", "sync.log", "push.log", "verify.log"}


def test_trouble_is_what_cron_mails(cron, small):
    """One line, the log is left alone."""
    small.fault("status", "/api/v1/customers", status=400, message="no way", count=None)
    code, mail = run_job(cron, "automatum sync")
    assert code == 69
    (line,) = mail.splitlines()
    assert "GET /api/v1/customers answered 400: no way" in line
    assert small.client_secret not in mail


def test_a_database_out_of_order_is_what_cron_mails(cron, small):
    code, mail = run_job(cron, "automatum verify")
    assert code == 0  # that of `cat`: cron looks at the output, not at the code
    assert "there is no file marketplace.duckdb" in " ".join(mail.split())


def test_the_crontab_is_in_order():
    """Five fields that name moments, an address, a folder; credentials nowhere; the push after the sync."""
    table = read_crontab()
    assert {"SHELL", "PATH", "WORK", "MAILTO"} == set(table.settings)
    minutes = {}
    for one in table.jobs:
        fields = one.when.split()
        for value, bounds in zip(fields, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)], strict=True):
            assert due(value, *bounds)
        minutes[one.command.partition("automatum ")[2].split()[0]] = due(fields[0], 0, 59)
    assert max(minutes.get("sync", {0})) < min(minutes.get("push", {60}))
    assert not re.search(r"AUTOMATUM_CLIENT|secret", (PIPELINES / "crontab.example").read_text())


def fill_usage(database, rows):
    """The view that the example reads."""
    import duckdb

    with duckdb.connect(str(database)) as connection:
        connection.execute("USE automatum")
        columns = list(rows[0])
        connection.execute(f"CREATE TABLE usage_rows ({', '.join(f'{one} VARCHAR' for one in columns)})")
        connection.executemany(
            f"INSERT INTO usage_rows VALUES ({', '.join('?' * len(columns))})", [list(row.values()) for row in rows]
        )
        connection.execute("CREATE VIEW usage_by_hour AS SELECT * FROM usage_rows")
