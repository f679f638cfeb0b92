"""A place of its own for each test: folder, home, dlt's folders, environment; and sandboxes served on real sockets."""

import gc
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from automatum_sandbox import SandboxConfig, serve
from tests.support.desk import SMALL, VOLUME, Desk, forget, isolate
from tests.support.dlt_hints import remember_hints
from tests.support.examples import examples, leave_cases_to_test_all
from tests.support.process_end import ProcessEnd
from tests.support.statements import remember_statements, remember_tables

process_end = ProcessEnd()
remember_hints()
remember_statements()
remember_tables()
with suppress(ModuleNotFoundError):  # The environments of Airflow and of users do not have it.
    from hypothesis import settings

    # An example is judged by what it shows, not by its seconds: the machine may be loaded.
    settings.register_profile("automatum", deadline=None, print_blob=True, max_examples=examples(100))
    settings.load_profile("automatum")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main():
    """Keep the exit code for the end of the process."""
    process_end.code = code = yield
    return code


def pytest_collection_finish():
    """Let the garbage collector not look at what stays: modules and tests."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark tests before pytest selects by marks."""
    leave_cases_to_test_all(items)


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """Run a test without ambient settings, credentials and telemetry, in a folder and a home of its own."""
    isolate(tmp_path, monkeypatch)
    forget()
    yield
    forget()


@pytest.fixture
def desk(isolated, monkeypatch):
    """A user at a shell, in a working folder of their own."""
    return Desk(Path.cwd(), monkeypatch)


@pytest.fixture
def start():
    """Serve a sandbox with these options; rows with traps and no limits, unless others are given."""
    with ExitStack() as servers:
        yield lambda **options: servers.enter_context(
            serve(SandboxConfig(**{"limits": None, "traps": True, **options}))
        )


@pytest.fixture
def large(start, desk):
    """A sandbox of the volume that issue 2 names, and the desk set up for it."""
    served = start(**VOLUME)
    desk.use(served)
    return served.sandbox


@pytest.fixture
def small(start, desk):
    """A sandbox with one page a table, and the desk set up for it."""
    served = start(**SMALL)
    desk.use(served)
    return served.sandbox
