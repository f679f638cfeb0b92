"""What each shape comes to without and with settings, and the lists of it in `docs/internals/fidelity.md`.

`make fidelity` writes both.
"""

import json
import os
from collections import Counter
from pathlib import Path

from tests.support import ROOT
from tests.support.shapes import metering
from tests.support.shapes.battery import SHAPES

PAGE = ROOT / "docs" / "internals" / "fidelity.md"
RESULTS = Path(__file__).with_name("results.json")
"""Name of a shape to what it comes to without and with its settings."""
TITLES = {
    "lists": "Pages and numbers",
    "records": "Records, keys, names and formats",
    "reports": "Reports",
    "tokens": "Tokens",
    "metering": "Usage",
}
_GOOD = ("complete", "accepted")
_BEGIN, _END = "<!-- battery: filled by make fidelity -->", "<!-- battery: end -->"


def check(shape, text, configured):
    """Assert that this is known of a shape; with `FIDELITY=write`, write it down.

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
    """The page's lists as they should be."""
    return _table(_rows())


def text():
    """The page."""
    return PAGE.read_text(encoding="utf-8")


def _with_name(shape, found):
    return f"{found}; names `{shape.names.rpartition('.')[2]}`" if shape.names else found


def _rows():
    """Name of a shape to what it comes to without and with settings."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def _write(rows):
    known = {shape.name: rows[shape.name] for shape in [*SHAPES, *metering.SHAPES] if shape.name in rows}
    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, _, rest = text().partition(_BEGIN)
    PAGE.write_text(f"{before}{_table(known)}{rest.partition(_END)[2]}", encoding="utf-8")


def _table(rows):
    lines = [_BEGIN]
    for group, title in TITLES.items():
        others, alike = Counter(), {}
        for shape in (one for one in [*SHAPES, *metering.SHAPES] if one.group == group):
            plain, configured = (text.partition(";")[0] for text in rows.get(shape.name, ["", ""]))
            if shape.settings:
                remains = "" if configured in _GOOD else f" ({configured})"
                alike.setdefault(f"{_settings_of(shape)}{remains}", []).append(shape.name)
            else:
                others[plain] += 1
        lines += ["", f"### {title}", ""]
        lines += [f"- {settings}: {'; '.join(names)}" for settings, names in alike.items()]
        lines.append(f"- Without a setting: {', '.join(f'{plain} ({count})' for plain, count in others.items())}")
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
