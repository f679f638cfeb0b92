"""A signal ends a run, whatever the run was doing when it came."""

import signal
import threading

import pytest

from automatum.cli.options import stop_on_signals


@pytest.fixture
def restored():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_that_interrupts_a_wait_does_not_block(restored):
    """The handler runs in the thread that waits, between two steps of `Event.wait`, when that has the event's lock."""
    stop = stop_on_signals()
    receive = signal.getsignal(signal.SIGTERM)
    handler = threading.Thread(target=receive, args=(signal.SIGTERM, None), daemon=True)
    with stop._cond:
        handler.start()
        handler.join(5)
        assert not handler.is_alive(), "the handler waits for a lock that its own thread has"
    assert stop.wait(5)


def test_a_second_signal_interrupts(restored):
    stop_on_signals()
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
