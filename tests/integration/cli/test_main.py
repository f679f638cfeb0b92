"""The command line: one JSON object, exit codes, no traceback, and no secret anywhere (I6)."""

import gzip
import logging

import pyarrow.parquet
import pytest

from automatum_sandbox import AppConfig
from tests.support.desk import SMALL, VOLUME
from tests.support.loopback import closed_port

SECRET = "canary+secret/with=signs&more%20words"
ENCODED = ("canary%2Bsecret", "canary+secret")
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
"""The beginning of every token of the sandbox."""


def leaks(text):
    return [word for word in (SECRET, *ENCODED, TOKEN) if word in text]


def contents(path):
    """What a file holds, decompressed."""
    if path.suffix == ".parquet":
        return str(pyarrow.parquet.read_table(path).to_pylist())
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return data.decode("utf-8", "replace")


@pytest.mark.slow
@pytest.mark.parametrize(
    "trouble", ["none", "revoked", "echoed", "wrong secret", "list is html", "destination breaks", "unreachable"]
)
def test_no_secret_leaves(start, desk, tmp_path, trouble):
    """I6: not on stdout, not on stderr with --debug, not in the database, not in dlt's working folder."""
    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    desk.use(served)
    desk.attempts(2)
    sandbox = served.sandbox
    arguments = ["sync", "--json", "--debug"]
    code = 0
    if trouble == "revoked":
        sandbox.schedule.after(1, sandbox.tokens.revoke)
    elif trouble == "echoed":
        said = f"client_secret={SECRET} access_token={TOKEN}.e30.x Authorization: Bearer {TOKEN}.e30.x"
        sandbox.faults.add("status", "/api/v1/entitlements", status=400, message=said, count=None)
        code = 69
    elif trouble == "wrong secret":
        desk.set(client_secret=SECRET + "x")
        sandbox.faults.add("status", "/oauth/token", status=401, message=f"Invalid: {SECRET}x", count=None)
        code = 77
    elif trouble == "list is html":
        sandbox.faults.add("html", "/api/v1/private-offers", count=None)
        code = 69
    elif trouble == "destination breaks":
        desk.database.write_bytes(b"this is no DuckDB file" * 100)
        code = 69
    elif trouble == "unreachable":
        desk.set(base_url=f"http://127.0.0.1:{closed_port()}")
        code = 69
    made = desk.run(*arguments)
    assert made.code == code, made
    assert made.json
    assert leaks(made.out) == leaks(made.err) == []
    assert "GET /api/v1/" in made.err or trouble in ("wrong secret", "destination breaks", "unreachable")
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path: found for path in written if (found := leaks(contents(path)))} == {}
    if trouble in ("none", "revoked", "echoed", "list is html"):
        # DuckDB compresses strings: its bytes alone would prove nothing.
        assert any(path.suffix == ".duckdb" for path in written)
        assert leaks(str(desk.dump())) == []
        assert any("pipelines" in path.parts for path in written)


@pytest.mark.slow
@pytest.mark.parametrize("logger", ["dlt", "urllib3", "root"])
def test_no_secret_reaches_other_peoples_logs(start, desk, caplog, logger):
    """I6: a program that logs everything at the lowest level sees no secret either."""
    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    desk.use(served)
    with caplog.at_level(logging.DEBUG, logger="" if logger == "root" else logger):
        assert desk.sync("customers").code == 0
    assert leaks(caplog.text) == []


def test_settings_and_errors_do_not_show_the_secret(start, desk):
    """I6: neither `repr` of anything that a notebook may show."""
    from automatum.api.session import connect
    from automatum.config.settings import resolve_settings

    served = start(**SMALL, apps=(AppConfig(client_secret=SECRET),))
    desk.use(served)
    settings = resolve_settings()
    session = connect(settings)
    assert session.missing_scopes(session.endpoints) == {}
    for one in (settings, session, session.client, session.client.tokens):
        assert leaks(f"{one!r} {one!s}") == []


@pytest.mark.slow
def test_people_are_told_what_json_says(large, desk):
    """Without --json: tables, counts, verdict on stdout; nothing on stderr when all is well."""
    made = desk.run("sync")
    assert (made.code, made.err) == (0, "")
    for word in ("customers", "entitlements", "private_offers", "analytics", "complete", "250", "410", "130"):
        assert word in made.out
    assert f"{len(large.requests.to('/api/v1/'))} requests" in made.out


