"""cron, systemd, `--quiet`: the example's lines run as cron runs them; a mail comes exactly when it is worth one."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from automatum.api import retry
from automatum.api.rate_limit import limiter
from automatum.core.errors import EXIT_MORE_TO_DO
from tests.support import ROOT
from tests.support.crontab import Start, due, read_crontab
from tests.support.desk import VOLUME, WIDE_LIMITS, api_requests, await_
from tests.support.pushing import rows_of, write_csv

STARTS = 20

PIPELINES = ROOT / "pipelines"
UNITS = PIPELINES / "systemd"
STAMPED = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ automatum "
"""A line of result in a file: with its time before it."""


# --quiet


def test_quiet_says_nothing_when_nothing_is_new(small, desk):
    """Complete and unchanged: no byte on either stream. Changed: one line on stdout, with the changes counted."""
    first, second = desk.run("sync", "--quiet"), desk.run("sync", "--quiet")
    assert (first.code, first.err) == (0, "")
    assert re.fullmatch(
        STAMPED + r"sync: complete; customers \+12, entitlements \+20, private_offers \+9, analytics \+\d+; "
        r"\d+ requests, \d+\.\d s\n",
        first.out,
    )
    assert (second.code, second.out, second.err) == (0, "", "")
    ids = small.rows.ids("customers")
    small.rows.change("customers", ids[0], {"status": "inactive"})
    small.rows.insert("customers", count=3)
    small.rows.delete("customers", ids[1])
    third = desk.run("sync", "customers", "--quiet")
    assert (third.code, third.err) == (0, "")
    assert "sync: complete; customers +3 ~1 -1; " in third.out


@pytest.mark.parametrize("trouble", ["credentials", "one table", "budget", "configuration", "database"])
def test_quiet_trouble_is_one_line_on_stderr(small, desk, trouble):
    """With its exit code and the next step; nothing on stdout, where a log file may be."""
    arguments, code = ["sync", "--quiet"], 77
    if trouble == "credentials":
        desk.set(client_secret="another_secret")
    elif trouble == "one table":
        small.faults.add("status", "/api/v1/entitlements", status=400, message="no\nway", count=None)
        code = 69
    elif trouble == "budget":
        arguments, code = [*arguments, "--max-requests", "3"], 75
    elif trouble == "configuration":
        desk.set(deletes="perhaps")
        code = 78
    elif trouble == "database":
        arguments, code = [*arguments, "--database", "no/such/folder/file.duckdb"], 78
    made = desk.run(*arguments)
    assert (made.code, made.out) == (code, "")
    (line,) = made.err.splitlines()
    assert re.match(STAMPED + rf"sync: (incomplete|not finished) \(exit {code}\); ", line)
    assert "next: " in line or "run again" in line


def test_quiet_json_is_still_json(small, desk):
    """On stdout, changed or not; trouble is told on stderr besides."""
    made = desk.run("sync", "customers", "--quiet", "--json", "--debug")
    assert made.json["verdict"] == "complete"
    # --debug logs as ever, and nothing is said twice.
    assert "GET /api/v1/customers" in made.err
    assert "complete" not in made.err
    desk.set(client_secret="another_secret")
    refused = desk.run("sync", "customers", "--quiet", "--json")
    assert (refused.json["errors"][0]["exit_code"], len(refused.err.splitlines())) == (77, 1)


def test_quiet_keeps_short_waits_to_itself(start, desk):
    """A wait for the minute's window is no news: it is logged without --quiet, and not with it."""
    served = start(customers=150, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    desk.set(application_limits=[[1, 2.5]], quota_url="memory://")
    loud = desk.run("sync", "customers")
    quiet = desk.run("sync", "customers", "--quiet")
    assert (loud.code, quiet.code, quiet.out, quiet.err) == (0, 0, "", "")
    assert "waiting" in loud.err


@pytest.mark.parametrize("cause", ["window", "429", "503"])
def test_a_long_wait_is_one_line_that_says_what_for_and_until_when(start, desk, monkeypatch, cause):
    """On stdout, because it is no trouble that cron should mail; on stderr if stdout has the JSON."""
    served = start(customers=150, entitlements=0, private_offers=0, days=0)
    desk.use(served)
    assert desk.sync("customers").code == 0
    monkeypatch.setattr(limiter, "LONG_WAIT", 1.2)
    monkeypatch.setattr(retry, "LONG_WAIT", 1.2)
    reason = "GET /api/v1/customers.*" + cause
    if cause == "window":
        desk.set(application_limits=[[1, 2.5]], quota_url="memory://")
        reason = "application.*"
    for arguments in (("--quiet",), ("--quiet", "--json")):
        if cause != "window":
            served.sandbox.faults.add(
                "status", "/api/v1/customers", status=int(cause), count=1, headers={"Retry-After": "2"}
            )
        ran = desk.run("sync", "customers", *arguments)
        silent, said = (ran.err, ran.out) if len(arguments) == 1 else ("", ran.err)
        assert (ran.code, silent) == (0, "")
        (line,) = said.splitlines()
        assert re.search(reason, line) and re.search(r"(until|at) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line), line


def test_a_quiet_push_tells_what_it_has_sent(small, desk):
    """Nothing new to send: nothing said."""
    usage = write_csv(rows_of(small, back=(1,), most=2))
    arguments = ("push", "--usage", usage, "--quiet", "--unchecked")
    dry = desk.run(*arguments)
    assert re.fullmatch(STAMPED + r"push: dry run; would send 2; [12] requests? needed\n", dry.out)
    sent, again = desk.run(*arguments, "--confirm", "--new-ledger"), desk.run(*arguments, "--confirm")
    assert re.fullmatch(STAMPED + r"push: complete; accepted 2; \d requests?\n", sent.out)
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
        # dlt keeps root's working folders in /var/dlt, out of the test's reach.
        "DLT_DATA_DIR": str(work / "dlt"),
        "SOURCES__AUTOMATUM__APPLICATION_LIMITS": f"'{WIDE_LIMITS}'",
    }
    example = (PIPELINES / "automatum.env.example").read_text()
    kept = [line for line in example.splitlines() if line.partition("=")[0] not in values]
    env = work / "automatum.env"
    env.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items())]))
    env.chmod(0o600)
    table.work = work
    return table


