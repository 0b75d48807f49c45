"""Removing containers, and sweeping what killed processes left behind.

The order of a removal, under the container's lock, and what a SIGKILL or power cut after each step leaves:
1. with the volumes: the `ephemeral` mark    a dead container that the next sweep removes, as was asked for
2. containers/<id> becomes tmp.<id>          the container is gone in one step; a sweep does the rest
3. the name is given back                    (a name whose container is gone blocks nobody: engine/names.py)
4. anonymous volumes, the run folder, and the files, which hold the mark and the spec until the very end
"""

import errno
import os
import time

from pyctr.engine import containers, names, truth
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import BrokenRecord, InUse, PyctrError
from pyctr.rootless.values import Value
from pyctr.runtime import state as states
from pyctr.runtime.spec import SPEC_VERSION
from pyctr.runtime.state import State
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store

EXIT_RECORDS_KEPT = 24 * 3600  # seconds that the exit record of a removed container is kept
_FINAL_CHECKS = 3


class Leavings(Value):
    """The part of a spec that tells what is removed with a container."""

    version: int
    name: str = ""
    image_name: str = ""
    anonymous_volumes: tuple[str, ...] = ()


def remove(
    store: "Store",
    container_id: str,
    *,
    force: bool = False,
    volumes: bool = False,
    timeout: int | None = None,
) -> None:
    """Removes a container. NoSuchContainer; InUse when it runs (or cannot be read) and `force` is not given.

    `force` stops it first, as `stop` with this timeout does. `volumes` removes its anonymous volumes too.
    """
    lock = detach(store, container_id, force=force, volumes=volumes, timeout=timeout)
    with lock:
        destroy(store, container_id)


def detach(
    store: "Store",
    container_id: str,
    *,
    force: bool = False,
    volumes: bool = False,
    timeout: int | None = None,
) -> records.Lock:
    """The first half of `remove`: afterwards the container is gone for everybody, and `destroy` frees its
    space.

    Returns its lock, which keeps sweepers away from the second half.
    """
    for _ in range(_FINAL_CHECKS):
        lock = containers.lock(store, container_id)
        try:
            if is_removable(store, container_id, force=force):
                _hide(store, container_id, volumes=volumes)
                return lock
        except BaseException:
            lock.release()
            raise
        lock.release()
        from pyctr.engine import stopping

        try:
            stopping.stop(store, container_id, timeout)
        except FileNotFoundError:
            raise NoSuchContainer(container_id) from None
    raise InUse(f"container {container_id} is started again and again while it is removed")


def is_removable(store: "Store", container_id: str, *, force: bool) -> bool:
    """Whether nothing of the container runs; False says to stop it first. InUse without `force`. The lock is
    held.
    """
    try:
        records.read_record(f"{store.container(container_id)}/{paths.SPEC}", Leavings, SPEC_VERSION)
        state = truth.settle(store, container_id)
    except (BrokenRecord, FileNotFoundError) as error:
        if not force:
            raise InUse(
                f"container {container_id} cannot be read: {error}",
                f"If it is of no use any more, remove it with 'pyctr rm -f {container_id[:12]}'.",
                exit_code=125,
            ) from None
        return True
    if state.status == "unknown":
        from pyctr.engine import stopping

        raise stopping.elsewhere(container_id)
    if state.status not in (*truth.ALIVE, "initialized"):
        return True
    if not force:
        raise running(container_id, state)
    return False


def running(container_id: str, state: State) -> InUse:
    return InUse(
        f"cannot remove container {container_id} as it is {state.status} - "
        "running or paused containers cannot be removed without force: container state improper",
        f"Stop it first ('pyctr stop {container_id[:12]}'), or use 'pyctr rm -f'.",
        exit_code=2,
    )


