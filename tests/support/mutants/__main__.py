"""Plants bugs one at a time in two copies of the tree, runs the tests that should notice, and writes the page.

The arguments name areas; without one, all bugs are planted. `new`: those that no test has noticed yet.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from .planted import PAGE, RESULTS, ROOT, Mutant, mutants, page, read_results

_COPIES = 2
_TIMEOUT = 240.0
"""Seconds. A bug that makes a test hang is noticed."""
_TOP = (
    "sources",
    "tests",
    "docs",
    "pipelines",
    "pyproject.toml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "Makefile",
)
_ENDLESS = "a test that does not end"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def main(names: list[str]) -> int:
    """Returns 1 if a bug was not noticed that should have been."""
    every = list(mutants())
    areas, known = {one.area for one in every}, read_results()
    if names == ["new"]:
        return _plant(every, [one for one in every if not known.get(one.name)])
    if unknown := {*names} - areas:
        raise SystemExit(f"no such area: {', '.join(sorted(unknown))}; there are {', '.join(sorted(areas))}")
    chosen = [one for area in names or sorted(areas) for one in every if one.area == area]
    return _plant(every, chosen)


def _plant(every: list[Mutant], chosen: list[Mutant]) -> int:
    found = dict[Mutant, str]()
    with tempfile.TemporaryDirectory() as folder:
        copies: Queue[Path] = Queue()
        for number in range(_COPIES):
            copies.put(_copy(Path(folder) / str(number)))
        with ThreadPoolExecutor(_COPIES) as pool:
            last = read_results()
            tried = pool.map(lambda one: _try(one, last.get(one.name, ""), copies), chosen)
            for one, test in zip(chosen, tried, strict=True):
                found[one] = test
                _write(every, found)
        noticed = {test for test in found.values() if test and test != _ENDLESS}
        if noticed and (broken := _failures(copies.get(), [*noticed, "-m", ""])):
            print(f"these fail without a bug too, and so prove nothing: {', '.join(sorted(broken))}")
            found = {one: "" if test in broken else test for one, test in found.items()}
            _write(every, found)
    survived = [one for one, test in found.items() if not test and not one.same]
    print(f"{len(found) - len(survived)} of {len(found)} noticed, or without effect; {len(survived)} survived")
    return 1 if survived else 0


def _write(every: list[Mutant], found: dict[Mutant, str]) -> None:
    results = read_results() | {one.name: test for one, test in found.items()}
    known = {one.name: results[one.name] for one in every if one.name in results}
    RESULTS.write_text(json.dumps(known, indent=1) + "\n")
    PAGE.write_text(page(known))


def _copy(target: Path) -> Path:
    target.mkdir()
    for name in _TOP:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
        else:
            shutil.copy(source, target / name)
    return target


def _try(mutant: Mutant, last: str, copies: Queue[Path]) -> str:
    """The test that notices the bug first; empty if none does. The one that noticed it the last time takes seconds."""
    root = copies.get()
    file = root / "sources" / "automatum" / mutant.file
    before = file.read_text()
    try:
        _replace(file, mutant.planted(root))
        test = _first_failure(root, f"{last} -m ''") if last and last != _ENDLESS else ""
        test = test or _first_failure(root, mutant.tests)
    finally:
        _replace(file, before)
        copies.put(root)
    print(f"{mutant.area:14} {'caught  ' if test else 'SURVIVED'} {mutant.name}: {test}", flush=True)
    return test


def _replace(file: Path, text: str) -> None:
    # A second of its own for each version: Python recompiles a file whose second or size has changed.
    second = int(file.stat().st_mtime) + 1
    file.write_text(text)
    os.utime(file, (second, second))


def _first_failure(root: Path, tests: str) -> str:
    return next(iter(_failures(root, shlex.split(tests), "-x")), "")


def _failures(root: Path, tests: Collection[str], *options: str) -> list[str]:
    """The tests that fail, without their parameters."""
    environment = {**os.environ, "PYTHONPATH": f"{root / 'sources'}:{root}"}
    environment |= {"EXAMPLES": "few", "RUNTIME__DLTHUB_TELEMETRY": "false"}
    # The arguments of a bug may ask for slow tests: the last -m counts.
    command = [sys.executable, "-m", "pytest", *options, "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [_ENDLESS]
    found = [re.sub(r"\[.*", "", one) for one in _FAILED.findall(done.stdout)]
    if done.returncode and not found:
        print(f"pytest {shlex.join(tests)} did not run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
