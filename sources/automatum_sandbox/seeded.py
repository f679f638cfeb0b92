"""The one source of randomness: seeded, so that the same options give the same rows."""

from __future__ import annotations

import random


def seeded(key: int | str) -> random.Random:
    """A generator of its own for each key."""
    return random.Random(key)  # noqa: S311  plausible rows, no secrets: the credentials are made up too
