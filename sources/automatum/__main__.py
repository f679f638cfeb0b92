"""Entry point: `automatum`, `python -m automatum`."""

from __future__ import annotations

import contextlib
import sys

from . import __version__
from .core.process import (
    disable_telemetry,
    end_process,
    limit_memory,
    open_standard_streams,
    pause_garbage_collection,
    print_every_character,
)


def main() -> None:
    """Run the command line, and end the process."""
    code = run()
    end_process(code)
    sys.exit(code)


def run() -> str | int | None:
    """Run the command line.

    Returns:
        Code of `SystemExit`.
    """
    pause_garbage_collection()
    open_standard_streams()
    print_every_character()
    if sys.argv[1:] == ["--version"]:  # Without the commands, whose import takes ten times as long.
        with contextlib.suppress(OSError):  # The commands report an stdout that cannot be written to.
            print(__version__, flush=True)  # noqa: T201
            return None
    # Before dlt and Arrow are imported, which the commands do.
    disable_telemetry()
    limit_memory()
    from .cli.main import app

    try:
        app()
    except SystemExit as done:
        return done.code
    return None


if __name__ == "__main__":
    main()
