"""Caches what dlt computes about type hints, again and again: a quarter of the CPU time of the tests."""

import functools

from dlt.common import typing
from dlt.common.configuration import container, resolve
from dlt.common.configuration.providers import environ
from dlt.common.configuration.specs import base_configuration
from dlt.common.destination import reference

_PURE = {
    "extract_inner_hint": (base_configuration, resolve, environ),
    "is_secret_hint": (base_configuration, resolve, environ),
    "is_subclass": (typing, base_configuration, resolve, container, reference),
}


def remember_hints():
    """Cache dlt's pure functions of a type hint, in the modules that call them most."""
    for name, modules in _PURE.items():
        cached = functools.lru_cache(maxsize=4096)(getattr(modules[0], name))
        for module in modules:
            setattr(module, name, cached)
