"""The DuckDB file, which admits one process or readers only: open it, keep it open, copy it; dlt's destination for it.

It uses undocumented parts of dlt's DuckDB destination, checked with dlt 1.31; see `dlt_internals`.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt

from ..core.budget import Budget
from ..core.clock import Clock
from ..core.errors import Busy, ConfigurationError, DestinationError
from ..core.file_lock import Waiting
from ..core.private_files import check_own, replace_own, writing
from ..core.process import MOST_DUCKDB_MEMORY, describe_process, duckdb_memory, parse_memory
from ..core.redaction import first_line

if TYPE_CHECKING:
    import duckdb
    from dlt.common.pipeline import SupportsPipeline

KeepOpen = Callable[[], AbstractContextManager[None]]
"""Keeps the destination open during a block, as `OpenFile` does for a DuckDB file."""
USER_AGENT = "automatum"
"""DuckDB takes another connection of the same process only if it is configured alike. So this name tells the
connector's connections from those of a notebook that runs in the same process."""
STORAGE_VERSION = "v1.0.0"
"""Storage version of new files, which DuckDB 1.0 and later read. DuckDB 1.4 and 1.5 write it by default; what DuckDB
2.0 writes by default, no earlier version reads."""
_NEW, _BLOCK = "new-", 1 << 20
_READ_A_COPY = (
    "Close it there: a notebook keeps the file for as long as its connection is open, even a read-only one. To "
    "read during a sync, let it make a copy (--read-copy FILE). A sync or push waits longer with --lock-wait SECONDS."
)
IDLE_SECONDS = 1.0
"""Seconds that a run leaves the file open after it used it."""
_MEMORY = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
_HOLDER = re.compile(r"held in (.+?) \(PID (\d+)\)")


