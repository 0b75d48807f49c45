"""What `system reset` does: ends all containers of a store and removes everything in it.

podman-system-reset(1). It has to work on a store that nothing else can cope with: records that cannot be
read, containers whose monitor was killed, files of subordinate ids in folders without permissions.
"""

import os
import re
import select
import signal
import time

from pyctr.engine import config, containers, removal
from pyctr.image import registries
from pyctr.rootless.errors import PyctrError
from pyctr.storage import choice, configuration, images, paths, pins, records, sweep, trees, volumes

_CACHES = (config.CACHE, registries.CACHE, choice.CACHE, configuration.CACHE)  # in the runtime folder
_PATIENCE = 10.0  # seconds: for other calls to end, and for killed processes


def reset(store: paths.Store) -> tuple[str, ...]:
    """Removes everything; names of the root folder that are not pyctr's, which stay. PyctrError names what
    could not be removed, or a folder that is no store.
    """
    _check_is_store(store)
    ids = containers.all_ids(store)
    for container in ids:
        try:
            removal.remove(store, container, force=True, timeout=0)
        except (PyctrError, OSError):
            continue  # the processes and files of it go below
    _end(_processes(store, ids))
    failures = _remove_known(store)
    if failures:
        raise PyctrError(f"not everything could be removed: {'; '.join(failures)}")
    return _remove_folders(store)


def _check_is_store(store: paths.Store) -> None:
    """PyctrError when what the root folder holds may be somebody else's: others too have images/ and cache/
    in their folders, and the file oci-layout. Looked at before we lock, which makes the lock file.
    """
    found = [name for name in records.names_in(store.root) if name in paths.NAMES_IN_ROOT]
    marks = (store.store_lock(), f"{store.oci_index()}.lock")
    if not found or any([os.path.exists(mark) for mark in marks]) or _has_volume(store):
        return
    raise PyctrError(
        f"{store.root} is not removed, since it is no store of pyctr: it holds {', '.join(found)}, "
        f"but no {os.path.basename(store.store_lock())}",
        "Give the folder of the store with --root; 'pyctr info' shows it.",
    )


def _has_volume(store: paths.Store) -> bool:
    """Whether there is a volume, which is made without the store lock."""
    names = volumes.names(store)
    return any([os.path.exists(f"{store.volume(name)}/{paths.VOLUME_RECORD}") for name in names])


def _remove_known(store: paths.Store) -> list[str]:
    """Removes what pyctr makes; what went wrong.

    First all of it gets the names of garbage, records before what they refer to: SIGKILL leaves a store in
    which nothing refers to what is gone, and garbage for the next sweep.
    """
    lock = _last_call(store)
    try:
        failures = _remove_runtime(store)
        hidden = [_hide(store.root, name) for name in _known(store)]
        return failures + _remove_all(store.root, hidden)
    finally:
        if lock is not None:
            lock.release()


def _remove_runtime(store: paths.Store) -> list[str]:
    """Removes what this store has in the runtime folder, which others may share; what went wrong."""
    halves = re.compile(rf"\.({'|'.join([re.escape(name) for name in _CACHES])})\.[0-9]+")
    names = [name for name in records.names_in(store.runroot) if name in _CACHES or halves.fullmatch(name)]
    ids = [name.removeprefix(paths.TEMPORARY) for name in records.names_in(store.containers())]
    failures = _remove_all(store.runroot, names + [name for name in ids if containers.is_id(name)])
    try:
        failures += _remove_all(store.image_mounts(), images.image_ids(store))
        os.rmdir(store.image_mounts())
    except OSError:
        pass  # there is none, another store has mounts, or our images cannot be listed: it holds no data
    return failures


def _hide(folder: str, name: str) -> str:
    """Renames a folder to one that sweepers take; the name that it has then. Files stay as they are."""
    if name.startswith(paths.TEMPORARY) or not os.path.isdir(f"{folder}/{name}"):
        return name
    doomed = f"{paths.TEMPORARY}{name}.{os.urandom(8).hex()}"
    try:
        os.rename(f"{folder}/{name}", f"{folder}/{doomed}")
    except OSError:
        return name  # a mount point, or a link to another place: emptied where it is
    return doomed


def _remove_all(folder: str, names: list[str]) -> list[str]:
    """Removes these; what went wrong with each that stays."""
    failures = []
    for name in names:
        try:
            trees.remove(f"{folder}/{name}")
        except (PyctrError, OSError) as error:
            failures.append(f"{folder}/{name}: {error}")
    return failures


def _last_call(store: paths.Store) -> records.Lock | None:
    """The store lock, once pulls and the like have ended; None when they do not, or there is no store."""
    if not os.path.isdir(store.root):
        return None
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return _lock_alone(store)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
        except OSError:
            return None


def _lock_alone(store: paths.Store) -> records.Lock:
    """The store lock while nothing is being made. BlockingIOError when something is."""
    lock = records.lock_file(store.store_lock(), wait=False)
    if any(pins.living(store)):
        lock.release()
        raise BlockingIOError
    return lock


def _known(store: paths.Store) -> list[str]:
    """The names in the root folder that pyctr makes: someone may have chosen a folder with other things."""
    found = records.names_in(store.root)
    kept = [name for name in paths.NAMES_IN_ROOT if name in found]
    return [name for name in found if sweep.is_temporary_of_root(name)] + kept


def _remove_folders(store: paths.Store) -> tuple[str, ...]:
    left = records.names_in(store.root)
    for folder in (store.root, store.runroot):
        try:
            os.rmdir(folder)
        except OSError:
            continue  # it holds something else, or is a mount point
    return tuple(left)


def _processes(store: paths.Store, ids: list[str]) -> list[int]:
    """pidfds of what runs on this store: monitors, and processes that see a container's folder mounted."""
    marks = tuple([f"/containers/{container}/".encode() for container in ids])
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and marks:
            try:
                fd = os.pidfd_open(int(name))
            except OSError:
                continue
            if _belongs(name, store, marks):
                found.append(fd)
            else:
                os.close(fd)
    return found


def _belongs(pid: str, store: paths.Store, marks: tuple[bytes, ...]) -> bool:
    """Whether a process is a container's or a monitor of this store. What cannot be read is not ours."""
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:
            text = file.read()
        if os.fsencode(store.root) in text and any([mark in text for mark in marks]):
            return True
        with open(f"/proc/{pid}/comm") as file:
            if not file.read().startswith("pyctr-monitor"):
                return False
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False
    return any([link.startswith(f"{store.root}/") for link in links])


def _end(pidfds: list[int]) -> None:
    """Kills processes and waits until they have ended, for a while."""
    for fd in pidfds:
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except OSError:
            continue  # ended by itself, or not ours to kill
    deadline = time.monotonic() + _PATIENCE
    for fd in pidfds:
        select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
        os.close(fd)
