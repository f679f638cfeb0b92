"""I5, I6, I8: a server that means harm. Each command ends within bounds of time and memory, and says why.

The commands of one group of harm run one after the other in one process, which is killed after `LONGEST` seconds.
All commands meet the first kind of the group; a sync and the simplest command meet the others.
"""

import csv
import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from tests.support import hostile
from tests.support.hostile import always, by_request, counted, lazily, new_rows, raw_list, with_token
from tests.support.metering_rows import ROW
from tests.support.raw_server import Dripping, RawServer, http

pytestmark = pytest.mark.slow

LONGEST = 300.0
"""Seconds. A quiet machine takes a tenth of it."""
MOST_MEMORY = 700.0
"""MiB. A process with dlt, DuckDB and a few syncs of three rows takes about 250."""
SYNC = "sync --json --max-requests 40 --max-wait 0"
OTHERS = ("check", "sync --dry-run --max-wait 0", "apps list")
PUSH = "push --usage usage.csv --confirm --new-ledger --unchecked --max-wait 0"
WITH_DATABASE = ("sync", "push")
OURS = {0, 65, 69, 75, 77, 78}
ROOT = Path(__file__).parents[2]

ONE = json.dumps(hostile.customers(count=1)[0])
GROUPS = {
    "bombs": {
        "gzip bomb": lazily(lambda: always(hostile.gzip_bomb(), Content_Encoding="gzip")),
        "gzip of gzip": lazily(
            lambda: always(hostile.gzip_bomb(), Content_Encoding="gzip, gzip, gzip, gzip, gzip, gzip")
        ),
        "20 MiB": lazily(lambda: always(b'{"data":"' + b"x" * 20 * 2**20 + b'"}')),
        "blanks": lazily(lambda: always(b" " * 15 * 2**20)),
        "many records": lazily(lambda: always(hostile.records_text(20_000))),
        "a million records": lazily(lambda: always(hostile.records_text(900_000))),
    },
    "records": {
        "10 MB field": lazily(lambda: always(raw_list('{"id":"fat","notes":"%s"}' % ("x" * 10_000_000)))),
        "900 levels": lazily(lambda: always(raw_list(hostile.nested(900), ONE))),
        "100,000 levels": lazily(lambda: always(b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    },
    "floods": {
        "endless pages": new_rows("250", "3"),
        "endless announced pages": new_rows("9" * 18, "9" * 16),
        "endless unannounced pages": new_rows("null", "null"),
        "redirects": by_request(hostile.redirected),
        "header flood": always(http({}, **{f"X-{i}": "x" for i in range(5000)})),
        "long header": always(http({}, X="x" * 500_000)),
    },
    "numbers": {
        "total of 18 digits": counted("1" + "0" * 18),
        "total of 5000 digits": counted("7" * 5000),
        "total as text of 5000 digits": counted('"' + "7" * 5000 + '"'),
        "pages of 18 digits": counted("3", "1" + "0" * 18),
        "total below 0": counted("-5", "-5"),
        "total as float": counted("3.5", "1e99999999999999999999"),
        "total as words": counted('"many"', '{"a": []}'),
    },
    "escapes": {
        "escapes": by_request(hostile.escapes),
        "escapes in a 400": hostile.escaped_error(400),
        "escapes in a 500": hostile.escaped_error(500),
        "escapes in a 403": hostile.escaped_error(403),
        "escapes in scopes": with_token(hostile.token(scope=f"read:customers {hostile.ESCAPES}")),
        "escapes in a token": with_token({"error": hostile.ESCAPES}),
    },
}


@pytest.mark.parametrize("group", GROUPS)
def test_each_command_ends_within_its_bounds(group, desk):
    kinds = GROUPS[group]
    every, few = (SYNC, *OTHERS, PUSH), (SYNC, OTHERS[-1])
    runs = [(kind, command) for number, kind in enumerate(kinds) for command in (few if number else every)]
    made = run(desk, kinds, runs)
    wrong = [
        f"{kind}: {command}: {why}" for (kind, command), one in zip(runs, made, strict=False) for why in faults(*one)
    ]
    assert not wrong, "\n\n".join(wrong)
    assert len(made) == len(runs)
    for kind in kinds:
        assert obeyed_in_tables(desk, kind) == []


def faults(code, out, err, raised, peak):
    """What is wrong with what a command came to."""
    said = f"exit {code}\n{out[:3000]}\n{err[:3000]}"
    if raised or code not in OURS or "Traceback" in err:
        yield f"{raised} {said}"
    if found := [f"U+{ord(one):04X}" for one in hostile.OBEYED if one in out + err]:
        yield f"{found} {said!a}"
    if peak > MOST_MEMORY:
        yield f"{peak:.0f} MiB"


def run(desk, kinds, runs):
    """Run the commands in a process of their own, each against the server of its kind; what each came to."""
    names = {f"k{number}": kind for number, kind in enumerate(kinds)}

    def answer(method, target, number):
        name, _, path = target.removeprefix("/").partition("/")
        return kinds[names[name]](method, f"/{path}", number)

    with RawServer(answer) as api:
        desk.set(client_id="app_1", client_secret="secret_hostile_1", quota_url="memory://")
        desk.set(request_timeout=1)
        desk.set(application_limits=[[100000, 60]])
        write_usage(desk)
        at = {kind: f"{api.url}/{name}" for name, kind in names.items()}
        todo = [
            (at[kind], str(database(desk, kind)) if command.split()[0] in WITH_DATABASE else None, command.split())
            for kind, command in runs
        ]
        (desk.folder / "runs.json").write_text(json.dumps(todo))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sources")])}
        child = [sys.executable, "-m", "tests.support.commands_in_turn", "runs.json", "made.json"]
        try:
            subprocess.run(child, timeout=LONGEST, check=True, env=environment)
        except subprocess.TimeoutExpired:
            made = json.loads((desk.folder / "made.json").read_text())
            pytest.fail(f"after {LONGEST:g} s: {runs[len(made)]}")
    return json.loads((desk.folder / "made.json").read_text())


def write_usage(desk):
    """One line of the last hour, whose vendor is markup, and one whose vendor is escapes."""
    at = (datetime.now(timezone.utc) - timedelta(hours=1, minutes=30)).isoformat()
    with (desk.folder / "usage.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, list(ROW))
        rows.writeheader()
        rows.writerows({**ROW, "vendor": vendor, "usage_at": at} for vendor in ("aws", "[/gcp]", hostile.ESCAPES[:-1]))


def database(desk, kind):
    return desk.folder / f"{kind.replace(' ', '_')}.duckdb"


def obeyed_in_tables(desk, kind):
    """Texts in the table of sweeps that a terminal obeys."""
    if not database(desk, kind).exists():
        return []
    try:
        rows = desk.query("SELECT COLUMNS(*)::VARCHAR FROM _automatum_sweeps", database=database(desk, kind))
    except duckdb.CatalogException:
        return []
    return [text for row in rows for text in row if text and any(one in text for one in hostile.OBEYED)]


DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{"data": [', b" "),
}


@pytest.mark.parametrize(
    ("drip", "command"),
    [
        ("headers", "sync customers"),
        ("continue", "sync customers"),
        ("body", "check"),
        ("body", "sync --dry-run"),
        ("continue", "apps list"),
    ],
)
def test_sigterm_ends_a_command_that_hangs(drip, command, desk):
    """It takes 5 seconds at most; the bound is wide for a machine that is busy."""
    with Dripping(*DRIPS[drip]) as api:
        desk.set(base_url=api.url, client_id="app_1", client_secret="secret_hostile_1", quota_url="memory://")
        desk.set(request_timeout=300)
        process = desk.start(*command.split())
        try:
            assert api.asked.wait(60), process.communicate(timeout=10)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=15)
        finally:
            process.kill()
    assert process.returncode in OURS | {143}, f"{process.returncode} {out} {err}"
    assert "Traceback" not in err
