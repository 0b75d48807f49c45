"""wait on real processes."""

import pathlib
import threading

import pytest

from pyctr.engine import removal, waiting
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.state import State
from pyctr.storage.paths import Store
from tests import samples

ID = samples.identifier(0xA)
STOPPED = waiting.statuses(("stopped",))


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def test_the_code_of_what_ends_later(store: Store) -> None:
    samples.make(store, ID, "web")
    with samples.run(store, ID, "/bin/sh", "-c", "read line; exit 7") as monitor:
        assert monitor.stdin is not None
        threading.Timer(0.1, monitor.stdin.close).start()
        assert waiting.wait(store, ID, STOPPED) == 7


def test_the_code_of_what_has_ended(store: Store) -> None:
    samples.make(store, ID, "web", state=State(status="exited", exit_code=5))
    assert waiting.wait(store, ID, STOPPED) == 5


def test_the_code_is_known_after_the_removal(store: Store) -> None:
    samples.make(store, ID, "web")
    with samples.run(store, ID, "/bin/sh", "-c", "read line; exit 4") as monitor:
        monitor.communicate("go\n")
    removal.remove(store, ID)
    for word in (ID, ID[:6]):
        assert waiting.wait(store, waiting.find_or_remember(store, word), STOPPED) == 4


def test_a_removal_while_waiting_gives_the_code(store: Store) -> None:
    samples.make(store, ID, "web")
    with samples.run(store, ID, "/bin/sleep", "1000"):
        codes: list[int] = []
        waiter = threading.Thread(target=lambda: codes.append(waiting.wait(store, ID, STOPPED)))
        waiter.start()
        removal.remove(store, ID, force=True, timeout=0)
        waiter.join(20)
    assert codes == [137]


def test_a_killed_monitor_ends_the_wait(store: Store) -> None:
    samples.make(store, ID, "web")
    with samples.run(store, ID, "/bin/sleep", "1000") as monitor:
        process = samples.state_of(store, ID).process
        assert process is not None
        codes: list[int] = []
        waiter = threading.Thread(target=lambda: codes.append(waiting.wait(store, ID, STOPPED)))
        waiter.start()
        samples.kill_monitor(monitor, process)
        waiter.join(20)
    assert codes == [137]


def test_other_conditions_give_minus_one(store: Store) -> None:
    samples.make(store, ID, "web")
    assert waiting.wait(store, ID, waiting.statuses(("created",))) == -1
    with samples.run(store, ID, "/bin/sleep", "1000") as monitor:
        assert waiting.wait(store, ID, waiting.statuses(("running",)), 0.01) == -1
        waiter = threading.Thread(
            target=lambda: waiting.wait(store, ID, waiting.statuses(("removing",)), 0.01)
        )
        waiter.start()
        removal.remove(store, ID, force=True, timeout=0)
        waiter.join(20)
        assert not waiter.is_alive()
        monitor.wait()


def test_waiting_for_what_never_was_fails(store: Store) -> None:
    with pytest.raises(NoSuchContainer):
        waiting.find_or_remember(store, "nope")
    with pytest.raises(NoSuchContainer):
        waiting.wait(store, ID, STOPPED)


@pytest.mark.parametrize(
    "condition, message", [("healthy", "not supported yet"), ("foo", "unknown container")]
)
def test_conditions_are_checked(condition: str, message: str) -> None:
    with pytest.raises(PyctrError, match=message):
        waiting.statuses((condition,))
