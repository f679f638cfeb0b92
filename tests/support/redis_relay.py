"""A way to a server that can lose, delay or hold what goes through it."""

import socket
import threading
from contextlib import suppress


class Relay:
    """Listens on loopback and passes on to a unix socket.

    Attributes:
        port: Where it listens.
        lose: `request` or `reply`: the next change that is to be stored loses this, and its connection.
        silent: Whether nothing is passed on any more.
        delay: Seconds by which each piece is late.
    """

    MARK = b'"format"'  # a request that stores something holds the tally

    def __init__(self, path):
        self._path, self.lose, self.silent, self.delay, self.lost = path, None, False, 0.0, 0
        self._sockets = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._path)
            self._sockets += [near, far]
            state = {"drop": False}
            for one, other, outward in ((near, far, True), (far, near, False)):
                thread = threading.Thread(target=self._pass_on, args=(one, other, outward, state), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, one, other, outward, state):
        with suppress(OSError):
            while piece := one.recv(2**20):
                if self.silent:
                    continue
                if outward and self.lose and self.MARK in piece:
                    lost, self.lose = self.lose, None
                    self.lost += 1
                    if lost == "request":
                        break
                    state["drop"] = True
                if not outward and state["drop"]:
                    break
                if self.delay:
                    threading.Event().wait(self.delay)
                other.sendall(piece)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for one in self._sockets:
            one.close()
