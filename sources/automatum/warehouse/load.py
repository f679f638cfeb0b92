"""Runs a dlt pipeline: retries a failed load, and first loads or drops what an interrupted run left behind."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dlt.common.pipeline import SupportsPipeline
from dlt.pipeline.exceptions import PipelineStepFailed

from ..core.clock import Clock
from ..core.errors import AutomatumError, DestinationError
from ..core.redaction import redact
from .dlt_internals import describe_destination, drop_extracted_packages, drop_pending_packages

logger = logging.getLogger("automatum")

_ORIGIN_FILE = "automatum.for"
"""File in dlt's working folder: a hash of what its packages were read from, and of where they are loaded to."""
ATTEMPTS = 3
"""Attempts at a load: two runs may create the same table at the same moment, and a server may be away briefly."""


class Loader:
    """Runs a pipeline.

    Args:
        pipeline: Which.
        clock: Time.
        free: Waits until no other program has the destination open, or raises.
    """

    def __init__(self, pipeline: SupportsPipeline, clock: Clock, free: Callable[[], None] = lambda: None) -> None:
        self._pipeline: Any = pipeline
        self._clock = clock
        self._free = free

    def run(self, source: Any = None) -> None:
        """Extract, normalize and load; without a source, load the pending packages.

        Raises:
            AutomatumError: What the source raised.
            Busy: Another program has the destination open.
            DestinationError: A step failed. What was extracted stays in the working folder.
        """
        for attempt in range(ATTEMPTS):
            self._free()
            try:
                self._pipeline.run(source) if source is not None else self._pipeline.run()
                return
            except PipelineStepFailed as error:
                cause = error.__context__ or error.__cause__
                if isinstance(cause, AutomatumError):
                    raise cause from None
                if error.step not in ("sync", "load") or attempt + 1 == ATTEMPTS:
                    raise _failed(error) from error
                logger.info("the %s step failed and is tried again: %s", error.step, _cause(error))
                if error.step == "load":
                    # The rows are in a package, which must be loaded before anything else is read.
                    source = None
            self._clock.sleep(float(2**attempt))

    def load_pending(self, source: str) -> bool:
        """Load what an interrupted run has read; returns whether there was anything.

        A pipeline has one working folder, whatever its destination and its source are. Packages that were read for
        another destination, or with the credentials of another application, are dropped; the next run that needs their
        rows reads them again.

        A kill can leave an extracted package on which dlt 1.31.0 fails in every later run: it is normalized already
        ("Directory not empty"), or its tables are not in the saved schema ("Table not found"). Neither its rows nor the
        records of what it read are in a destination. It is dropped, and its rows are read again.

        Args:
            source: Names what is read: host and application.
        """
        origin_file, origin = Path(self._pipeline.working_dir) / _ORIGIN_FILE, self._origin(source)
        if origin_file.is_file() and origin_file.read_text() != origin and self._pipeline.has_pending_data:
            logger.warning("what an earlier run left behind was read for another destination or application: dropped")
            drop_pending_packages(self._pipeline)
        # Written after the packages are dropped: if a kill comes between, the next run must drop them.
        origin_file.write_text(origin)
        drop_extracted_packages(self._pipeline, among=set(self._pipeline.list_normalized_load_packages()))
        if not self._pipeline.has_pending_data:
            return False
        logger.info("loading what an earlier run left behind")
        try:
            self.run()
        except DestinationError as error:
            step = error.__cause__
            if not isinstance(step, PipelineStepFailed) or step.step != "normalize":
                raise
            drop_extracted_packages(self._pipeline)
            logger.warning("what an earlier run left behind cannot be loaded and is read again: %s", _cause(step))
            if self._pipeline.has_pending_data:
                self.run()
        return True

    def _origin(self, source: str) -> str:
        """A hash of what is read, and of where it is loaded to."""
        destination, dataset = describe_destination(self._pipeline), self._pipeline.dataset_name
        return hashlib.sha256(f"{destination}\n{dataset}\n{source}".encode()).hexdigest()


def _failed(error: PipelineStepFailed) -> DestinationError:
    return DestinationError(
        f"The {error.step} step failed: {_cause(error)}",
        "What was read is kept in dlt's working folder and loaded by the next run; --debug shows the whole error.",
    )


def _cause(error: PipelineStepFailed) -> str:
    cause = error.__context__ or error.__cause__ or error
    return f"{type(cause).__name__}: {redact(str(cause))[:500]}"
