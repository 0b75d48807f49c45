"""What is shown and recorded of containers whose monitor or machine died."""

import os
import pathlib
from typing import Any

import pytest

from pyctr.engine import containers, truth
from pyctr.runtime import state as states
from pyctr.runtime.state import ExitRecord, ProcessId, State
from pyctr.storage import records
from pyctr.storage.paths import Store
from tests import samples

ID = samples.identifier(1)
STARTED = 1_700_000_000 * 10**9


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def here(pid: int = 0, **changes: object) -> ProcessId:
    """This process, or one that does not exist."""
    own = states.identify(os.getpid())
    return own.replace(**{"pid": pid or own.pid, "start": own.start if not pid else 1, **changes})


GONE = here(pid=1 << 22)


def put(store: Store, **fields: Any) -> None:
    fields = {"status": "running", "started": STARTED, **fields}
    samples.make(store, ID, "web", state=State(**fields))


def test_a_living_process_is_running(store: Store) -> None:
    put(store, process=here(), monitor=here())
    assert truth.current(store, ID).status == "running"


def test_a_pid_that_was_reused_is_not_the_container(store: Store) -> None:
    put(store, process=here(start=1), monitor=GONE)
    found = truth.current(store, ID)
    assert (found.status, found.exit_code, found.error) == ("exited", 137, "its monitor was killed")


def test_a_dead_process_with_a_living_monitor_is_stopping(store: Store) -> None:
    put(store, process=GONE, monitor=here())
    assert truth.current(store, ID).status == "stopping"


def test_after_a_reboot_nothing_runs(store: Store) -> None:
    put(store, process=here(boot="another"), monitor=here(boot="another"))
    found = truth.current(store, ID)
    assert (found.status, found.exit_code, found.error) == ("exited", 255, "the machine was restarted")


def test_another_pid_namespace_is_unknown_and_stays_so(store: Store) -> None:
    put(store, process=here(pidns=1), monitor=here(pidns=1))
    with containers.lock(store, ID):
        assert truth.settle(store, ID).status == "unknown"
    assert samples.state_of(store, ID).status == "running"


def test_the_exit_record_of_a_killed_monitor_counts(store: Store) -> None:
    put(store, process=GONE, monitor=GONE)
    records.make_folder(store.exits())
    ended = ExitRecord(1, 3, finished=STARTED + 5)
    records.write_record(store.exit_record(ID), ended, durable=False)
    found = truth.current(store, ID)
    assert (found.status, found.exit_code, found.finished, found.error) == ("exited", 3, STARTED + 5, "")


def test_the_exit_record_of_an_earlier_run_does_not_count(store: Store) -> None:
    put(store, process=GONE, monitor=GONE)
    records.make_folder(store.exits())
    records.write_record(store.exit_record(ID), ExitRecord(1, 3, finished=STARTED - 5), durable=False)
    assert truth.current(store, ID).exit_code == 137


def test_readers_write_nothing_and_settle_writes_once(store: Store) -> None:
    put(store, process=GONE, monitor=GONE)
    truth.current(store, ID)
    assert samples.state_of(store, ID).status == "running"
    with containers.lock(store, ID):
        first = truth.settle(store, ID)
        assert truth.settle(store, ID) == first == samples.state_of(store, ID)
    assert first.finished >= STARTED
    record = states.read_exit(store, ID)
    assert record is not None and record.exit_code == 137
    events = pathlib.Path(store.events()).read_text().splitlines()
    assert len(events) == 1 and '"status":"died"' in events[0]


def test_a_start_that_was_killed_has_ended(store: Store) -> None:
    put(store, status="initialized", started=0)
    assert truth.current(store, ID).status == "initialized"
    with containers.lock(store, ID):
        assert truth.settle(store, ID).status == "exited"


def test_a_pidfd_is_only_given_for_the_very_process(store: Store) -> None:
    fd = truth.open_process(here())
    assert fd is not None
    os.close(fd)
    assert truth.open_process(here(start=1)) is None
    assert truth.open_process(GONE) is None
    assert truth.open_process(None) is None
