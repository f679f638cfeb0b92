"""The table of `docs/internals/fidelity.md`: what each shape comes to without and with settings, by `make fidelity`."""

import json
import os

from tests.support import ROOT
from tests.support.shapes import metering
from tests.support.shapes.battery import SHAPES

PAGE = ROOT / "docs" / "internals" / "fidelity.md"
TITLES = {
    "lists": "Pages and numbers",
    "records": "Records, keys, names and formats",
    "reports": "Reports",
    "tokens": "Tokens",
    "metering": "Usage",
}
_BEGIN, _END = "<!-- battery: filled by make fidelity -->", "<!-- battery: end -->"


def check(shape, text, configured):
    """Assert that the page says this of a shape; with `FIDELITY=write`, write it.

    Args:
        shape: The shape.
        text: What it came to.
        configured: With its settings.
    """
    rows = _rows()
    if os.environ.get("FIDELITY") == "write":
        cells = rows.setdefault(shape.name, ["", ""])
        cells[configured] = text
        _write(rows)
    assert rows.get(shape.name, ["", ""])[configured] == text, "run make fidelity"


def of_cell(shape, cell):
    """What a sync came to, in words."""
    if not cell.complete:
        return _with_name(shape, cell.worst.short)
    return f"complete; in `extra`: {', '.join(cell.elsewhere)}" if cell.elsewhere else "complete"


def of_push(shape, push):
    """What a push came to, in words."""
    (state,) = set(push.states.values())
    return _with_name(shape, state) if push.code else state


def table():
    """The page's table as it should be, for what its lines say."""
    return _table(_rows())


def text():
    """The page."""
    return PAGE.read_text(encoding="utf-8")


def _with_name(shape, found):
    return f"{found}; names `{shape.names.rpartition('.')[2]}`" if shape.names else found


def _rows():
    """Name of a shape to the second and the last cell of its line."""
    lines = text().partition(_BEGIN)[2].partition(_END)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {line[0]: [line[1], line[3]] for line in cells}


def _write(rows):
    before, _, rest = text().partition(_BEGIN)
    PAGE.write_text(f"{before}{_table(rows)}{rest.partition(_END)[2]}", encoding="utf-8")


def _table(rows):
    lines = [_BEGIN]
    for group, title in TITLES.items():
        lines += ["", f"### {title}", "", "| Server | Without settings | Settings | With them |", "|---|---|---|---|"]
        for shape in [*SHAPES, *metering.SHAPES]:
            if shape.group == group:
                plain, configured = rows.get(shape.name, ["", ""])
                configured = configured if shape.settings else ""
                lines.append(f"| {shape.name} | {plain} | {_settings_of(shape)} | {configured} |")
    return "\n".join([*lines, "", _END])


def _settings_of(shape):
    """The settings of a shape, as they are written in TOML."""
    found = []
    for name, value in shape.settings.items():
        if name == "endpoints":
            found += [f"{key} = {_toml(one)}" for keys in value.values() for key, one in keys.items()]
        elif name == "metering":
            found += [f"metering.{key} = {_toml(one)}" for key, one in value.items()]
        else:
            found.append(f"{name} = {_toml(value)}")
    return ", ".join(f"`{one}`" for one in found)


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)
