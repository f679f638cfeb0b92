"""The table of `docs/internals/faults.md`: what each fault comes to in each phase. `make faults` fills it."""

import os

from tests.support import ROOT
from tests.support.faults.kinds import FAULTS
from tests.support.faults.machine import MACHINE
from tests.support.faults.phases import PHASES

PAGE = ROOT / "docs" / "internals" / "faults.md"
_BEGIN, _END = "<!-- faults: filled by make faults -->", "<!-- faults: end -->"


def check(name, cells):
    """Assert that the page says this of a fault; with `FAULTS=write`, write it.

    Args:
        name: Of the fault.
        cells: What came of it, by phase.
    """
    if os.environ.get("FAULTS") == "write":
        rows = _rows() | {name: cells}
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
        PAGE.write_text(f"{before}{_table(rows)}{rest.partition(_END)[2]}", encoding="utf-8")
    assert _rows().get(name) == cells, "run make faults"


def names():
    """Names of the faults on the page, in their order; a row with an empty cell is a fault itself."""
    assert all(all(cells) and len(cells) == len(PHASES) for cells in _rows().values())
    return list(_rows())


def _rows():
    lines = PAGE.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0].strip().splitlines()[2:]
    cells = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    return {first: rest for first, *rest in cells}


def _table(rows):
    lines = ["Fault", *PHASES], ["---"] * (1 + len(PHASES))
    known = [(one.name, rows[one.name]) for one in (*FAULTS, *MACHINE) if one.name in rows]
    made = ["|".join(["", *line, ""]) for line in (*lines, *([name, *cells] for name, cells in known))]
    return "\n".join([_BEGIN, "", *made, "", _END])