def job(table, command):
    """The one line of the crontab with this command; it may be commented out."""
    (found,) = [one for one in (*table.jobs, *table.commented) if command in one.command]
    return found


def run_job(table, command, option=""):
    """Run a line to its end, with an option more: exit code and what cron would mail."""
    home = table.work.parent / "home"
    line = job(table, command)
    process = table.start(replace(line, command=line.command.replace(command, f"{command} {option}")), home)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_the_lines_of_the_example_run_as_cron_runs_them(cron, small, desk):
    """By /bin/sh, with cron's bare environment: result in the log, nothing to mail, every row in the database."""
    assert (len(cron.jobs), len(cron.commented)) == (2, 1)
    assert run_job(cron, "automatum sync") == (0, "")
    log = (cron.work / "sync.log").read_text()
    assert re.fullmatch(STAMPED + r"sync: complete; customers \+12, .*\n", log)
    desk.database = cron.work / "marketplace.duckdb"
    assert desk.counts()["customers"] == 12

    fill_usage(desk.database, rows_of(small, back=(1,), most=3))
    code, mailed = run_job(cron, "automatum push")
    assert (code, small.metering.accepted) == (78, [])
    assert "--new-ledger" in mailed
    assert run_job(cron, "automatum push", "--new-ledger") == (0, "")  # once, by hand
    assert run_job(cron, "automatum push") == (0, "")
    assert re.fullmatch(STAMPED + r"push: complete; accepted 3; .*\n", (cron.work / "push.log").read_text())
    assert len(small.metering.accepted) > 0

    assert run_job(cron, "automatum status") == (0, "")
    written = {path.name for path in cron.work.iterdir()}
    assert written >= {"automatum.env", "marketplace.duckdb", "sync.log", "push.log"}


def test_trouble_is_what_cron_mails(cron):
    """One line; nothing of it in the log."""
    env = cron.work / "automatum.env"
    env.write_text(env.read_text() + "\nAUTOMATUM_CLIENT_SECRET=canary_of_a_secret\n")
    code, mail = run_job(cron, "automatum sync")
    assert code == 77
    (line,) = mail.splitlines()
    assert "POST /oauth/token answered 401" in line
    assert "canary" not in mail
    assert (cron.work / "sync.log").read_text() == ""


def test_the_crontab_is_in_order():
    """Five fields that name moments, an address, a folder; credentials nowhere; the push after the sync."""
    table = read_crontab()
    assert {"SHELL", "PATH", "WORK", "MAILTO"} == set(table.settings)
    minutes = {}
    for one in (*table.jobs, *table.commented):
        fields = one.when.split()
        for value, bounds in zip(fields, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)], strict=True):
            assert due(value, *bounds)
        minutes[one.command.partition("automatum ")[2].split()[0]] = due(fields[0], 0, 59)
    assert max(minutes.get("sync", {0})) < min(minutes.get("push", {60}))
    assert not re.search(r"AUTOMATUM_CLIENT|secret", (PIPELINES / "crontab.example").read_text())


def test_no_example_bills_until_somebody_decides_so_i5():
    """A scheduler's example that is installed as it is sends nothing to a marketplace."""
    table = read_crontab()
    assert [one.arguments[0] for one in table.commented] == ["push"] and "--confirm" in table.commented[0].arguments
    active = [one.command for one in table.jobs]
    for path in (*UNITS.iterdir(), PIPELINES / "Containerfile"):
        active += [line for line in path.read_text().splitlines() if not line.startswith("#")]
    assert not [line for line in active if "--confirm" in line]
    dag = (PIPELINES / "airflow" / "automatum_dag.py").read_text()
    assert re.search(r'^    "usage": None,', dag, re.M) and re.search(r'^    "confirm": False,', dag, re.M)


