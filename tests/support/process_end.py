"""Ends a process of pytest at once when it is done.

The interpreter would free each object first, which takes half a second, and DuckDB would then report on stderr, below
the slowest tests, the functions that it never frees.
"""

import atexit
import os
import sys


class ProcessEnd:
    """The end of this process, after all handlers of `atexit` that are registered later.

    Attributes:
        code: Exit code of pytest. Without one, the interpreter ends the process.
    """

    def __init__(self):
        self.code = 0 if "PYTEST_XDIST_WORKER" in os.environ else None
        atexit.register(self._end)

    def _end(self):
        sys.stdout.flush()
        sys.stderr.flush()
        if self.code is not None:
            os._exit(self.code)
