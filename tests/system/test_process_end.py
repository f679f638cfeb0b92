"""How a command ends: without the interpreter's teardown, but with everything that others can see (I1, I5, I9)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

END = """
import atexit, sys, threading
from automatum.core.process import end_process
atexit.register(sys.stdout.write, "handler\\n")
started = threading.Event()
def work():
    started.wait()
    sys.stdout.write("thread\\n")
threading.Thread(target=work).start()
class Kept:
    def __del__(self):
        sys.stdout.write("teardown\\n")
kept = Kept()
started.set()
end_process({code!r})
sys.stdout.write("returned\\n")
"""
AT_LAST = """
import atexit, json, os, threading
def tell():
    opened = [os.path.realpath(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")]
    told = [[one for one in opened if os.path.isfile(one)], [one.name for one in threading.enumerate()]]
    with open("ended.json", "w") as out:
        json.dump(told, out)
atexit.register(tell)
from automatum.__main__ import main
main()
"""
"""What was registered first is called last."""


def ended(script, *arguments, **options):
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, **options)
    return done.returncode, done.stdout.split(), done.stderr


@pytest.mark.parametrize(("code", "exit_code"), [(0, 0), (None, 0), (65, 65), (130, 130)])
def test_threads_and_handlers_come_before_the_end_and_the_teardown_never(code, exit_code):
    assert ended(END.format(code=code)) == (exit_code, ["thread", "handler"], "")


def test_a_text_as_code_is_left_to_the_interpreter():
    code, printed, _ = ended(END.format(code="wrong"))
    assert (code, sorted(printed)) == (0, ["handler", "returned", "teardown", "thread"])


def test_a_full_disk_is_left_to_the_interpreter_which_says_so():
    """Exit code 120 is Python's for a stdout that cannot be flushed."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", AT_LAST.replace("ended.json", "/dev/null"), "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]], ids=" ".join)
def test_a_reader_that_left_is_no_defect(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "automatum", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.slow
def test_every_file_is_closed_when_a_command_ends(small, desk):
    """The DuckDB file, the ledger and the count of requests: nothing is left to the teardown."""
    (desk.folder / "usage.csv").write_text("customer_id,listing_id,dimension,units,price,usage_at,vendor\n")
    push = ("push", "--usage", "usage.csv", "--unchecked", "--confirm")
    for arguments in (
        ("sync",),
        ("status",),
        ("check",),
        ("status", "--verify"),
        (*push, "--new-ledger"),
        ("push", "status"),
    ):
        code, _, err = ended(AT_LAST, *arguments, cwd=desk.folder)
        assert code == 0, err
        assert json.loads((desk.folder / "ended.json").read_text()) == [[], ["MainThread"]], arguments
        assert not list(desk.folder.rglob("*.wal")) + list(desk.folder.rglob("*-wal"))
