"""unit: no server, no dlt run. integration: real sockets, databases. system: processes, kills, schedulers, packages."""

import pytest

pytest.register_assert_rewrite("tests.support")
