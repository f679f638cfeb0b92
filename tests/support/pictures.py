"""What a notebook shows, told by the kernel that draws it: runs inside the notebook's own process.

`watch` keeps an account of each figure at the moment it is shown; `tell` writes it to a file, with what else the test
asks for. With the environment variable PICTURES, each picture is saved in that folder, as the notebook shows it.
"""

import json
import os
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path

import duckdb
import matplotlib.pyplot as plt
from matplotlib.legend import Legend
from matplotlib.text import Text

from tests.support.answers import Answers
from tests.support.destinations.places import dicts

_SHOWN = []
_TOUCH = 1.0
"""Pixels that two texts' boxes may share: boxes are larger than what is inked."""


def watch(name):
    """Describe each figure before it is shown.

    Args:
        name: Of the notebook, for the files of its pictures.
    """
    shown = plt.show

    def show(*arguments, **options):
        for number in plt.get_fignums():
            figure = plt.figure(number)
            _SHOWN.append(describe(figure))
            if folder := os.environ.get("PICTURES"):
                path = Path(folder, f"{name}_{len(_SHOWN)}.png")
                figure.savefig(path, bbox_inches="tight", dpi=figure.dpi)
        return shown(*arguments, **options)

    plt.show = show


def tell(path, **facts):
    """Write all that was shown, and these facts."""
    Path(path).write_text(json.dumps({"pictures": _SHOWN, **facts}, default=str), encoding="utf-8")


def describe(figure):
    """Title, panels with their bars, and texts that lie over each other or beyond the edge."""
    figure.canvas.draw()
    boxes = _boxes(figure)
    return {
        "title": figure.get_suptitle(),
        "note": figure.get_supxlabel(),
        "panels": [_panel(axes) for axes in figure.axes],
        "overlaps": [(one, two) for (one, a), (two, b) in combinations(boxes, 2) if _overlap(a, b)],
        "beyond": [text for text, box in boxes if box.x0 < -_TOUCH or box.x1 > figure.bbox.x1 + _TOUCH],
    }


def _panel(axes):
    return {
        "title": axes.get_title("left"),
        "x": _label(axes.get_shared_x_axes().get_siblings(axes), "get_xlabel"),
        "y": _label(axes.get_shared_y_axes().get_siblings(axes), "get_ylabel"),
        "from_zero": 0.0 in axes.get_xlim() or 0.0 in axes.get_ylim(),
        "names": [text.get_text() for text in axes.get_yticklabels()],
        "bars": [
            {
                "width": float(bar.get_width()),
                "height": float(bar.get_height()),
                "colour": [float(part) for part in bar.get_facecolor()],
            }
            for bar in axes.patches
        ],
    }


def _label(panels, getter):
    """A panel's label, or that of one which has the axis in common."""
    return next((text for text in (getattr(one, getter)() for one in panels) if text), "")


def _boxes(figure):
    unseen = set()
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted((low, high))
            out = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
            unseen |= {text for tick in out for text in (tick.label1, tick.label2)}
    legends = figure.findobj(Legend)
    # A legend counts whole, with its samples of colour.
    unseen |= {text for legend in legends for text in legend.findobj(Text)}
    texts = [one for one in figure.findobj(Text) if one.get_visible() and one.get_text().strip() and one not in unseen]
    named = [("legend", one) for one in legends] + [(one.get_text(), one) for one in texts]
    return [(name, one.get_window_extent()) for name, one in named]


def _overlap(a, b):
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    high = min(a.y1, b.y1) - max(a.y0, b.y0)
    return wide > _TOUCH and high > _TOUCH


def answers(path):
    """The answers of a database, computed a second time from its tables: name of a view to its rows."""
    today = datetime.now(timezone.utc).date()
    with duckdb.connect(str(path), read_only=True) as connection:
        found = Answers(lambda table: dicts(connection, f"SELECT * FROM automatum.{table}"), today)
        return {name: getattr(found, name)() for name in ("contracts_ending", "offers_open", "usage_by_month")} | {
            "contract_value_daily": [one for one in found.contract_value_daily() if one["day"] == today],
            "retention_monthly": found.retention_monthly(),
        }
