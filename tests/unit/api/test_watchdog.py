"""The work of the watchdog, counted: it shares the interpreter with the thread that sends the requests."""

import threading

from automatum.api.watchdog import Watch, Watcher

FAR = float("inf")


class CountingCondition(threading.Condition):
    """Counts how often a thread is woken, and tells when one sleeps until it is."""

    def __init__(self):
        super().__init__()
        self.woken = 0
        self.asleep = threading.Event()

    def wait(self, timeout=None):
        if timeout is None:
            self.asleep.set()
        return super().wait(timeout)

    def notify(self, n=1):
        self.woken += 1
        super().notify(n)


def test_a_request_wakes_the_thread_only_if_it_sleeps():
    """A thread that is woken for each request takes the interpreter's lock from the one that sends it."""
    watcher = Watcher()
    watcher._changed = CountingCondition()
    looked = threading.Event()
    first = Watch(FAR, lambda: looked.set() or False)
    watcher.add(first)  # It starts the thread.
    assert looked.wait(20)
    for _ in range(100):
        watch = Watch(FAR, lambda: False)
        watcher.add(watch)
        watcher.remove(watch)
    assert watcher._changed.woken == 0
    watcher.remove(first)
    assert watcher._changed.asleep.wait(20)
    looked.clear()
    watcher.add(first)
    assert looked.wait(20), "a thread that sleeps is woken"
    assert watcher._changed.woken == 1
    watcher.end()
