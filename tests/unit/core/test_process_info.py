"""Another process is named with its command and its start, without its secrets (I6)."""

import os
import subprocess

import pytest

from automatum.core.process import describe_process


@pytest.fixture
def proc(tmp_path):
    """A proc file system with one process, which started 250 s after the machine."""

    def make(*words):
        folder = tmp_path / "7"
        folder.mkdir(exist_ok=True)
        ticks = 250 * os.sysconf("SC_CLK_TCK")
        (tmp_path / "stat").write_text("cpu 1 2 3\nbtime 1700000000\n")
        (folder / "stat").write_text(f"7 (a) name) S {' '.join(['0'] * 18)} {ticks} 0 0\n")
        (folder / "cmdline").write_bytes(b"\0".join(word.encode() for word in words) + b"\0")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "/run/kernel.json"), "python3 -m ipykernel_launcher"),
        (("/opt/bin/python", "/opt/bin/automatum", "sync", "--notify", "https://x/secret"), "python automatum sync"),
        (("psql", "postgresql://user:secret@host/db"), "psql"),
        (("tool", "--password", "secret"), "tool"),
        (("tool", "password=secret"), "tool"),
        (("bad\x1b[31m\u202ename",), "bad\\x1b[31m\\u202ename"),
    ],
)
def test_a_command_is_shown_up_to_its_first_option_i6(proc, words, shown):
    assert describe_process(7, "x", proc(*words)) == f"process 7 ({shown}, since 2023-11-14T22:17:30Z)"


def test_a_process_that_is_not_there_is_named_by_its_number(tmp_path):
    assert describe_process(7, "python3", tmp_path) == "process 7 (python3)"


def test_a_real_process():
    with subprocess.Popen(["cat", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdin.write(b"x\n")
        other.stdin.flush()
        other.stdout.readline()  # Before its program runs, it has no command line.
        said = describe_process(other.pid, "x")
        other.stdin.close()
    assert said.startswith(f"process {other.pid} (cat, since 20")
