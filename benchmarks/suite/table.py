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
    rounds, base = group["rounds"], group["tasks"][0]["name"]
    heads = ["", "seconds", "CPU", "MB", *([f"× {base.partition(',')[0]}"] if group["compared"] else [])]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for task in group["tasks"]:
        name = task["name"]
        lost = middle(rounds, name, "lost")
        cells = [name + (f" (rows lost: {lost:,.0f})" if lost > 0 else "")]
        cells += [f"{middle(rounds, name, figure):.2f}" for figure in ("seconds", "cpu")]
        cells.append(f"{middle(rounds, name, 'megabytes'):.0f}")
        if group["compared"]:
            cells.append(f"{ratio(rounds, name, task['against'] or base, 'cpu'):.2f}")
        lines.append(cells)
    return as_markdown(lines)


def growth_table(groups: Sequence[Mapping[str, Any]]) -> str:
    """The table of lists of several sizes, with what a further row costs: the fixed cost of a start is not in it."""
    heads = ["", "rows", "CPU", "µs a further row", "MB", "× floor"]
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for what in dict.fromkeys(group["title"].partition(" ")[2] for group in groups):
        sizes = [group for group in groups if group["title"].partition(" ")[2] == what]
        base = sizes[0]["tasks"][0]["name"]
        for task in sizes[0]["tasks"]:
            name, rows, cpu = task["name"], 0, 0.0
            for group in sizes if name != base else ():
                rounds, taken = group["rounds"], middle(group["rounds"], name, "cpu")
                further = f"{1e6 * (taken - cpu) / (group['rows'] - rows):.1f}" if rows else ""
                rows, cpu = group["rows"], taken
                figures = [f"{cpu:.2f}", further, f"{middle(rounds, name, 'megabytes'):.0f}"]
                lines.append([f"{name}: {what}", f"{rows:,}", *figures, f"{ratio(rounds, name, base, 'cpu'):.2f}"])
    return as_markdown(lines)


def as_markdown(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as a table."""
    return "\n".join(f"|{'|'.join(cells)}|" for cells in lines)


def document(measured: Mapping[str, Any]) -> str:
    """All tables, with when and on what they were measured."""
    parts = []
    sizes = [group for group in measured["groups"] if group["section"] == "growth"]
    for group in measured["groups"]:
        if group not in sizes:
            parts += [f"### {group['title']}", table(group)]
    if sizes:
        parts += ["### Growth", growth_table(sizes)]
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    parts.append(f"{_notes(measured['groups'])} Machine: {measured['machine']}. Versions: {versions}.")
    return "\n\n".join(parts)


def _notes(groups: Sequence[Mapping[str, Any]]) -> str:
    """When, and with how many rounds, each section was measured."""
    found: dict[str, list[str]] = {}
    for group in groups:
        said = f"{group['date']}, commit {group['commit']}, rounds: {len(group['rounds'])}"
        found.setdefault(said, []).append(group["section"])
    return " ".join(f"{', '.join(dict.fromkeys(names))}: {said}." for said, names in found.items())


def write_into(page: Path, measured: Mapping[str, Any]) -> None:
    """Replace what is between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
    page.write_text(between.sub(lambda _: f"\n\n{document(measured)}\n\n", text), encoding="utf-8")
