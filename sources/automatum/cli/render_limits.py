"""What was learned about the API's rate limits, as lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def limit_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The limits that differ from the settings, and what to set.

    Args:
        rows: See `api.rate_limit.learned`; with `organization` if several are configured.
    """
    return [_line(row) for row in rows if row["limit"] != row["configured"]]


def _line(row: Mapping[str, Any]) -> str:
    whose = f"the {row['scope']}" + (f" of {row['organization']}" if row.get("organization") else "")
    origin = f"{row['source']}, {row['learned_at']}"
    configured = "none is configured" if row["configured"] is None else f"{row['configured']:,} are configured"
    if row["evidence"] == "guess":
        return (
            f"The API reports a limit of {row['limit']:,} for {whose} ({origin}), probably per {row['period']}; "
            f"{configured}."
        )
    verb = "refuses more than about" if row["evidence"] == "refusal" else "allows"
    line = f"The API {verb} {row['limit']:,} requests per {row['period']} for {whose} ({origin}); {configured}."
    if row["applies"]:
        line += " The connector keeps to the lower limit."
    if row["set"]:
        line += f" Set {row['setting']} = {row['set']}."
    return line