def test_a_sync_loads_into_the_folder_that_it_was_started_in(small, desk, monkeypatch):
    """I1: two folders, one user, one working folder of dlt, which remembers where its first run was started."""
    for name in ("one", "two"):
        folder = desk.folder / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        assert desk.sync("customers").json["tables"]["customers"]["inserted"] == 12
        desk.database = folder / "marketplace.duckdb"
        assert desk.counts()["customers"] == 12


# Overlap


def test_of_starts_that_overlap_one_works_and_the_others_leave(start, desk, tmp_path):
    """I7: twenty at once. Nineteen leave with 75 and the name of the one that works, before a request; I1, I3: it loads
    every row, and asks for each page once.
    """
    served = start(**VOLUME)
    sandbox = served.sandbox
    desk.use(served)
    desk.set(request_timeout=120)
    # Its first request holds the one that works until all the others have left.
    gate = threading.Event()
    sandbox.schedule.after(1, lambda: gate.wait(120))
    arguments = job(read_crontab(), "automatum sync").arguments
    waits = arguments.index("--lock-wait") + 1
    assert arguments[waits] == "60"
    arguments[waits] = "1"
    starts = [Start(arguments, dict(os.environ), desk.folder, f"start-{number}") for number in range(STARTS)]
    try:
        await_(lambda: sum(one.alive() for one in starts) <= 1, 100)
    finally:
        gate.set()
    ended = [one.ended() for one in starts]
    worked = [one for one in ended if one.code == 0]
    left = [one for one in ended if one.code == EXIT_MORE_TO_DO]
    assert (len(worked), len(left)) == (1, STARTS - 1), ended
    for one in left:
        (line,) = one.err.splitlines()
        assert one.out == ""
        assert re.match(STAMPED + r"sync: not finished \(exit 75\); The DuckDB file .* is in use by", line)
        assert f"process {worked[0].pid} " in line
        assert 1 <= one.seconds < 30
    asked = api_requests(sandbox)
    assert asked.pop("analytics/revenue") < 20  # Each window of the year, with its proofs.
    assert asked == {"customers": 3, "entitlements": 5, "private-offers": 2}
    pages = [entry for entry in sandbox.requests.to("/api/v1/") if entry.page and "/analytics/" not in entry.path]
    asked = [(entry.path, entry.page) for entry in pages]
    assert len(asked) == len(set(asked))
    assert len(sandbox.requests.to("/oauth/token")) == 1
    for table in ("customers", "entitlements", "private_offers"):
        assert {id_ for (id_,) in desk.query(f"SELECT id FROM {table}")} == set(sandbox.rows.ids(table))
    assert desk.run("status", "--verify").code == 0


# systemd, containers


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    """By `systemd-analyze verify`, where that is; the command's path and user are this machine's."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    for unit in ("automatum.service", "automatum.timer", "automatum-failure.service"):
        text = (UNITS / unit).read_text()
        text = text.replace("/opt/automatum/bin/automatum", shutil.which("true"))
        (tmp_path / unit).write_text(re.sub(r"^(User|Group)=automatum$", r"\1=root", text, flags=re.M))
    units = [str(tmp_path / unit) for unit in ("automatum.service", "automatum.timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_keeps_all_that_it_writes_in_its_state_folder():
    """Home, working folder and state folder are one; 75 is no failure; the timer makes up for what was missed."""
    service, timer = ((UNITS / f"automatum.{kind}").read_text().splitlines() for kind in ("service", "timer"))
    assert {"StateDirectory=automatum", "WorkingDirectory=%S/automatum", "Environment=HOME=%S/automatum"} <= set(
        service
    )
    assert f"SuccessExitStatus={EXIT_MORE_TO_DO}" in service
    assert "Persistent=true" in timer
    assert {"LimitCORE=0", "OnFailure=automatum-failure.service"} <= set(service)
    assert (UNITS / "automatum-failure.service").exists()


def test_all_examples_start_the_same_sync():
    """cron, systemd and the image: one command line; that of the crontab is run above."""
    service = (UNITS / "automatum.service").read_text()
    image = (PIPELINES / "Containerfile").read_text()
    lines = [
        job(read_crontab(), "automatum sync").arguments,
        re.search(r"^ExecStart=\S+/automatum (.*)$", service, re.M)[1].split(),
        json.loads(re.search(r"^CMD (\[.*\])$", image, re.M)[1]),
    ]
    assert lines[0] == lines[1] == lines[2]


def test_the_image_asks_for_extras_that_there_are():
    extras = re.findall(r"--extra (\w+)", (PIPELINES / "Containerfile").read_text())
    assert extras
    declared = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert set(extras) <= set(re.findall(r"^(\w+) = \[", declared, re.M))


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
