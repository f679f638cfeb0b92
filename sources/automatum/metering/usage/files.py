"""Usage files that do not change while they are read, and that nobody seems to be writing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...core.clock import Clock
from ...core.errors import ConfigurationError

QUIET = 5.0
"""Seconds without a write after which a file is read."""
FRESH = 60.0
"""Seconds since the last write in which a last line without an end may be half a line."""
_WAITS = 3
"""Times that a file may change while it is waited for."""
_COMPLETE = "Write it under another name, and rename it when it is complete. Then push again."


@contextmanager
def complete_file(path: Path, clock: Clock) -> Iterator[None]:
    """Refuse a file that changes in the block, or may not be complete. One that was just written is waited for.

    Args:
        path: A file. The last line of a `.csv` file that was written within the last minute must have an end.
        clock: Time.

    Raises:
        ConfigurationError: It is being written, changed, or may lack a part of its last line.
    """
    before = path.stat()
    for _ in range(_WAITS):
        # A file server's clock may be ahead of ours.
        if (age := abs(clock.time() - before.st_mtime)) >= QUIET:
            break
        clock.sleep(QUIET - age)
        before = path.stat()
    else:
        raise ConfigurationError("usage", f"{path} is being written.", _COMPLETE)
    if path.suffix.lower() == ".csv" and abs(clock.time() - before.st_mtime) < FRESH and before.st_size:
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) not in b"\r\n":
                raise ConfigurationError(
                    "usage",
                    f"{path} was written within the last minute, and its last line has no end: it may be incomplete.",
                    "End the last line with a line break, or push again in a minute.",
                )
    yield
    after = path.stat()
    if any(getattr(before, name) != getattr(after, name) for name in ("st_size", "st_mtime_ns", "st_ino")):
        raise ConfigurationError("usage", f"{path} changed while it was read.", _COMPLETE)
