"""Measure the connector against a floor and its peers: `python benchmarks/bench.py [SECTION ...]`, or `make bench`.

Sections: flat, nested, second, startup, push, organizations, growth, peers; default: all. Prints tables in Markdown.

    python benchmarks/bench.py flat nested                    # what a change of the sync does to a first load
    python benchmarks/bench.py startup --before /path/to/python   # against a checkout without the change, in turns
    python benchmarks/bench.py --quick                        # everything in small, once, without the peers

Every figure is of a whole process, from start to exit. Compare ratios, not seconds: the tasks of a group take turns
against the same server, and a ratio is the median of the rounds. On a busy machine only CPU seconds mean anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from suite.measure import ProgramFailed
from suite.plan import QUICK, SECTIONS, Group, Sizes, environments, groups, with_before
from suite.run import Bench, warm
from suite.table import document, write_into

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs/internals/performance.md", ROOT / "benchmarks/results.json"
_PACKAGES = {
    "bench": ("dlt", "duckdb", "pyarrow", "orjson"),
    "singer": ("singer-sdk", "target-duckdb"),
    "airbyte": ("airbyte", "airbyte-cdk"),
}
_VERSIONS = (
    "import json, sys; from importlib.metadata import version; print(json.dumps(list(map(version, sys.argv[1:]))))"
)


def arguments() -> argparse.Namespace:
    """What the command line says."""
    assert __doc__
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="few rows, one round, no peers")
    parser.add_argument("--repeats", type=int, help="rounds; default 3, for startup 10, with --quick 1")
    parser.add_argument("--rows", type=int, help="rows of the lists of flat, nested, second and peers")
    parser.add_argument("--python", type=Path, help="interpreter of the connector; default: that of .venv-bench")
    parser.add_argument("--before", type=Path, help="interpreter of another version of the connector, to compare with")
    parser.add_argument("--output", type=Path, help="file for the figures as JSON")
    parser.add_argument("--write", action="store_true", help="keep the figures; write docs/internals/performance.md")
    parsed = parser.parse_args()
    unknown = set(parsed.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return parsed


def commit() -> str:
    """The commit that is measured, with a mark if files differ from it; the published figures may."""
    figures = [f":!{path.relative_to(ROOT)}" for path in (RESULTS, PAGE)]
    described = _git("describe", "--always", "--exclude=*")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *figures)
    return f"{described}-dirty" if changed else described or "unknown"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()


def machine() -> str:
    """Processors, memory and system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 30
    return f"{os.cpu_count()} processors ({platform.machine()}), {memory} GB, {platform.system()}"


def versions(homes: dict[str, Path], used: set[str]) -> dict[str, str]:
    """Versions of Python and of what was measured."""
    found = {"Python": platform.python_version()}
    for home, packages in _PACKAGES.items():
        if home in used:
            command = [str(homes[home]), "-c", _VERSIONS, *packages]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            found |= dict(zip(packages, json.loads(printed), strict=True))
    return found


def measure(asked: argparse.Namespace, bench: Bench, homes: dict[str, Path]) -> dict[str, Any]:
    """Measure all groups. A group with a task that fails is left out and named; the others are measured."""
    sections = set(asked.sections or SECTIONS) - ({"peers"} if asked.quick else set())
    sizes = QUICK if asked.quick else Sizes()
    if asked.rows:
        sizes = Sizes(rows=asked.rows)
    made, failures, used, measured = [], [], {"bench"}, commit()
    for planned in groups(sections, sizes):
        group = with_before(planned) if asked.before else planned
        repeats = asked.repeats or (1 if asked.quick else 10 if group.section == "startup" else 3)
        try:
            made.append({**describe(group, bench.measure(group, repeats)), "commit": measured})
        except ProgramFailed as failed:
            print(f"bench: {failed}", file=sys.stderr, flush=True)
            failures.append(group.title)
        used |= {task.program.home for task in group.tasks}
    return {"machine": machine(), "versions": versions(homes, used), "groups": made, "failures": failures}


def describe(group: Group, rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """A group and its figures, for JSON."""
    tasks = [{"name": task.name, "against": task.against} for task in group.tasks]
    kept = {name: value for name, value in asdict(group).items() if name in ("section", "title", "compared", "rows")}
    return {**kept, "tasks": tasks, "date": time.strftime("%Y-%m-%d"), "rounds": rounds}


def keep(measured: dict[str, Any]) -> dict[str, Any]:
    """Replace the sections that were measured in the figures that are kept."""
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    older, known = before.get("groups", []), before.get("versions", {})
    again = {group["section"] for group in measured["groups"]}
    kept = [group for group in older if group["section"] not in again] + measured["groups"]
    kept.sort(key=lambda group: SECTIONS.index(group["section"]))
    merged = {**measured, "groups": kept, "versions": {**known, **measured["versions"]}}
    RESULTS.write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    return merged


def main() -> int:
    """Measure, print, and keep the figures if asked to."""
    asked = arguments()
    homes = environments(ROOT)
    if asked.python or not homes["bench"].exists():
        homes["bench"] = asked.python or Path(sys.executable)
    if asked.before:
        homes["before"] = asked.before.absolute()
    homes["bench"] = homes["bench"].absolute()
    missing = [home for home in ("singer", "airbyte") if not homes[home].exists()]
    if missing and not asked.quick and "peers" in (asked.sections or SECTIONS):
        names = ", ".join(f".venv-bench-{home}" for home in missing)
        print(f"bench: the peers have no environment yet ({names}); `make bench` makes it", file=sys.stderr)
        return 1
    warm(homes["bench"])
    with tempfile.TemporaryDirectory(prefix="automatum-bench-") as folder:
        bench = Bench(homes, Path(folder), lambda line: print(line, file=sys.stderr, flush=True))
        measured = measure(asked, bench, homes)
    failures = measured.pop("failures")
    if asked.output:
        asked.output.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    print(document(measured))
    if asked.write:
        write_into(PAGE, keep(measured))
    for title in failures:
        print(f"bench: not measured, as a task of it failed: {title}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
