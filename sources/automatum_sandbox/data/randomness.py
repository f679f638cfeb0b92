"""Random numbers that depend on a key only, so that the same options give the same rows."""

from __future__ import annotations

import random
import uuid


def seeded_random(key: int | str) -> random.Random:
    """A random generator of a key."""
    return random.Random(key)  # noqa: S311  made-up rows and made-up credentials


def aws_account(rng: random.Random) -> str:
    """A 12-digit account id; many begin with zeros."""
    return f"{rng.randrange(10**9 if rng.random() < 0.3 else 10**12):012d}"


def azure_tenant(rng: random.Random) -> str:
    """A tenant id: a UUID."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))
