"""The charts of the report, as SVG: colours of the page, readable in light and dark, and never by colour alone."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

Row = Mapping[str, Any]

_TEXT = "#010203"
"""Stands for the colour of the page's text: an SVG that matplotlib writes knows no variables."""
_COLORS = ("#3d7fc4", "#c9781f", "#2f9a72", "#b0609a", "#8a7d2a", "#7a6ad8")
"""On white and on black each has a contrast of 3 at least (WCAG 1.4.11)."""
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "+++")
_LINES = ("-", "--", ":", "-.")
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    "text.color": _TEXT,
    "axes.edgecolor": _TEXT,
    "axes.labelcolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}
_MONTHS = 13
"""So that the latest month has that of the year before beside it."""


def net_by_month(rows: Sequence[Row], id_: str) -> str:
    """Net revenue by month and marketplace, a panel for each currency."""
    return _bars(rows, id_, "month", "vendor", "net", "Net revenue by month and marketplace")


def value_by_bucket(rows: Sequence[Row], id_: str) -> str:
    """Annual value of the contracts that end, by the days that are left."""
    rows = [{**one, "bucket": f"≤ {one['bucket']} days", "order": one["bucket"]} for one in rows]
    return _bars(
        sorted(rows, key=lambda one: one["order"]), id_, "bucket", "vendor", "annual_value", "Annual value that ends"
    )


def amount_by_month(rows: Sequence[Row], id_: str) -> str:
    """Payments by the month in which they are due."""
    rows = [{**one, "month": one["due_on"].replace(day=1)} for one in rows if one["due_on"]]
    return _bars(rows, id_, "month", "vendor", "amount", "Payments by month", first=True)


def value_by_day(rows: Sequence[Row], id_: str) -> str:
    """Annual contract value by day, a panel for each currency."""
    currencies, days = sorted({str(one["currency"]) for one in rows}), [one["day"] for one in rows]
    with mpl.rc_context(_STYLE):
        figure, panels = _figure(len(currencies), id_)
        for panel, currency in zip(panels, currencies, strict=True):
            panel.set_xlim(min(days), max(days) + timedelta(days=1))
            sums = _sums(rows, "day", "currency", currency, "value")
            panel.plot(list(sums), [float(one) for one in sums.values()], color=_COLORS[0], linewidth=2)
            panel.set_ylim(bottom=0)
            _finish(panel, currency)
        return _svg(figure, id_, "Annual contract value by day")


DRAWN: Mapping[str, Callable[[Sequence[Row], str], str]] = {
    one.__name__: one for one in (net_by_month, value_by_bucket, amount_by_month, value_by_day)
}
"""The charts by name."""


def _bars(rows: Sequence[Row], id_: str, place: str, series: str, value: str, title: str, first: bool = False) -> str:
    """Stacked bars, a panel for each currency; the latest places, or the first ones."""
    currencies = sorted({str(one["currency"]) for one in rows})
    with mpl.rc_context(_STYLE):
        figure, panels = _figure(len(currencies), id_)
        for panel, currency in zip(panels, currencies, strict=True):
            own = [one for one in rows if str(one["currency"]) == currency]
            places = list(dict.fromkeys(one[place] for one in own))
            if place == "month":
                places = sorted(places)[:_MONTHS] if first else sorted(places)[-_MONTHS:]
            labels = [f"{one:%b %y}" if place == "month" else str(one) for one in places]
            above, below = [0.0] * len(places), [0.0] * len(places)
            for at, name in enumerate(sorted({str(one[series]) for one in own})):
                sums = _sums(own, place, series, name, value)
                heights = [float(sums.get(one, 0)) for one in places]
                starts = [above[i] if height >= 0 else below[i] for i, height in enumerate(heights)]
                panel.bar(
                    labels, heights, bottom=starts, label=name, color=_COLORS[at % len(_COLORS)],
                    hatch=_HATCHES[at % len(_HATCHES)], edgecolor=_TEXT, linewidth=0.4,
                )  # fmt: skip
                above = [one + max(height, 0) for one, height in zip(above, heights, strict=True)]
                below = [one + min(height, 0) for one, height in zip(below, heights, strict=True)]
            panel.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1.0), borderaxespad=0)
            panel.tick_params(axis="x", rotation=45 if len(labels) > 6 else 0)
            _finish(panel, currency)
        return _svg(figure, id_, title)


def _sums(rows: Sequence[Row], place: str, series: str, name: str, value: str) -> dict[Any, Decimal]:
    sums: dict[Any, Decimal] = {}
    for one in rows:
        if str(one[series]) == name and one[value] is not None:
            sums[one[place]] = sums.get(one[place], Decimal(0)) + one[value]
    return sums


def _figure(panels: int, id_: str) -> tuple[Figure, list[Any]]:
    mpl.rcParams["svg.hashsalt"] = id_
    figure = Figure(figsize=(5.4, 2.4 * panels), layout="constrained")
    return figure, list(figure.subplots(panels, 1, squeeze=False)[:, 0])


def _finish(panel: Any, currency: str) -> None:
    panel.set_ylabel(currency)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    panel.grid(axis="y", color=_TEXT, alpha=0.15, linewidth=0.6)
    panel.set_axisbelow(True)


def _svg(figure: Figure, id_: str, title: str) -> str:
    """The drawing, to stand in a page beside others: ids of its own, colours of the page, a name for screen readers."""
    out = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # The reader's fonts draw the text: they have other characters.
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\b(id="|href="#|url\(#)', lambda found: f"{found[1]}{id_}-", text)
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening(id_, title), text, count=1)
    return text.replace(_TEXT, "currentColor")


def _opening(id_: str, title: str) -> str:
    named = f'role="img" aria-labelledby="{id_}-title"'
    return (
        rf'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="\1" {named}><title id="{id_}-title">{title}</title>'
    )
