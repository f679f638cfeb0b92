"""A copy of the DuckDB file for those who read while a sync writes: DuckDB admits one process, or readers only."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import duckdb

from .errors import ConfigurationError, DestinationError
from .redaction import redact


def refresh(database: Path, copy: Path) -> None:
    """Replace the copy, at once: who has the old one open goes on reading that.

    Args:
        database: The file; nobody else writes to it.
        copy: The copy; its folder is there.

    Raises:
        ConfigurationError: The copy cannot be written.
        DestinationError: The database cannot be opened.
    """
    made = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        # Everything that was committed goes from the log into the file; the connection keeps others out meanwhile.
        with duckdb.connect(str(database)) as connection:
            connection.execute("CHECKPOINT")
            shutil.copyfile(database, made)
        with made.open("rb+") as written:
            os.fsync(written.fileno())
        # What a program that wrote to the old copy and died has left beside it would make the new one unreadable.
        copy.with_name(copy.name + ".wal").unlink(missing_ok=True)
        made.replace(copy)
    except duckdb.Error as error:
        raise DestinationError(f"{database} cannot be copied: {redact(str(error)).splitlines()[0]}") from None
    except OSError as error:
        raise ConfigurationError("--read-copy", f"{copy}: {error.strerror}.", "Name another file.") from None
    finally:
        with contextlib.suppress(OSError):
            made.unlink(missing_ok=True)
