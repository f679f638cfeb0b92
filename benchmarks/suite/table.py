"""The figures as Markdown: medians, and medians of the ratios of each round."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"


def middle(rounds: Sequence[Mapping[str, Mapping[str, float]]], task: str, figure: str) -> float:
    """The median of a figure of a task."""
    return median(taken[task][figure] for taken in rounds)


def ratio(rounds: Sequence[Mapping[str, Mapping[str, float]]], task: str, other: str, figure: str) -> float:
    """How many times the other task's figure: the median of the rounds, as both took their turns in each."""
    return median(taken[task][figure] / max(taken[other][figure], 1e-9) for taken in rounds)


def table(group: Mapping[str, Any]) -> str:
    """The table of a group."""
    rounds, rows, base = group["rounds"], group["rows"], group["tasks"][0]["name"]
    heads = ["", "seconds", "CPU seconds", "peak MB"]
    if rows:
        heads.append("µs a row (CPU)")
    if group["compared"]:
        heads += ["× seconds", "× CPU"]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for task in group["tasks"]:
        name = task["name"]
        lost = middle(rounds, name, "lost")
        cells = [f"{name}" + (f" (loses {lost:,.0f} rows)" if lost > 0 else "")]
        cells += [f"{middle(rounds, name, figure):.2f}" for figure in ("seconds", "cpu")]
        cells.append(f"{middle(rounds, name, 'megabytes'):.0f}")
        if rows:
            cells.append(f"{1e6 * middle(rounds, name, 'cpu') / rows:.1f}")
        if group["compared"]:
            against = task["against"] or base
            cells += [f"{ratio(rounds, name, against, figure):.2f}" for figure in ("seconds", "cpu")]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def document(measured: Mapping[str, Any]) -> str:
    """All tables, with when and on what they were measured."""
    parts = []
    for group in measured["groups"]:
        note = f"{len(group['rounds'])} rounds, {group['date']}, commit {group['commit']}."
        parts += [f"### {group['title']}", table(group), note]
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    parts.append(f"Machine: {measured['machine']}. Versions: {versions}.")
    return "\n\n".join(parts)


def write_into(page: Path, measured: Mapping[str, Any]) -> None:
    """Replace what is between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
    page.write_text(between.sub(lambda _: f"\n\n{document(measured)}\n\n", text), encoding="utf-8")
