"""The planted bugs: a TOML file for each area, and the page that says what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import tomlkit

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RESULTS = HERE / "results.json"
PAGE = ROOT / "docs" / "internals" / "mutants.md"
_HEAD = """# Planted bugs

`make mutants` plants each of these bugs in a copy of the connector and runs the tests that should notice it;
`make mutants MUTANTS="paging quota"` plants those of some areas. It also writes this page. The bugs are in
`tests/support/mutants`.
"""


@dataclass(frozen=True)
class Mutant:
    """One bug.

    Attributes:
        area: What it is in.
        name: What it does, in words.
        file: Path below `sources/automatum`.
        old: Text that occurs there once.
        new: What it becomes.
        tests: Arguments of pytest.
        same: Why the bug changes nothing that a test can see; empty if a test must notice it.
    """

    area: str
    name: str
    file: str
    old: str
    new: str
    tests: str
    same: str = ""

    def planted(self, root: Path) -> str:
        """The file with the bug, in a tree.

        Raises:
            ValueError: The old text does not occur exactly once.
        """
        text = (root / "sources" / "automatum" / self.file).read_text()
        if text.count(self.old) != 1 or self.old == self.new:
            raise ValueError(f"{self.area}, {self.name}: {self.file} has the text {text.count(self.old)} times")
        return text.replace(self.old, self.new)


def mutants() -> Iterator[Mutant]:
    """All bugs, area by area."""
    for path in sorted(HERE.glob("*.toml")):
        found = tomlkit.parse(path.read_text()).unwrap()
        for one in found["mutant"]:
            yield Mutant(path.stem, **{"tests": found["tests"], **one})


def read_results() -> dict[str, str]:
    """Of the bugs that were planted: name to the id of the test that noticed it first; empty if none did."""
    results: dict[str, str] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return results


def page(results: Mapping[str, str]) -> str:
    """The page."""
    every = list(mutants())
    caught = sum(bool(results.get(one.name)) for one in every)
    same = sum(bool(one.same) and results.get(one.name) == "" for one in every)
    text = f"{_HEAD}\nOf {len(every)} bugs, tests notice {caught}; {same} change nothing that a test can see"
    fresh = sum(one.name not in results for one in every)
    survived = len(every) - caught - same - fresh
    text += f"; {survived} are not noticed yet" if survived else ""
    text += f"; {fresh} were not planted yet.\n" if fresh else ".\n"
    text += "\n|Area|Bugs|Noticed|\n|---|--:|--:|\n"
    for area in dict.fromkeys(one.area for one in every):
        own = [one for one in every if one.area == area]
        text += f"|{area}|{len(own)}|{sum(bool(results.get(one.name)) for one in own)}|\n"
    text += "\nNot noticed:\n\n"
    for one in every:
        if one.same or results.get(one.name) == "":
            text += f"- {one.area}, `{one.file}`: {one.name} ({one.same or 'no test yet'})\n"
    return text
