"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_SIMILAR = 0.7
"""Least similarity, from 0 to 1, at which a name is suggested."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most similar to a misspelt one; None if none is similar.

    Case, `-`, `_` and spaces make no difference.
    """
    folded = {_folded(one): one for one in known}
    found = get_close_matches(_folded(name), list(folded), n=1, cutoff=_SIMILAR)
    return folded[found[0]] if found else None


def spelt_otherwise(name: str, known: Iterable[str]) -> str | None:
    """The known name that differs only in case, `-`, `_` and spaces, such as `client_id` for `clientId`; or None."""
    return next((one for one in known if one != name and _folded(one) == _folded(name)), None)


def suggestion(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The question "Did you mean ...?", or another text if no known name is similar."""
    found = nearest(name, known)
    return f"Did you mean {found}?" if found else otherwise


def _folded(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "-_ ")
