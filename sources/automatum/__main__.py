"""Entry point: `automatum`, `python -m automatum`."""

from __future__ import annotations

from .core.process import disable_telemetry, limit_memory, open_standard_streams, print_every_character


def main() -> None:
    """Run the command line."""
    open_standard_streams()
    print_every_character()
    # Before dlt and Arrow are imported, which the commands do.
    disable_telemetry()
    limit_memory()
    from .cli.main import app

    app()


if __name__ == "__main__":
    main()