@pytest.mark.slow
def test_people_are_told_what_was_skipped(start, desk):
    """I8: by name and reason."""
    served = start(**SMALL, apps=(AppConfig(scopes=("read:customers",)),))
    desk.use(served)
    made = desk.run("sync")
    assert made.code == 0
    assert "read:private-offers" in made.says
    assert "skipped" in made.says


@pytest.mark.parametrize("command", ["sync", "check"])
def test_a_traceback_is_shown_to_those_who_ask(start, desk, command):
    """--debug shows where; without it there is a sentence and a next step, on stderr alone."""
    desk.set(base_url="http://10.0.0.1")
    quiet, loud = desk.run(command), desk.run(command, "--debug")
    assert quiet.code == loud.code == 78
    assert "Traceback" not in quiet.says
    assert "Traceback" in loud.err
    assert quiet.out == loud.out == ""
    assert "error:" in quiet.err
    assert "next:" in quiet.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["sync", "--max-requests", "2"], 2),
        (["sync", "--no-such-option"], 2),
        (["nope"], 2),
        (["--version"], 0),
        (["--help"], 0),
        (["sync", "--help"], 0),
    ],
)
def test_usage(desk, arguments, code):
    """The shell's own conventions for what no command ever sees."""
    made = desk.run(*arguments)
    assert made.code == code, made
    assert "Traceback" not in made.err
    assert bool(made.out) is (code == 0)


def test_credentials_are_missing(desk):
    """78 by both commands that need them; the key, both of its names, and where the dashboard shows it."""
    for command in ("sync", "check"):
        made = desk.run(command, "--json")
        assert made.code == 78
        assert made.json["errors"][0]["exit_code"] == 78
        for word in ("sources.automatum.client_", "AUTOMATUM_CLIENT_", ".dlt/secrets.toml"):
            assert word in made.err
    assert not [one for one in desk.folder.glob("*.duckdb*") if one.suffix != ".lock"]


@pytest.mark.slow
def test_settings_are_read_from_a_file(start, desk):
    """`.dlt/secrets.toml` of the working folder, as `.dlt/secrets.toml.example` shows it."""
    served = start(**SMALL)
    (desk.folder / ".dlt").mkdir()
    (desk.folder / ".dlt" / "secrets.toml").write_text(
        "[sources.automatum]\n"
        f'client_id = "{served.client_id}"\nclient_secret = "{served.client_secret}"\nbase_url = "{served.base_url}"\n'
        'tables = ["customers", "entitlements"]\napplication_limits = [[1000, 60]]\n',
        encoding="utf-8",
    )
    made = desk.sync()
    assert made.code == 0, made
    assert set(made.json["tables"]) == {"customers", "entitlements"}


@pytest.mark.slow
def test_the_database_and_dataset_are_where_they_were_asked_for(small, desk):
    """I7's file is the user's choice; nothing is left in the working folder but it."""
    target = desk.folder / "sub"
    target.mkdir()
    made = desk.sync("customers", "--database", target / "books.duckdb", "--dataset", "sales")
    assert made.code == 0, made
    import duckdb

    with duckdb.connect(str(target / "books.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM sales.customers").fetchall() == [(SMALL["customers"],)]
    assert [path.name for path in desk.folder.iterdir()] == ["sub"]


@pytest.mark.slow
def test_a_file_that_somebody_else_holds(small, desk):
    """I7: another process holds the DuckDB file: a sentence, not a traceback; nothing is lost."""
    import subprocess
    import sys

    assert desk.sync("customers").code == 0
    before = desk.dump()
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb, sys; held = duckdb.connect({str(desk.database)!r}); print('held', flush=True); "
            "sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout.readline() == "held\n"
        small.requests.clear()
        made = desk.sync("customers", "--lock-wait", "0.2")
        assert made.code == 75, made
        assert "Traceback" not in made.err
        assert made.json["errors"]
        # What cannot be loaded is not asked for.
        assert small.requests.to("/api/v1/") == []
    finally:
        holder.communicate()
    assert desk.dump() == before
    assert desk.sync("customers").code == 0


def test_the_volume_is_what_the_issue_says():
    assert VOLUME == {"customers": 250, "entitlements": 410, "private_offers": 130, "days": 366}
