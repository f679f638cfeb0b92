"""Files that are for their owner alone, whatever the umask."""

import os
import random
import stat
import threading

import pytest

from automatum.core.private_files import private_files


@pytest.fixture(autouse=True)
def open_umask():
    before = os.umask(0)
    yield
    assert os.umask(before) == 0  # What the process had is what it has again.


def mode(path):
    path.touch()
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_in_the_block_alone(tmp_path):
    with private_files():
        assert mode(tmp_path / "in") == 0o600
        with private_files():
            assert mode(tmp_path / "nested") == 0o600
        assert mode(tmp_path / "still") == 0o600
    assert mode(tmp_path / "after") == 0o666


def test_blocks_of_several_threads_end_in_any_order(tmp_path):
    """The umask belongs to the process: the last block that ends gives back the one before the first."""
    seed = random.randrange(10**9)
    print("seed", seed)
    count = 6
    entered, order = threading.Barrier(count + 1), list(range(count))
    random.Random(seed).shuffle(order)
    ends = [threading.Event() for _ in range(count)]

    def run(number):
        with private_files():
            entered.wait(10)
            ends[number].wait(10)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for one in threads:
        one.start()
    entered.wait(10)
    for position, number in enumerate(order):
        assert mode(tmp_path / str(position)) == 0o600
        ends[number].set()
        threads[number].join(10)
    assert mode(tmp_path / "after") == 0o666
