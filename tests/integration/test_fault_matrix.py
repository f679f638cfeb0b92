"""I1, I2, I5, I6: each fault in each phase. No row is lost, nothing is billed twice, and the next run mends it.

`docs/internals/faults.md` has the table; `make faults` writes it.
"""

import time
from contextlib import ExitStack, closing

import pytest

from automatum_sandbox import Sandbox, SandboxConfig, serve
from tests.support.desk import SMALL
from tests.support.faults import page
from tests.support.faults.gate import Gate
from tests.support.faults.kinds import FAULTS, REFUSED
from tests.support.faults.machine import MACHINE, Relay, small_disk
from tests.support.faults.phases import PHASES, PUSHES, Waits, World, use_clock
from tests.support.postgres import running
from tests.support.tls import Authority

pytestmark = pytest.mark.slow


@pytest.fixture
def clock(monkeypatch):
    made = Waits(epoch=float(int(time.time())))
    use_clock(monkeypatch, made)
    return made


@pytest.fixture
def world(fault, desk, clock, tmp_path, monkeypatch):
    sandbox = Sandbox(SandboxConfig(**{**SMALL, "customers": 250}, limits=None), time=clock.time)
    (desk.folder / "disk").mkdir()
    with ExitStack() as stack:
        certificates = server = relay = None
        if fault.wire == "certificate":
            ours, theirs = (Authority(tmp_path / name) for name in ("ours", "theirs"))
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ours.bundle))
            certificates = [one.certificate_file("127.0.0.1") for one in (ours, theirs)]
        if getattr(fault, "disk", False):
            stack.enter_context(small_disk(desk.folder / "disk"))
        if getattr(fault, "postgres", False):
            server = running()
            relay = stack.enter_context(closing(Relay(server.port)))
        served = stack.enter_context(serve(sandbox))
        gate = stack.enter_context(Gate(int(served.base_url.rpartition(":")[2]), certificates))
        desk.use(served)
        desk.set(base_url=gate.url, quota_url="memory://", tables=["customers"])
        if fault.slow:
            desk.set(request_timeout=0.6)
            desk.attempts(2)
        yield World(desk, gate, sandbox, clock, monkeypatch, server, relay)


@pytest.mark.parametrize("fault", [pytest.param(one, id=one.name) for one in FAULTS])
def test_each_fault_of_the_server_in_each_phase(world, fault):
    cells = []
    for phase in PHASES:
        once, always = world.cell(fault, phase, 1), world.cell(fault, phase)
        reads = phase not in PUSHES
        patient = phase != "check" or once != "75"  # A check waits for 90 seconds at most.
        assert once == "0" or not (reads and patient) or fault.rule == REFUSED, (phase, once)
        assert always != "0" or phase in ("check", "dry run"), (phase, always)
        cells.append(once if once == always else f"{once}/{always}")
    page.check(fault.name, cells)


@pytest.mark.parametrize("fault", [pytest.param(one, id=one.name) for one in MACHINE])
def test_each_fault_of_the_machine_in_each_phase(world, fault):
    page.check(fault.name, [world.cell(fault, phase) for phase in PHASES])


def test_the_page_has_each_fault_and_no_empty_cell():
    assert page.names() == [one.name for one in (*FAULTS, *MACHINE)]
