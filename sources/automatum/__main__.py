"""Entry point: `automatum`, `python -m automatum`."""

from __future__ import annotations

from .core.process import keep_to_itself, stay_small


def main() -> None:
    """Run the command line."""
    # Before dlt and Arrow are imported, which the commands do.
    keep_to_itself()
    stay_small()
    from .cli.main import app

    app()


if __name__ == "__main__":
    main()
