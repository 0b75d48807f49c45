"""Removal, its crash windows, and the sweep."""

import os
import pathlib
import time

import pytest

from pyctr.engine import containers, names, removal, waiting
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import InUse
from pyctr.runtime import state as states
from pyctr.runtime.spec import Mount
from pyctr.runtime.state import ProcessId, State
from pyctr.storage import paths, records, volumes
from pyctr.storage.paths import Store
from tests import samples

ID, OTHER = samples.identifier(0xA), samples.identifier(0xB)
DEAD = ProcessId(1 << 22, 1, states.boot_id(), states.pid_namespace())
ENDED = State(status="exited", exit_code=3, started=1, finished=2)
LOST = State(status="running", process=DEAD, monitor=DEAD, started=1)


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def left(store: Store) -> list[str]:
    """Every file of containers and names."""
    folders = (store.containers(), store.container_names(), store.runroot)
    return [
        f"{parent}/{name}" for folder in folders for parent, _, found in os.walk(folder) for name in found
    ]


def test_nothing_is_left_of_a_container(store: Store) -> None:
    samples.make(store, ID, "web", state=ENDED)
    records.make_folder(f"{store.container(ID)}/{paths.UPPER}/a/b")
    records.make_folder(store.container_run(ID))
    removal.remove(store, ID)
    assert left(store) == [] and not containers.all_ids(store)
    assert not os.path.exists(store.container_run(ID))


def test_a_running_container_is_in_use(store: Store) -> None:
    samples.make(store, ID, "web")
    with samples.run(store, ID, "/bin/sleep", "1000") as monitor:
        with pytest.raises(InUse, match="as it is running") as caught:
            removal.remove(store, ID)
        assert caught.value.exit_code == 2
        removal.remove(store, ID, force=True)
        monitor.wait(10)
    assert left(store) == []


@pytest.mark.parametrize("spoil", [paths.SPEC, paths.STATE])
@pytest.mark.parametrize("text", ["{", '{"version":99}', None], ids=["broken", "newer", "missing"])
def test_what_cannot_be_read_is_removed_by_force_only(store: Store, spoil: str, text: str | None) -> None:
    samples.make(store, ID, "web", state=ENDED)
    path = pathlib.Path(store.container(ID), spoil)
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InUse, match="cannot be read"):
        removal.remove(store, ID)
    assert containers.exists(store, ID)
    removal.remove(store, ID, force=True)
    assert not containers.all_ids(store)


def test_the_name_is_free_again(store: Store) -> None:
    samples.make(store, ID, "web", state=ENDED)
    removal.remove(store, ID)
    names.claim(store, "web", OTHER)


def test_a_name_that_another_took_over_is_kept(store: Store) -> None:
    samples.make(store, ID, "web", state=ENDED)
    samples.make(store, OTHER, "web", state=ENDED)
    removal.remove(store, ID)
    assert containers.find(store, "web") == OTHER


def test_removing_twice_says_that_it_is_gone(store: Store) -> None:
    samples.make(store, ID, "web", state=ENDED)
    removal.remove(store, ID)
    with pytest.raises(NoSuchContainer):
        removal.remove(store, ID)


def with_volume(store: Store, container_id: str, name: str, **changes: object) -> None:
    mount = Mount("volume", "/data", "anon", ())
    samples.make(
        store, container_id, name, state=ENDED, mounts=(mount,), anonymous_volumes=("anon",), **changes
    )
    if not volumes.exists(store, "anon"):
        volumes.create(store, "anon", anonymous=True, durable=False)


@pytest.mark.parametrize("with_volumes", [True, False])
def test_anonymous_volumes_go_on_request(store: Store, *, with_volumes: bool) -> None:
    with_volume(store, ID, "web")
    removal.remove(store, ID, volumes=with_volumes)
    assert volumes.exists(store, "anon") is not with_volumes


def test_an_anonymous_volume_that_another_uses_stays(store: Store) -> None:
    with_volume(store, ID, "web")
    with_volume(store, OTHER, "db")
    removal.remove(store, ID, volumes=True)
    assert volumes.exists(store, "anon")


def test_a_sweep_finishes_a_removal_that_was_killed(store: Store) -> None:
    with_volume(store, ID, "web")
    removal.detach(store, ID, volumes=True).release()  # killed after the rename
    records.write_text(
        store.container_name("web"), ID, durable=False
    )  # or even before the name was given back
    assert not containers.all_ids(store)
    removal.sweep(store)
    assert left(store) == [] and not volumes.exists(store, "anon")


