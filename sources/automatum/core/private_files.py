"""Files for their owner alone: what a run creates may hold customers' data and prices."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import ConfigurationError, DiskFull

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that is full, or of this user's share of it."""
_PRIVATE = 0o077
_lock = threading.Lock()
_blocks: list[int] = []
"""The umask before the first of the blocks that run at present, once for each of them."""


@contextmanager
def private_files() -> Iterator[None]:
    """Create files with mode 0600 and folders with mode 0700 while the block runs, whatever the umask.

    DuckDB and dlt create files without a mode of their own. The umask belongs to the process, so the files that other
    threads create during the block are private too. Files that exist keep their mode.
    """
    with _lock:
        _blocks.append(_blocks[0] if _blocks else os.umask(_PRIVATE))
    try:
        yield
    finally:
        with _lock:
            before = _blocks.pop()
            if not _blocks:
                os.umask(before)


@contextmanager
def writing(key: str, problem: str, next_step: str) -> Iterator[None]:
    """Say which setting names the file that the block cannot write.

    Args:
        key: Name of the setting or option.
        problem: What cannot be done, such as `FOLDER cannot be used`.
        next_step: What to do if the place is the problem.

    Raises:
        DiskFull: No space is left.
        ConfigurationError: Any other `OSError`.
    """
    try:
        yield
    except OSError as error:
        problem = f"{problem}: {error.strerror}."
        if error.errno in NO_SPACE:
            raise DiskFull(f"{key}: {problem}") from None
        raise ConfigurationError(key, problem, next_step) from None


def check_own(path: Path) -> None:
    """Refuse a file that exists and is a link, no plain file, or another user's.

    Raises:
        ConfigurationError: It is one of these.
    """
    with suppress(FileNotFoundError):
        found = os.lstat(path)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigurationError(str(path), "is a link, or no plain file.", "Remove it, or name another file.")
        if found.st_uid != os.geteuid():
            raise ConfigurationError(str(path), "belongs to another user.", "Run as that user, or name another file.")


def replace_own(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file in one step: a reader sees the old content or the new one.

    Args:
        path: The file; its folder exists.
        content: All that it is to hold.
        mode: Of the file.

    Raises:
        ConfigurationError: What is there is a link, no plain file, or another user's. It is not changed.
        OSError: It cannot be written.
    """
    check_own(path)
    # An unpredictable name: in a shared folder, another user may have put a link at a predictable one.
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(number, mode)
            os.fsync(number)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
