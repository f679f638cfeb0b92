"""The blocks of README and docs, run as they are written, from the top of each page to its end.

Each page gets an empty home and an empty folder, with the sandbox in place of the API. A block that neither runs nor is
listed in `ELSEWHERE`, with the reason, fails.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from automatum_sandbox import write_usage
from tests.support import ROOT
from tests.support.desk import SMALL
from tests.support.pages import PAGES, TEXTS

pytestmark = pytest.mark.slow

_PACKAGES = "installs packages; `make package` and `make environments` do"
_VENDOR = "needs an account of the vendor"
_ROOT = "needs root"
_AIRFLOW = "needs Airflow; `make airflow` runs the DAG with these settings"
_TESTS = "is for developers, and runs for minutes"
_TABLE = "needs usage in a table of the user"
_LINE = "needs the id of an open line; tests/integration/cli has each decision"
_ORGANIZATIONS = "needs two organizations; tests/integration/sync/test_multi_org.py has them"
ELSEWHERE = {
    "README.md": {"make demo": _PACKAGES, "python3 -m venv": _PACKAGES, ". ~": _PACKAGES, "pip": _PACKAGES},
    "CONTRIBUTING.md": {"make": _TESTS},
    "start.md": {
        **dict.fromkeys(("python3 -m venv ~", ". ~", "pip"), _PACKAGES),
        **dict.fromkeys(
            ("useradd", "chmod", "python3 -m venv /opt", "/opt", "install", "cd /var", "su", "crontab"), _ROOT
        ),
    },
    "operate.md": {
        "sudo": _ROOT,
        "journalctl": "needs systemd",
        "SOURCES__AUTOMATUM__NOTIFY_URL": "posts to a service; tests/integration/cli/test_webhook.py",
    },
    "analyse.md": {"pip": _PACKAGES},
    "airflow.md": {"pip": _PACKAGES, "cp": _AIRFLOW, "airflow": _AIRFLOW},
    "commands.md": {
        "automatum sync --destination postgres": "needs Postgres; `make destinations`",
        "automatum check --organization": _ORGANIZATIONS,
        "automatum push --usage usage_by_hour": _TABLE,
        "automatum forget": "needs the id of a customer; `tests/integration/operations/test_forget.py`",
        "automatum apps": _VENDOR,
    },
    "destinations.md": {
        "pip": _PACKAGES,
        "export DEST": "needs a server or a bucket; `make destinations`",
        "automatum sync --destination": "needs a server or a bucket; `make destinations`",
    },
    "dlt.md": {
        "pip": _PACKAGES,
        "dlt": "needs the repository's address, or a name of the user",
        "python": "needs a project of `dlt init`; `make environments`",
        "from automatum import PushOptions": "needs Postgres, and usage of the user",
        "import automatum": "needs the id of a load of the user",
    },
    "metering.md": {
        "automatum push --usage usage_by_hour": _TABLE,
        'automatum push --usage "sql': _TABLE,
        "from pathlib": _TABLE,
    },
    "metering-operations.md": {
        "automatum push settle": _LINE,
        "automatum push events": "needs events of the vendor",
        "automatum push statement --month 2026-11 --vendor": "needs a report of a marketplace",
        "from automatum import verify_webhook": "is part of a receiver",
    },
    "organizations.md": {"automatum": _ORGANIZATIONS, "import dlt": _ORGANIZATIONS},
    "secrets.md": {
        "vault": "needs a vault",
        "automatum apps": _VENDOR,
        "-- As": "needs Postgres; tests/integration/warehouse/test_grants.py",
    },
    "performance.md": {"make": _TESTS, ".venv-bench": _TESTS},
    "openapi.md": {"oasdiff": "needs a document of the vendor"},
}
"""Page to the beginnings of what does not run here, with the reason."""
EXPECTED = {
    ("commands.md", "automatum push --usage usage.csv --confirm"): 78,
    ("metering-operations.md", "automatum push ledger restore --from backup.sqlite"): 78,
}
"""Commands that refuse on these pages: no ledger was begun, or there is one already."""
PREPARED = {
    "analyse.md": ["automatum sync"],
    "destinations.md": ["automatum sync"],
    "metering-operations.md": ["automatum sync", "automatum push --usage usage.csv --confirm --new-ledger"],
    "tables.md": ["automatum sync"],
}
"""What a reader of a page has done before."""
DATABASE = "marketplace.duckdb"
_BLOCK = re.compile(r"^ *```(sh|sql|python)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def parts(page):
    """What a page has to run: pairs of a language, and a command or a whole block."""
    for language, text in _BLOCK.findall(TEXTS[page]):
        if language == "sh":
            yield from (("sh", command) for command in commands(text))
        else:
            yield language, text.strip()


def commands(text):
    """The commands of a block; one that has an open quote or a backslash at its end goes on in the next line."""
    found = ""
    for line in text.splitlines():
        found = f"{found}\n{line}" if found else line.strip()
        try:
            shlex.split(found, comments=True)
        except ValueError:
            continue
        if found.endswith("\\"):
            continue
        if shown := re.sub(r"(^|\s+)# .*", "", found):
            yield shown
        found = ""
    assert not found, found


def elsewhere(page, part):
    return next((one for one in ELSEWHERE.get(page.name, {}) if part.startswith(one)), None)


def here(page):
    """What runs on a page."""
    return [(language, part) for language, part in parts(page) if elsewhere(page, part) is None]


HERE = [page for page in PAGES if page.name != "CHANGELOG.md" and here(page)]


@contextmanager
def chdir(folder):
    """`contextlib.chdir`, which Python has from 3.11 on."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Reader:
    """A person who pastes what a page shows into one shell, in an empty folder."""

    def __init__(self, tmp_path, served):
        self.folder, home = tmp_path / "reader" / "work", tmp_path / "reader" / "home"
        self.folder.mkdir(parents=True)
        home.mkdir()
        self.sandbox, known = served.sandbox, served.sandbox.apps[0]
        self.environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "sources"),
            "SOURCES__AUTOMATUM__BASE_URL": served.base_url,
            "SOURCES__AUTOMATUM__APPLICATION_LIMITS": "[[100000, 60]]",
            "SOURCES__AUTOMATUM__CLIENT_ID": known.client_id,
            "SOURCES__AUTOMATUM__CLIENT_SECRET": known.secret,
        }
        self.servers = []

    def run(self, language, part, expected=0):
        """Run it, and return what it printed; `expected` is the exit code of a command."""
        if language == "sql":
            with chdir(self.folder), duckdb.connect(":memory:" if "ATTACH" in part else DATABASE) as connection:
                return connection.execute(part).fetchall()
        if language == "python":
            return self._finished([sys.executable, "-c", part], part)
        if part.startswith("export "):
            name, _, value = part.removeprefix("export ").partition("=")
            # The documents show `...` in place of credentials: those of the sandbox stay.
            self.environment.update({} if "..." in value else {name: value})
            return ""
        if part.startswith("automatum sandbox"):
            return self._serve(part)
        return self._finished(["sh", "-c", part], part, expected)

    def _finished(self, command, part, expected=0):
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == expected, (part, done)
        return done.stdout

    def _serve(self, part):
        """Start the sandbox as in another shell, and paste what it prints."""
        line = re.sub(r" --port \d+", "", part)
        server = subprocess.Popen(
            ["sh", "-c", f"exec {line} --port 0"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.servers.append(server)
        del self.environment["SOURCES__AUTOMATUM__APPLICATION_LIMITS"]
        while line := server.stdout.readline():
            if line.startswith("export "):
                self.run("sh", line.strip())
            elif line.startswith("automatum "):
                return line
        raise AssertionError(f"{part} ended: {server.wait()}")

    def leave(self):
        for server in self.servers:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
            server.stdout.close()


@pytest.fixture
def reader(tmp_path, start):
    reading = Reader(tmp_path, start(traps=False, **SMALL))
    yield reading
    reading.leave()


@pytest.mark.parametrize("page", HERE, ids=lambda page: page.name)
def test_each_block_of_a_page_runs_as_it_is_written(page, reader):
    if page.name in ("commands.md", "metering-operations.md"):
        write_usage(reader.sandbox, reader.folder / "usage.csv")
    for command in PREPARED.get(page.name, []):
        reader.run("sh", command)
    for language, part in here(page):
        printed = reader.run(language, part, EXPECTED.get((page.name, part), 0))
        assert "duckdb.connect" not in part or language != "sh" or "cust_" in printed, (part, printed)


def test_what_is_listed_as_run_elsewhere_is_on_its_page():
    shown = {(page.name, elsewhere(page, part)) for page in PAGES for _, part in parts(page)}
    assert {(name, part) for name, listed in ELSEWHERE.items() for part in listed} <= shown
    assert set(PREPARED) <= {page.name for page in HERE}


def test_refusals_are_on_a_page():
    assert set(EXPECTED) <= {(page.name, part) for page in PAGES for _, part in parts(page)}


def test_the_pages_have_blocks():
    assert sum(len(here(page)) for page in HERE) > 40


def test_each_next_step_of_the_demo_runs(reader):
    """In a bare shell: the demo's own folder, and no variable of the connector."""
    for name in [one for one in reader.environment if one.startswith("SOURCES__")]:
        del reader.environment[name]
    printed = reader.run("sh", "automatum demo")
    steps = re.findall(r"^Next: (.*)$", printed, re.MULTILINE)
    assert steps
    for step in steps:
        assert "cust_" in reader.run("sh", step)
