"""target-duckdb with its defaults: `python -m suite.cases.singer_target DATABASE`, messages on stdin."""

import json
import sys
from pathlib import Path

from target_duckdb import main as load


def main() -> None:
    """Write its configuration file, and run it."""
    config = Path("target.json")
    config.write_text(json.dumps({"filepath": sys.argv[1], "default_target_schema": "bench"}), encoding="utf-8")
    sys.argv[1:] = ["--config", str(config)]
    load()


if __name__ == "__main__":
    main()
