"""stop and kill on real processes."""

import pathlib
import signal
import time

import pytest

from pyctr.engine import stopping
from pyctr.rootless.errors import WrongState
from pyctr.runtime import state as states
from pyctr.runtime.state import State
from pyctr.storage.paths import Store
from tests import samples

STUBBORN = ("/bin/sh", "-c", 'trap "" TERM; echo ready; while :; do sleep 100; done')


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def identifier(number: int) -> str:
    return samples.identifier(0x100 + number)


def test_stop_asks_and_waits_for_the_record(store: Store) -> None:
    samples.make(store, identifier(1), "web")
    with samples.run(store, identifier(1), "/bin/sleep", "1000"):
        stopping.stop(store, identifier(1))
    found = samples.state_of(store, identifier(1))
    assert (found.status, found.exit_code, found.stopped_by_user) == ("exited", 143, True)


def test_the_stop_signal_is_the_containers(store: Store) -> None:
    samples.make(store, identifier(1), "web", stop_signal=int(signal.SIGINT))
    with samples.run(store, identifier(1), "/bin/sleep", "1000"):
        stopping.stop(store, identifier(1))
    assert samples.state_of(store, identifier(1)).exit_code == 130


@pytest.mark.parametrize("timeout, own", [(0, 10), (1, 10), (None, 1)], ids=["at once", "given", "own"])
def test_what_does_not_end_is_killed(store: Store, timeout: int | None, own: int) -> None:
    samples.make(store, identifier(1), "web", stop_timeout=own)
    with samples.run(store, identifier(1), *STUBBORN, speaks=True):
        before = time.monotonic()
        stopping.stop(store, identifier(1), timeout)
        took = time.monotonic() - before
    assert samples.state_of(store, identifier(1)).exit_code == 137
    assert took >= (own if timeout is None else timeout)
    assert took < 9


def test_many_are_stopped_side_by_side(store: Store) -> None:
    ids = [identifier(number) for number in range(3)]
    for each in ids:
        samples.make(store, each, f"c{each[:3]}")
    monitors = [samples.run(store, each, *STUBBORN, speaks=True) for each in ids]
    before = time.monotonic()
    assert sorted(stopping.stop_many(store, ids, 1)) == [(each, None) for each in ids]
    assert time.monotonic() - before < 2.5
    for monitor in monitors:
        with monitor:
            pass


@pytest.mark.parametrize("status", ["created", "exited"])
def test_stopping_what_does_not_run_is_no_failure(store: Store, status: str) -> None:
    samples.make(store, identifier(1), "web", state=State(status=status, exit_code=5))
    stopping.stop(store, identifier(1))
    assert samples.state_of(store, identifier(1)) == State(status=status, exit_code=5)


def test_a_failure_does_not_keep_the_others_up(store: Store) -> None:
    samples.make(store, identifier(1), "web")
    with samples.run(store, identifier(1), "/bin/sleep", "1000"):
        outcomes = dict(stopping.stop_many(store, [identifier(2), identifier(1)]))
    assert outcomes[identifier(1)] is None
    assert "no such container" in str(outcomes[identifier(2)])


def test_a_container_whose_monitor_was_killed_stops_cleanly(store: Store) -> None:
    samples.make(store, identifier(1), "web")
    monitor = samples.run(store, identifier(1), "/bin/sleep", "1000")
    with monitor:
        monitor.kill()
        monitor.wait()
        stopping.stop(store, identifier(1))
    found = samples.state_of(store, identifier(1))
    assert (found.status, found.exit_code) == ("exited", 137)


def test_kill_sends_any_signal(store: Store) -> None:
    samples.make(store, identifier(1), "web")
    with samples.run(store, identifier(1), "/bin/sleep", "1000") as monitor:
        stopping.kill(store, identifier(1), signal.SIGHUP)
        monitor.wait()
    assert samples.state_of(store, identifier(1)).exit_code == 129


def test_after_sigkill_the_end_is_on_record(store: Store) -> None:
    samples.make(store, identifier(1), "web")
    with samples.run(store, identifier(1), *STUBBORN, speaks=True):
        stopping.kill(store, identifier(1), signal.SIGKILL)
        assert samples.state_of(store, identifier(1)).exit_code == 137
    record = states.read_exit(store, identifier(1))
    assert record is not None and record.exit_code == 137


def test_only_what_runs_can_be_killed(store: Store) -> None:
    samples.make(store, identifier(1), "web", state=State(status="exited"))
    with pytest.raises(WrongState, match="can only kill running containers"):
        stopping.kill(store, identifier(1), signal.SIGKILL)
