"""`python -m automatum_sandbox`: serve a sandbox, after one line with its address and credentials."""

from __future__ import annotations

import argparse
import sys

from . import Sandbox, SandboxConfig, parse_limits, run


def main(arguments: list[str] | None = None) -> None:
    """Parse arguments and serve until interrupted."""
    defaults = SandboxConfig()
    parser = argparse.ArgumentParser(
        "automatum_sandbox", description="The sandbox: a local server with the Automatum API and made-up data."
    )
    parser.add_argument("--port", type=int, default=8700)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--customers", type=int, default=defaults.customers)
    parser.add_argument("--entitlements", type=int, default=defaults.entitlements)
    parser.add_argument("--private-offers", type=int, default=defaults.private_offers)
    parser.add_argument("--days", type=int, default=defaults.days)
    parser.add_argument("--window-scale", type=float, default=defaults.window_scale)
    parser.add_argument("--traps", action="store_true", help="rows that break naive readers")
    parser.add_argument("--latency", type=float, default=defaults.latency, help="seconds before each response")
    parser.add_argument("--limit", action="append", default=[], help="20/minute, 500/hour or none; can be repeated")
    given = vars(parser.parse_args(arguments))
    port, limit = given.pop("port"), given.pop("limit")
    try:
        sandbox = Sandbox(SandboxConfig(limits=parse_limits(limit), **given))
    except ValueError as error:
        parser.error(str(error))
    line = f"http://127.0.0.1:{port} client_id={sandbox.client_id} client_secret={sandbox.client_secret}"
    print(f"automatum sandbox (not the vendor's API): {line}", flush=True, file=sys.stdout)  # noqa: T201
    run(port, sandbox)


if __name__ == "__main__":
    main()
