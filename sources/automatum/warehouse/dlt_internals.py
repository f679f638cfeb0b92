"""The private parts of dlt that the connector relies on, all in this one file."""

from __future__ import annotations

import dlt
from dlt.common.configuration.container import Container
from dlt.common.pipeline import SupportsPipeline
from dlt.common.storages.load_package import LoadPackageStateInjectableContext


def loading_pipeline() -> SupportsPipeline | None:
    """The pipeline that is extracting right now; None when a resource is iterated by itself.

    A pipeline that was merely used before in this process does not count: rows must not be held against it.
    """
    return dlt.current.pipeline() if LoadPackageStateInjectableContext in Container() else None


def load_id() -> str:
    """Id of the load package that is being extracted; empty outside of a pipeline."""
    container = Container()
    if LoadPackageStateInjectableContext not in container:
        return ""
    return str(container[LoadPackageStateInjectableContext].load_id)
