"""Logs that are read at once and while they grow."""

import pathlib
import threading
import time

import pytest

from pyctr.engine import logs
from pyctr.engine.containers import NoSuchContainer
from pyctr.engine.logs import Wanted
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import logs as format
from pyctr.runtime.spec import Log
from pyctr.storage import paths
from pyctr.storage.paths import Store
from tests import samples

ONE, TWO = samples.identifier(0xA), samples.identifier(0xB)
SECOND = 10**9


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def write(store: Store, container_id: str, text: bytes, moment: int = SECOND, name: str = paths.LOG) -> None:
    with open(f"{store.container(container_id)}/{name}", "ab") as file:
        file.write(format.format_chunk("stdout", text, moment))


def read(store: Store, *ids: str, wanted: Wanted = Wanted()) -> list[tuple[int, bytes]]:  # noqa: B008
    return [(each[0], each[1].data) for each in logs.read(store, list(ids), wanted) if each]


def test_one_log_after_the_other(store: Store) -> None:
    for each, name in ((ONE, "one"), (TWO, "two")):
        samples.make(store, each, name)
        write(store, each, f"{name}\n".encode() * 2)
    assert read(store, ONE, TWO) == [(0, b"one"), (0, b"one"), (1, b"two"), (1, b"two")]


def test_a_container_that_never_ran_has_no_lines(store: Store) -> None:
    samples.make(store, ONE, "one")
    assert read(store, ONE) == read(store, ONE, wanted=Wanted(follow=True)) == []


@pytest.mark.parametrize(
    "wanted, numbers",
    [
        (Wanted(since=3 * SECOND), [3, 4]),
        (Wanted(until=3 * SECOND), [1, 2]),
        (Wanted(since=2 * SECOND, until=4 * SECOND), [2, 3]),
        (Wanted(tail=2), [3, 4]),
        (Wanted(tail=0), []),
        (Wanted(tail=3, since=4 * SECOND), [4]),
    ],
)
def test_times_and_tail_choose_lines(store: Store, wanted: Wanted, numbers: list[int]) -> None:
    samples.make(store, ONE, "one")
    for number in range(1, 5):
        write(store, ONE, b"%d\n" % number, number * SECOND)
    assert [int(data) for _, data in read(store, ONE, wanted=wanted)] == numbers


@pytest.mark.parametrize(
    "tail, lines", [(-1, [b"1", b"2", b"3"]), (2, [b"2", b"3"]), (1, [b"3"]), (9, [b"1", b"2", b"3"])]
)
def test_what_a_limit_moved_away_is_read_too(store: Store, tail: int, lines: list[bytes]) -> None:
    samples.make(store, ONE, "one")
    write(store, ONE, b"1\n2\n", name=f"{paths.LOG}.1")
    write(store, ONE, b"3\n")
    assert [data for _, data in read(store, ONE, wanted=Wanted(tail=tail))] == lines


def test_following_ends_with_the_container_and_misses_nothing(store: Store) -> None:
    samples.make(store, ONE, "one")
    write(store, ONE, b"before\n")
    with samples.run(store, ONE, "/bin/sleep", "1000") as monitor:
        seen: list[bytes] = []
        arrived = threading.Semaphore(0)

        def follow() -> None:
            for each in logs.read(store, [ONE], Wanted(follow=True)):
                if each:
                    seen.append(each[1].data)
                    arrived.release()

        follower = threading.Thread(target=follow)
        follower.start()
        assert arrived.acquire(timeout=10)
        write(store, ONE, b"while\n")
        assert arrived.acquire(timeout=10)
        write(store, ONE, b"last\n")
        process = samples.state_of(store, ONE).process
        assert process is not None
        samples.kill_monitor(monitor, process)
        follower.join(10)
    assert seen == [b"before", b"while", b"last"]


def test_following_ends_at_a_time(store: Store) -> None:
    samples.make(store, ONE, "one")
    with samples.run(store, ONE, "/bin/sleep", "1000") as monitor:
        write(store, ONE, b"now\n", time.time_ns())
        until = time.time_ns() + SECOND // 2
        assert read(store, ONE, wanted=Wanted(follow=True, until=until)) == [(0, b"now")]
        process = samples.state_of(store, ONE).process
        assert process is not None
        samples.kill_monitor(monitor, process)


def test_without_a_log_it_says_why(store: Store) -> None:
    samples.make(store, ONE, "one", log=Log(driver="none"))
    with pytest.raises(PyctrError, match="--log-driver none"):
        read(store, ONE)
    with pytest.raises(NoSuchContainer):
        read(store, TWO)