def create_file(database: Path) -> None:
    """Create a DuckDB file in `STORAGE_VERSION`; leave an existing one as it is.

    Afterwards each connection writes this version. It can only be set while a file is created, and dlt has no option
    for it. The file appears whole or not at all: on a full disk DuckDB leaves one that nobody can open.

    Raises:
        DestinationError: The file cannot be created.
    """
    import duckdb

    if database.exists():
        return
    made = database.with_name(f".{database.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        duckdb.connect(str(made), config={"storage_compatibility_version": STORAGE_VERSION}).close()
        try:
            os.link(made, database)
        except FileExistsError:
            pass  # Another program was faster.
        except OSError:  # A file system without links.
            if not database.exists():
                made.rename(database)
    except (duckdb.Error, OSError) as error:
        step = "Check that the disk has space and that the folder is yours to write."
        raise DestinationError(f"{database} cannot be created: {first_line(error)}", step) from None
    finally:
        made.unlink(missing_ok=True)


def check_copy(copy: Path) -> None:
    """Refuse a read copy in place of a file that no sync has made, such as a ledger.

    Raises:
        ConfigurationError: There is such a file, a folder, a link, or another user's file.
    """
    check_own(copy)
    note = _note_of(copy)
    if copy.exists() and str(copy.stat().st_ino) not in (note.read_text().split() if note.is_file() else ()):
        raise ConfigurationError(
            "--read-copy", f"{copy} is not a copy that a sync has made.", "Delete it, or name another file."
        )


def refresh_copy(database: Path, copy: Path) -> None:
    """Replace the copy in one step. A program that has the old copy open keeps reading it.

    The copy gets the mode of the file.

    Args:
        database: The file; no other process writes to it.
        copy: The copy; its folder exists.

    Raises:
        ConfigurationError, DiskFull: The copy cannot be written; see `check_copy`.
        DestinationError: The database cannot be opened.
    """
    import duckdb  # Not needed, and perhaps not installed, where the destination is another.

    check_copy(copy)
    made = None
    with writing("--read-copy", f"{copy} cannot be written", "Name another file."):
        try:
            for left in copy.parent.glob(f".{glob.escape(copy.name)}.{_NEW}*"):
                left.unlink(missing_ok=True)  # A killed run has left it. Only one run at a time makes copies.
            # An unpredictable name: in a shared folder, another user may have put a link at a predictable one.
            number, name = tempfile.mkstemp(dir=copy.parent, prefix=f".{copy.name}.{_NEW}")
            made = Path(name)
            # A checkpoint writes all that was committed from the log to the file. The connection keeps others out.
            with os.fdopen(number, "wb") as written, _open(database) as connection:
                connection.execute("CHECKPOINT")
                with database.open("rb") as original:
                    shutil.copyfileobj(original, written, _BLOCK)
                made.chmod(database.stat().st_mode & 0o777)
                written.flush()
                os.fsync(written.fileno())
            # Both, because a kill may leave the old copy in its place.
            numbers = [one.stat().st_ino for one in (copy, made) if one.exists()]
            replace_own(_note_of(copy), " ".join(map(str, numbers)).encode())
            # A program that wrote to the old copy and was killed leaves a log, which makes the new copy unreadable.
            copy.with_name(copy.name + ".wal").unlink(missing_ok=True)
            made.replace(copy)
            replace_own(_copy_of(database), str(copy.absolute()).encode())
        except duckdb.Error as error:
            raise DestinationError(f"{database} cannot be copied: {first_line(error)}") from None
        finally:
            if made:
                made.unlink(missing_ok=True)


def find_copy(database: Path) -> Path | None:
    """The last read copy of a file; None if no sync has made one, or it cannot be used.

    Args:
        database: The file.
    """
    note = _copy_of(database)
    with contextlib.suppress(OSError, ConfigurationError):
        copy = Path(note.read_text())
        check_copy(copy)
        return copy if copy.is_file() else None
    return None


def _note_of(copy: Path) -> Path:
    """Where the inodes of copies are noted."""
    return copy.with_name(f".{copy.name}.made")


def _copy_of(database: Path) -> Path:
    """Where the path of the last read copy is noted."""
    return database.with_name(f".{database.name}.copy")


def open_when_free(
    database: Path, *, wait: float, clock: Clock, budget: Budget, read_only: bool = False
) -> duckdb.DuckDBPyConnection:
    """Open a DuckDB file once no other program has it open.

    dlt opens the file for each query and for each file that it loads, and closes it again, which writes a checkpoint.
    While this connection is open, dlt's connections share its database, and only the last one writes a checkpoint.

    Args:
        database: The file.
        wait: Seconds.
        clock: Time.
        budget: Bounds of the run, which also end the wait.
        read_only: Open it for reading, beside other readers.

    Raises:
        Busy: Another program still has it open then, or this very process has it open.
        BudgetSpent: The run was told to stop, or its time is over.
        DestinationError: It cannot be opened for another reason.
    """
    waiting = Waiting(f"The DuckDB file {database}", wait, clock, budget)
    while isinstance(opened := _connect(database, read_only), str):
        waiting.pause(f"is open in {opened}", _READ_A_COPY)
    return opened


class OpenFile:
    """A DuckDB file that a run keeps open while it uses it, and for `IDLE_SECONDS` after that. Thread-safe.

    To open a file and to close it, with a checkpoint, takes longer than the queries of a small sync. So a run does it
    once if its lists are short, however many organizations it syncs. While a run reads a long list, or waits for a rate
    limit, the file is closed, and others can read it.

    What was loaded stays in memory until the file is closed, and dlt sets the memory limit anew with each connection,
    which DuckDB refuses while it uses more. So the file is closed at once if it takes half of the limit.

    Args:
        database: The file.
        wait: Seconds to wait for another program that has it open.
        clock: Time.
        budget: Bounds of the run, which also end the wait.
        timer: Makes the timer that closes the file, from seconds and a function.
    """

    def __init__(
        self,
        database: Path,
        *,
        wait: float,
        clock: Clock,
        budget: Budget,
        timer: Callable[[float, Callable[[], None]], threading.Timer] = threading.Timer,
    ) -> None:
        self._open = partial(open_when_free, database, wait=wait, clock=clock, budget=budget)
        self._make_timer = timer
        self._lock = threading.Lock()
        self._most_bytes = (parse_memory(duckdb_memory()) or 0) // 2
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._timer: threading.Timer | None = None
        self._blocks = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Keep the file open during a block. Blocks can be nested; see `open_when_free` for the errors."""
        with self._lock:
            self._stop_timer()
            if self._connection is None:
                self._connection = self._open()
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if not self._blocks:
                    self._let_go(self._connection)

    def close(self) -> None:
        """Close the file, unless a block uses it."""
        with self._lock:
            self._stop_timer()
            if not self._blocks and self._connection:
                self._connection.close()
                self._connection = None

    def _let_go(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Close the file after a while, or at once if it takes much memory or cannot be used any more."""
        import duckdb

        try:
            used = connection.execute(_MEMORY).fetchone()
            if not used or used[0] <= self._most_bytes:
                self._timer = self._make_timer(IDLE_SECONDS, self.close)
                self._timer.daemon = True
                self._timer.start()
                return
        except duckdb.Error:
            pass
        connection.close()
        self._connection = None

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _open(database: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    import duckdb  # Not needed, and perhaps not installed, where the destination is another.

    create_file(database)
    return duckdb.connect(str(database), read_only=read_only, config={"custom_user_agent": USER_AGENT})


def _connect(database: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection | str:
    """A connection; or, in words, the program that has the file open."""
    import duckdb

    try:
        return _open(database, read_only)
    except duckdb.Error as error:
        text = str(error)
        if "different configuration" in text:
            raise Busy(f"The DuckDB file {database} is open in this very process.", _READ_A_COPY) from None
        if found := _HOLDER.search(text):
            return describe_process(int(found[2]), Path(found[1]).name)
        if "Could not set lock" in text:
            return "another program"
        raise DestinationError(
            f"The DuckDB file {database} cannot be opened: {first_line(error)}",
            "Check that it is a DuckDB file, written by this version of DuckDB or an older one, and yours to write.",
        ) from None


def duckdb_destination(database: Path, memory_limit: str, user_agent: str | None = None, **options: Any) -> Any:
    """Dlt's destination for a DuckDB file, which creates the file as `create_file` does.

    Args:
        database: Absolute path. dlt resolves a relative one against the folder of the pipeline's first run.
        memory_limit: As DuckDB's setting, such as `64MB`.
        user_agent: Name of the program that connects; None for DuckDB's default.
        **options: Further options of the destination.
    """
    from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

    # Not as its argument: dlt would first try to read the path as a URL, for which it imports all of SQLAlchemy.
    credentials = DuckDbCredentials()
    credentials.database = str(database)
    credentials.global_config = {"memory_limit": memory_limit}
    if user_agent:
        credentials.global_config["custom_user_agent"] = user_agent
    made = dlt.destinations.duckdb(credentials, **options)
    resolve, compute, known = made.configuration, made.capabilities, dict[Any, Any]()

    def configuration(initial_config: Any, accept_partial: bool = False) -> Any:
        # dlt asks for the whole configuration when it makes a client, which connects to the file at once.
        config = resolve(initial_config, accept_partial)
        if not accept_partial and not config.credentials.read_only:
            create_file(database)
        return config

    def capabilities(config: Any = None, naming: Any = None) -> Any:
        # dlt asks for them for each client, and resolves the configuration for them, on which they do not depend.
        if type(naming) not in known:
            known[type(naming)] = compute(made.spec(), naming)
        return known[type(naming)].copy()  # dlt replaces values in what it gets.

    patched: Any = made
    patched.configuration, patched.capabilities = configuration, capabilities
    return made


def remember_database(pipeline: SupportsPipeline) -> None:
    """Note the path of a DuckDB file in the local state of a pipeline, so that `dlt.attach` finds the file.

    dlt stores no path. A pipeline that is attached by its name would create a file in the working directory.
    """
    if is_duckdb(pipeline):
        credentials = pipeline.destination.config_params.get("credentials")
        database = getattr(credentials, "database", credentials)
        if isinstance(database, (str, Path)):
            opened: Any = pipeline
            opened.set_local_state_val("duckdb_database", str(Path(database).absolute()))


def is_duckdb(pipeline: SupportsPipeline) -> bool:
    """Whether a pipeline loads to a DuckDB file."""
    return isinstance(pipeline.destination, dlt.destinations.duckdb)


def grow_duckdb_memory(pipeline: SupportsPipeline, most_bytes: int = MOST_DUCKDB_MEMORY) -> str | None:
    """Raise DuckDB's memory limit fourfold; returns the new limit, or None if the bound is reached or none is set."""
    credentials = getattr(pipeline.destination, "config_params", {}).get("credentials")
    limits = getattr(credentials, "global_config", None) or {}
    limit = parse_memory(str(limits.get("memory_limit", "")))
    if limit is None or limit >= most_bytes:
        return None
    limits["memory_limit"] = f"{min(limit * 4, most_bytes) // 1_000_000}MB"
    return str(limits["memory_limit"])