def test_a_sweep_leaves_what_is_being_made_or_removed(store: Store) -> None:
    samples.make(store, ID, "web", state=ENDED)
    with removal.detach(store, ID):
        removal.sweep(store)
        assert os.path.exists(removal.hidden(store, ID))
        removal.destroy(store, ID)
    assert left(store) == []


def test_a_sweep_removes_what_was_half_made(store: Store) -> None:
    records.make_folder(removal.hidden(store, ID))
    records.make_folder(store.container_names())
    records.write_text(store.container_name("web"), ID, durable=False)
    removal.sweep(store)
    assert not os.path.exists(removal.hidden(store, ID))
    names.claim(store, "web", OTHER)


@pytest.mark.parametrize(
    "state, swept",
    [(ENDED, True), (LOST, True), (State(), False), (LOST.replace(process=DEAD.replace(pidns=1)), False)],
    ids=["ended", "monitor killed", "created", "unknown"],
)
def test_a_sweep_takes_only_dead_rm_containers(store: Store, state: State, *, swept: bool) -> None:
    samples.make(store, ID, "web", state=state, ephemeral=True)
    samples.make(store, OTHER, "kept", state=ENDED)
    removal.sweep(store)
    assert containers.exists(store, ID) is not swept
    assert containers.exists(store, OTHER)


@pytest.mark.parametrize("spoil", [paths.SPEC, paths.STATE])
def test_a_sweep_keeps_broken_rm_containers(store: Store, spoil: str) -> None:
    samples.make(store, ID, "web", state=ENDED, ephemeral=True)
    pathlib.Path(store.container(ID), spoil).write_text("{")
    removal.sweep(store)
    assert containers.exists(store, ID)


def test_a_sweep_forgets_old_exit_records_of_removed_containers(store: Store) -> None:
    samples.make(store, ID, "web", state=LOST)
    removal.remove(store, ID)
    assert waiting.wait_exit(store, ID) == 137
    removal.sweep(store)
    assert os.path.exists(store.exit_record(ID))
    old = time.time() - removal.EXIT_RECORDS_KEPT - 60
    os.utime(store.exit_record(ID), (old, old))
    removal.sweep(store)
    assert not os.path.exists(store.exit_record(ID))


@pytest.mark.parametrize(
    "ephemeral, remove_it, gone", [(True, False, True), (False, True, True), (False, False, False)]
)
def test_cleanup_removes_rm_containers(
    store: Store, *, ephemeral: bool, remove_it: bool, gone: bool
) -> None:
    samples.make(store, ID, "web", state=LOST, ephemeral=ephemeral)
    removal.cleanup(store, ID, remove_it=remove_it)
    assert containers.exists(store, ID) is not gone
    if not gone:
        assert samples.state_of(store, ID).status == "exited"


def test_cleanup_leaves_a_running_container_alone(store: Store) -> None:
    samples.make(store, ID, "web", ephemeral=True)
    with samples.run(store, ID, "/bin/sleep", "1000") as monitor:
        removal.cleanup(store, ID, remove_it=True)
        assert containers.exists(store, ID)
        monitor.terminate()
        os.kill(samples.state_of(store, ID).process.pid, 9)  # type: ignore[union-attr]


def test_a_sweep_takes_half_made_volumes_unless_somebody_is_at_work_on_them(store: Store) -> None:
    samples.make(store, ID, "web", state=ENDED)
    draft = f"{store.volumes()}/{paths.TEMPORARY}1"
    records.make_folder(f"{draft}/data")
    with records.lock(draft):
        removal.sweep(store)
        assert os.path.exists(draft)
    with records.lock_file(store.store_lock(), shared=True):  # a pull holds nothing up
        removal.sweep(store)
    assert not os.path.exists(draft)


def test_a_draft_takes_its_volumes_and_a_container_with_the_mark_does_not(store: Store) -> None:
    """What a creation leaves that was killed before, and after the container got its name."""
    kept, gone = volumes.anonymous_name(), volumes.anonymous_name()
    for container, volume in ((ID, kept), (OTHER, gone)):
        volumes.create(store, volume, anonymous=True)
        samples.make(store, container, container[:4], state=ENDED, anonymous_volumes=(volume,))
        open(f"{store.container(container)}/{paths.DRAFT}", "w").close()
    os.rename(store.container(OTHER), removal.hidden(store, OTHER))
    removal.remove(store, ID)
    removal.sweep(store)
    assert volumes.names(store) == [kept]
