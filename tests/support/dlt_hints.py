"""Caches what dlt computes about type hints, again and again: a quarter of the CPU time of the tests."""

import functools

from dlt.common.configuration import resolve
from dlt.common.configuration.providers import environ
from dlt.common.configuration.specs import base_configuration


def remember_hints():
    """Cache dlt's two pure functions of a type hint, in the modules that call them most."""
    for name in ("extract_inner_hint", "is_secret_hint"):
        cached = functools.lru_cache(maxsize=4096)(getattr(base_configuration, name))
        for module in (base_configuration, resolve, environ):
            if hasattr(module, name):
                setattr(module, name, cached)
