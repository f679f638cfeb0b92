"""The command in shells of every kind: pipes that close, full disks, other encodings, dumb and narrow terminals."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios

import duckdb
import pytest

from tests.support.desk import SMALL, await_

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-c", "from automatum.__main__ import main; main()"]


def run(*arguments, **options):
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120, **options)


def shell(text, **environment):
    """Run `automatum ...` in a shell."""
    words = " ".join(f"'{word}'" for word in COMMAND)
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", re.sub(r"\bautomatum\b", lambda _: words, text, count=1)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )


def in_terminal(width, *arguments, then=None, **environment):
    """Exit code and output of the command in a pseudo-terminal. `then` is called with the process while it runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    wanted = {"TERM": "xterm-256color", **environment}
    variables = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")} | wanted
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=variables, start_new_session=True
    ) as process:
        os.close(theirs)
        if then:
            then(process)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: the command has ended.
            while read := os.read(ours, 65536):
                shown += read
        os.close(ours)
        return process.wait(60), shown.decode().replace("\r\n", "\n")


def plain(text):
    """Without colours and cursor movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_reader_that_leaves_changes_nothing(desk):
    """`| head`: no traceback, no message, and the exit code of the command."""
    for text in ("automatum discover | head -1", "automatum discover --json | head -1"):
        done = shell(text)
        assert (done.returncode, done.stderr) == (0, ""), done
        assert len(done.stdout.splitlines()) == 1
    assert shell("automatum status --json | true").returncode == 78


@pytest.mark.parametrize("json_", ["", "--json"])
def test_closed_streams_change_nothing(json_):
    """The next file that is opened must not take the place of stdout."""
    assert shell(f"automatum discover {json_} >&-").returncode == 0
    assert shell(f"automatum discover {json_} <&- >&- 2>&-").returncode == 0


@pytest.mark.parametrize("json_", ["", "--json"])
def test_a_full_disk_under_stdout_is_no_defect(json_):
    done = shell(f"automatum discover {json_} >/dev/full")
    assert done.returncode == 78
    assert "stdout: the result cannot be written: No space left on device" in done.stderr
    assert "defect" not in done.stderr and "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_another_encoding_loses_no_result(desk, start):
    served = start(**SMALL)
    desk.use(served)
    served.sandbox.rows.change(
        "customers", served.sandbox.rows.ids("customers")[0], {"companyName": "Ünïcode 株式会社"}
    )
    assert desk.sync().code == 0
    narrow = {"LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for arguments in ("sync", "status", "discover", "sync --dry-run", "sync --json"):
        done = shell(f"automatum {arguments}", **narrow)
        assert done.returncode == 0 and done.stdout.isascii(), done
        assert "fault" not in done.stderr


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["no_color", "dumb"])
def test_terminals_without_colour_get_none(desk, start, environment):
    desk.use(start(**SMALL))
    code, shown = in_terminal(80, "sync", **environment)
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*m", shown.replace("\x1b[0m", "")) or "NO_COLOR" in environment
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", shown), shown
    if environment.get("TERM") == "dumb":
        assert "\x1b" not in shown, shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_text_fits_the_terminal(desk, start, width):
    """No line of a table is cut: each number is there, and no line is longer than the terminal is wide."""
    desk.use(start(**SMALL))
    for arguments in (("sync",), ("status",), ("sync", "--dry-run"), ("check",), ("status", "--verify"), ("discover",)):
        code, shown = in_terminal(width, *arguments)
        assert code == 0, shown
        # The bars are drawn over each other, and a command is not wrapped, so that it can be copied.
        lines = [line for line in plain(shown).splitlines() if "━" not in line and not line.startswith("Next: ")]
        assert max(map(len, lines)) <= width, (arguments, lines)
        assert not [line for line in lines if "…" in line], (arguments, lines)
        assert re.search(r"customers", plain(shown))


def test_ctrl_c_ends_a_sync_cleanly_and_says_so_at_once(desk, start):
    """The first Ctrl-C ends at the next page with exit 75. What was read is loaded (I1)."""
    served = start(**{**SMALL, "customers": 900})
    desk.use(served)
    for page in (2, 3, 4):
        served.sandbox.faults.add("slow", "/api/v1/customers", page=page, seconds=2)

    def interrupt(process):
        await_(lambda: len(served.sandbox.requests.to("/api/v1/customers")) >= 2)
        process.send_signal(signal.SIGINT)

    code, shown = in_terminal(80, "sync", "customers", then=interrupt)
    said = " ".join(plain(shown).split())
    assert code == 75, said
    assert "Ending cleanly" in said and "Ctrl-C again ends at once" in said
    assert re.search(r"Not finished: [2-8] requests ", said) and "run the same command again" in said
    assert "more_to_do" not in said
    ((rows,),) = desk.query("SELECT count(*) FROM customers")
    # A page that was just asked for, and takes longer than a run that is told to stop waits, is left.
    asked = len(served.sandbox.requests.to("/api/v1/customers"))
    assert rows in (100 * asked, 100 * (asked - 1)) and rows >= 100


def test_ctrl_c_ends_a_command_that_waits_for_the_file_at_once(desk, start):
    """One Ctrl-C: nothing is half done. Exit 130, and with --json one JSON object."""
    desk.use(start(**SMALL))
    with duckdb.connect(str(desk.database)):
        waiting = desk.start("models", "create", "--json")
        line = waiting.stderr.readline()
        assert "Waiting for it until" in line, line
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 130, err
    assert json.loads(out)["errors"][0] | {"next_step": ""} == {
        "type": "Interrupted",
        "message": "Interrupted.",
        "next_step": "",
        "exit_code": 130,
    }
    assert "Traceback" not in err and "error: Interrupted." in err


def test_successful_commands_have_nothing_on_stderr(desk, start):
    """No warning of dlt, Python, DuckDB or SQLAlchemy."""
    served = start(**SMALL)
    desk.use(served)
    desk.set(history=True)
    write_usage(served.sandbox)
    for arguments in (
        "check",
        "sync --dry-run",
        "sync --read-copy copy.duckdb",
        "status",
        "status --verify",
        "discover",
        "push --usage usage.csv",
        "push --usage usage.csv --confirm --new-ledger",
        "push status",
        "push ledger show",
        "push export",
        "apps list",
        "demo",
    ):
        done = run(*arguments.split(), env={**os.environ, "PYTHONWARNINGS": "default"})
        assert (done.returncode, done.stderr) == (0, ""), (arguments, done.stdout, done.stderr)
        assert done.stdout


def write_usage(sandbox):
    from tests.support.pushing import rows_of, write_csv

    write_csv(rows_of(sandbox, back=(1,), most=2))