def _hide(store: "Store", container_id: str, *, volumes: bool) -> None:
    folder = store.container(container_id)
    left = leavings(folder)
    if volumes:
        mark = os.open(f"{folder}/{paths.EPHEMERAL}", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(mark)
    _forget_draft(folder)
    os.rename(folder, hidden(store, container_id))
    if left is not None:
        names.release(store, left.name, container_id)
    else:
        names.release_all(store, container_id)
    details = {"name": left.name, "image": left.image_name} if left else {}
    states.append_event(store, "container", "remove", container_id, **details)


def _forget_draft(folder: str) -> None:
    """A creation that was killed in its last step has left the mark, with which volumes would go."""
    try:
        os.unlink(f"{folder}/{paths.DRAFT}")
    except FileNotFoundError:
        pass


def hidden(store: "Store", container_id: str) -> str:
    """The folder of a container that is being made or removed."""
    return f"{store.containers()}/{paths.TEMPORARY}{container_id}"


def leavings(folder: str) -> Leavings | None:
    """What the spec in a folder says about removal; None when it cannot be read."""
    try:
        return records.read_record(f"{folder}/{paths.SPEC}", Leavings, SPEC_VERSION)
    except (FileNotFoundError, BrokenRecord):
        return None


def destroy(store: "Store", container_id: str) -> None:
    """The second half of `remove`: frees the space of a container that `detach` took away. Its lock is held.

    May be repeated after a failure.
    """
    from pyctr.storage import trees

    folder = hidden(store, container_id)
    left = leavings(folder)
    marks = [f"{folder}/{mark}" for mark in (paths.EPHEMERAL, paths.DRAFT)]
    if left is not None and any([os.path.exists(mark) for mark in marks]):
        _remove_volumes(store, left.anonymous_volumes, os.path.basename(folder))
    trees.remove(store.container_run(container_id))
    trees.remove(folder)


def _remove_volumes(store: "Store", volumes: tuple[str, ...], owner: str) -> None:
    """Removes the anonymous volumes of the container in the folder `owner`; one that another uses stays."""
    if not volumes:
        return
    from pyctr.storage import volumes as store_volumes

    for name in volumes:
        try:
            store_volumes.remove(store, name, but_for=(owner,))
        except PyctrError:
            pass


def sweep(store: "Store", age: int = 0) -> None:
    """Removes what is certainly garbage and was not changed in the last `age` seconds; what fails is left to
    the next sweep.

    That is: half-made and half-removed containers that nobody holds, dead --rm containers whose command and
    monitor are gone, and old exit records.
    """
    try:
        found = os.listdir(store.containers())
    except FileNotFoundError:
        return
    for name in found:
        if records.is_younger(f"{store.containers()}/{name}", age):
            continue
        try:
            if name.startswith(paths.TEMPORARY):
                _sweep_hidden(store, name.removeprefix(paths.TEMPORARY))
            elif containers.is_id(name) and os.path.exists(f"{store.container(name)}/{paths.EPHEMERAL}"):
                _sweep_ephemeral(store, name)
        except (PyctrError, OSError):
            continue
    _sweep_volumes(store, age)
    _sweep_exits(store)


def _sweep_hidden(store: "Store", container_id: str) -> None:
    try:
        lock = records.lock(hidden(store, container_id), wait=False)
    except (BlockingIOError, FileNotFoundError):
        return
    with lock:
        left = leavings(hidden(store, container_id))
        if left is not None:
            names.release(store, left.name, container_id)
        else:
            names.release_all(store, container_id)
        destroy(store, container_id)


def _sweep_ephemeral(store: "Store", container_id: str) -> None:
    """A --rm container that has ended while nobody was left to remove it. One that was only created may yet
    be started.
    """
    try:
        lock = containers.lock(store, container_id, wait=False)
    except (BlockingIOError, NoSuchContainer):
        return
    with lock:
        if leavings(store.container(container_id)) is None:
            return  # broken: kept until `rm -f`
        if truth.settle(store, container_id).status != "exited":
            return
        _hide(store, container_id, volumes=True)
        destroy(store, container_id)


def _sweep_volumes(store: "Store", age: int) -> None:
    """Half-made and half-removed volumes."""
    from pyctr.storage import volumes as store_volumes

    try:
        store_volumes.sweep(store, age)
    except (PyctrError, OSError):
        pass


def _sweep_exits(store: "Store") -> None:
    try:
        found = os.listdir(store.exits())
    except FileNotFoundError:
        return
    oldest = time.time() - EXIT_RECORDS_KEPT
    for name in found:
        path = f"{store.exits()}/{name}"
        try:
            if os.stat(path).st_mtime < oldest and not os.path.exists(f"{store.containers()}/{name}"):
                os.unlink(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                return


def finish(store: "Store", container_id: str) -> None:
    """Removes a --rm container that has ended. Nothing happens when somebody else has done so, or restarts
    it.
    """
    if os.path.exists(f"{store.container(container_id)}/{paths.EPHEMERAL}"):
        try:
            remove(store, container_id, volumes=True)
        except (NoSuchContainer, InUse):
            pass


def cleanup(store: "Store", container_id: str, *, remove_it: bool = False) -> None:
    """Finishes what a monitor began: writes down the end, and removes a --rm container. A running one is
    left alone.
    """
    with containers.lock(store, container_id):
        status = truth.settle(store, container_id).status
        ephemeral = os.path.exists(f"{store.container(container_id)}/{paths.EPHEMERAL}")
    if status == "exited" and (remove_it or ephemeral):
        try:
            remove(store, container_id, volumes=ephemeral)
        except NoSuchContainer:
            pass  # somebody else was faster
