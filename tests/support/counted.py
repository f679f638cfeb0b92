"""Counts the calls of functions, for tests of how much work something is that do not depend on the machine."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import automatum

_ROOT = str(Path(automatum.__file__).parent)


def count_calls(work: Callable[[], Any]) -> Counter[str]:
    """Runs `work` and counts the calls of each function in this thread: module below the package and name, or the C
    function's name."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_ROOT):
            calls[_name(frame)] += 1
        elif event == "c_call":
            calls[f"{argument.__module__}.{argument.__qualname__}"] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def count_calls_of_all_threads(work: Callable[[], Any]) -> Counter[str]:
    """Runs `work` and counts the calls of the package's functions, also in the threads that it starts."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_ROOT):
            calls[_name(frame)] += 1

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def _name(frame: FrameType) -> str:
    module = frame.f_code.co_filename.removeprefix(_ROOT).strip("/").removesuffix(".py").replace("/", ".")
    return f"{module}.{frame.f_code.co_name}"
