"""A pipeline that loads what it was given, whatever befell the run before or stands in the way of this one."""

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

logger = logging.getLogger("automatum")

_MARK = "automatum.for"
"""File in dlt's working folder: a hash of what its packages were read from, and of where they are to go."""
ATTEMPTS = 3
"""Times that a load is tried: two runs that make the same table at the same moment, and a server that blinks."""


class Loader:
    """Runs a pipeline.

    Args:
        pipeline: Which.
        clock: Time.
        free: Waits until no other program holds the destination, or raises.
    """

    def __init__(self, pipeline: SupportsPipeline, clock: Clock, free: Callable[[], None] = lambda: None) -> None:
        self._pipeline: Any = pipeline
        self._clock = clock
        self._free = free

    def run(self, source: Any = None) -> None:
        """Extract, normalize and load; without a source, what is left.

        Raises:
            AutomatumError: What the source raised.
            Busy: Another program holds the destination.
            DestinationError: A step failed. What was extracted is kept in the working folder.
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
                logger.info("the %s step failed, it is tried again: %s", error.step, _cause(error))
                if error.step == "load":
                    # What was extracted is in a package, which must be loaded before anything else is read.
                    source = None
            self._clock.sleep(float(2**attempt))

    def load_pending(self, source: str) -> bool:
        """Load what an interrupted run has read; returns whether there was anything.

        dlt keeps one working folder for a pipeline, wherever it loads to and whomever it asks. What was read for
        another destination, or with the credentials of another application, is not loaded here: it is dropped, and
        read again by whoever wanted it.

        Args:
            source: Names what is read: host and application.

        A kill can leave an extracted package that dlt 1.31.0 fails on at every run from then on: one that is
        normalized already ("Directory not empty"), or one whose tables are not in the saved schema ("Table not
        found"). What is in it is in no destination, and so are the records that say that it was read: it is dropped,
        and read again.
        """
        note, mark = self._note(), self._mark(source)
        if note.is_file() and note.read_text() != mark and self._pipeline.has_pending_data:
            logger.warning("what an earlier run left behind was read for another destination or application: dropped")
            self._pipeline._delete_pending_packages()
        # Only now: a kill before it must find the packages foreign again.
        note.write_text(mark)
        self._drop_extracted(set(self._pipeline.list_normalized_load_packages()))
        if not self._pipeline.has_pending_data:
            return False
        logger.info("loading what an earlier run left behind")
        try:
            self.run()
        except DestinationError as error:
            step = error.__cause__
            if not isinstance(step, PipelineStepFailed) or step.step != "normalize":
                raise
            self._drop_extracted()
            logger.warning("what an earlier run left behind cannot be loaded; it is read again: %s", _cause(step))
            if self._pipeline.has_pending_data:
                self.run()
        return True

    def _note(self) -> Path:
        return Path(self._pipeline.working_dir) / _MARK

    def _mark(self, source: str) -> str:
        """A hash of what is read here, and of where it goes."""
        with self._pipeline.destination_client() as client:
            place = f"{client.config.destination_name} {client.config}"
        return hashlib.sha256(f"{place}\n{self._pipeline.dataset_name}\n{source}".encode()).hexdigest()

    def _drop_extracted(self, among: set[str] | None = None) -> None:
        extracted = set(self._pipeline.list_extracted_load_packages())
        for load_id in extracted if among is None else extracted & among:
            self._pipeline._get_normalize_storage().extracted_packages.delete_package(load_id)


def _failed(error: PipelineStepFailed) -> DestinationError:
    return DestinationError(
        f"The {error.step} step failed: {_cause(error)}",
        "What was read is kept in dlt's working folder and loaded by the next run; --debug shows the whole error.",
    )


def _cause(error: PipelineStepFailed) -> str:
    cause = error.__context__ or error.__cause__ or error
    return f"{type(cause).__name__}: {redact(str(cause))[:500]}"
