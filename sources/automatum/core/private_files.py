"""Files for their owner alone: what a run creates may hold customers' data and prices."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
