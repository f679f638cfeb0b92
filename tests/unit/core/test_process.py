"""What the process sets up before a command runs."""

import io
import sys

from automatum.core.process import print_every_character


def test_a_character_that_stdout_lacks_is_printed_as_an_escape(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    print_every_character()
    print("Ünïcode", flush=True)
    assert narrow.buffer.getvalue() == b"\\xdcn\\xefcode\n"
