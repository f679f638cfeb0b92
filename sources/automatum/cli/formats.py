"""Numbers, verdicts and spans of time as text."""

from __future__ import annotations

from rich.text import Text

from ..core.result_line import describe_verdict

_STYLES = {"ok": "green", "complete": "green", "no scope": "yellow", "more_to_do": "yellow"}
_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def format_number(value: int | None) -> str:
    """A number with separators; `-` for none."""
    return "-" if value is None else f"{value:,}"


def format_state(word: str) -> Text:
    """A verdict or the state of a check in words, with its color; red for trouble."""
    return Text(describe_verdict(word), style=_STYLES.get(word, "red"))


def format_age(seconds: int) -> str:
    """A time span in its largest unit, such as `3 h`."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{max(0, seconds)} s"


def format_interval(seconds: float) -> str:
    """An interval without a remainder, in the largest unit that allows it, such as `90 min`."""
    for unit, length in _UNITS:
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.15g} {unit}"
    return f"{seconds:.15g} s"


def format_duration(seconds: float) -> str:
    """Seconds as `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
