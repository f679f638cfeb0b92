"""Several who wait at once, on one clock that moves only when all of them sleep: the same play each time."""

import heapq
import itertools
import math
import threading

from tests.support.clocks import FakeClock


class Stage(FakeClock):
    """A clock. Actors are threads of which one runs at a time: the one whose sleep ends first.

    Outside of `play` it is an ordinary `FakeClock`.
    """

    def __init__(self):
        super().__init__()
        self._sleeping = []
        self._turns = itertools.count()
        self._own = threading.local()
        self._over = threading.Event()

    def sleep(self, seconds):
        baton = getattr(self._own, "baton", None)
        if baton is None:
            super().sleep(seconds)
            return
        self._lie_down(self.monotonic() + seconds, baton)
        self._wake_next()
        baton.acquire()

    def play(self, *actors):
        """Run all of these, each from the time at which `after` lets it begin; returns what they returned."""
        results, errors, threads = [None] * len(actors), [], []
        self._over.clear()

        def run(place, baton):
            self._own.baton = baton
            baton.acquire()
            try:
                results[place] = actors[place]()
            except BaseException as error:
                errors.append(error)
            finally:
                self._wake_next()

        for place in range(len(actors)):
            baton = threading.Semaphore(0)
            self._lie_down(self.monotonic(), baton)
            threads.append(threading.Thread(target=run, args=(place, baton), daemon=True))
            threads[-1].start()
        self._wake_next()
        assert self._over.wait(120), "an actor does not come back"
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results

    def _lie_down(self, moment, baton):
        heapq.heappush(self._sleeping, (moment, next(self._turns), baton))

    def _wake_next(self):
        if not self._sleeping:
            self._over.set()
            return
        moment, _, baton = heapq.heappop(self._sleeping)
        self.advance(moment - self.monotonic())
        baton.release()


class Hung:
    """The clock of a process that is stopped in its first sleep, and comes back only when the play is over."""

    def __init__(self, stage, seconds=100_000.0):
        self._stage, self._seconds = stage, seconds
        self.time, self.monotonic = stage.time, stage.monotonic

    def sleep(self, seconds):
        self._stage.sleep(self._seconds)


class Server:
    """Counts requests the way a server might: at its own moment, in sliding and in fixed windows."""

    def __init__(self, limits):
        self.limits = limits
        self.arrivals = []

    def worst(self, phase):
        """Requests beyond the limit, in the worst window of either kind."""
        arrivals, over = sorted(self.arrivals), 0
        for limit, seconds in self.limits:
            start = 0
            for end, moment in enumerate(arrivals):
                while arrivals[start] <= moment - seconds:
                    start += 1
                over = max(over, end - start + 1 - limit)
            for _, group in itertools.groupby(arrivals, lambda moment, w=seconds: math.floor((moment + phase) / w)):
                over = max(over, len(list(group)) - limit)
        return over
