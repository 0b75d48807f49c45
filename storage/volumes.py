"""Named and anonymous volumes: volumes/<name>/{volume.json,data/}.

A volume is built in volumes/tmp.<random>/ and renamed, so that the name is the claim. The folder's lock
protects its record. Data is owned by container ids; the folder around it stays the user's.

Who makes a container writes its spec first and then looks for its volumes, under the lock of each
(`ensure`); who removes a volume reads the specs under that lock. So one of them sees the other, and
neither waits for a pull.
"""

import os
import time

from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VOLUME_VERSION = 1

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NEXT = _FIRST | frozenset("_.-")


class Volume(Value):
    """A volume. `copied` is set once nothing of an image has to be copied into it any more.

    `options` are those of `volume create -o`: type, device, o, nocopy.
    """

    version: int
    name: str
    created: int  # nanoseconds since 1970, UTC
    driver: str = "local"
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    anonymous: bool = False  # made for one container and removed with it
    copied: bool = False
    uid: int = 0  # owner of the data, as containers see it
    gid: int = 0


def check_name(name: str) -> str:
    """`name` when it fits podman's grammar [a-zA-Z0-9][a-zA-Z0-9_.-]*, else PyctrError."""
    if (
        not name
        or name[0] not in _FIRST
        or not _NEXT.issuperset(name)
        or len(name) > 255
        or name.startswith(paths.TEMPORARY)
    ):
        raise PyctrError(
            f"invalid volume name: {name!r}",
            "Begin with a letter or digit (not 'tmp.'); go on with letters, digits, '_', '.' and '-'. "
            "A folder of the host begins with '/' or './'.",
        )
    return name


def anonymous_name() -> str:
    """64 hex digits, as podman names volumes that the user did not name."""
    return os.urandom(32).hex()


def data_folder(store: paths.Store, name: str) -> str:
    """The folder that containers see."""
    return f"{store.volume(name)}/{paths.VOLUME_DATA}"


def exists(store: paths.Store, name: str) -> bool:
    """Whether there is a volume of this name, readable or not."""
    return os.path.lexists(store.volume(name))


def create(
    store: paths.Store,
    name: str,
    *,
    labels: "dict[str, str] | None" = None,
    options: "dict[str, str] | None" = None,
    anonymous: bool = False,
    durable: bool = True,
    uid: int = 0,
    gid: int = 0,
) -> Volume:
    """A new empty volume, whose data belongs to `uid` and `gid`. InUse when the name is taken."""
    volume = Volume(
        VOLUME_VERSION, check_name(name), time.time_ns(), "local", labels or {}, options or {}, anonymous
    )
    put(store, volume.replace(uid=uid, gid=gid), durable=durable)
    return volume.replace(uid=uid, gid=gid)


def put(store: paths.Store, volume: Volume, *, durable: bool) -> None:
    """Makes a new volume with this record. InUse when the name is taken.

    SIGKILL before the rename leaves tmp.<random>/, which a sweep takes; after it the volume is whole.
    """
    draft = f"{store.volumes()}/{paths.TEMPORARY}{os.urandom(16).hex()}"
    with _locked_draft(draft):
        try:
            _fill_draft(draft, volume, durable=durable)
            os.rename(draft, store.volume(volume.name))
        except BaseException as error:
            _discard(draft)
            if not isinstance(error, OSError):
                raise
            if exists(store, volume.name):
                message = f"volume with name {volume.name} already exists"
                raise InUse(message, "Choose another name.") from None
            raise PyctrError(f"cannot make volume {volume.name}: {error.strerror}") from None
    if durable:
        records.sync_folder(store.volumes())


def _locked_draft(draft: str) -> records.Lock:
    """A new folder, locked; a sweeper that is faster than our lock takes it away, and it is made again."""
    while True:
        try:
            os.mkdir(draft, 0o700)
        except FileNotFoundError:
            records.make_folder(draft)
        try:
            return records.lock(draft)
        except FileNotFoundError:
            continue


def _fill_draft(draft: str, volume: Volume, *, durable: bool) -> None:
    data = f"{draft}/{paths.VOLUME_DATA}"
    os.mkdir(data)
    os.chmod(data, 0o755)  # whatever the umask: users of the container must get in
    if volume.uid or volume.gid:
        from pyctr.rootless import userns

        userns.call_mapped(userns.default_maps(), os.chown, data, volume.uid, volume.gid)
    records.write_record(f"{draft}/{paths.VOLUME_RECORD}", volume, durable=durable)


def _discard(draft: str) -> None:
    """Removes a draft that nobody has written into."""
    for name in (paths.VOLUME_RECORD, paths.VOLUME_DATA, ""):
        try:
            (os.unlink if name == paths.VOLUME_RECORD else os.rmdir)(f"{draft}/{name}")
        except OSError:
            pass


def ensure(store: paths.Store, name: str, *, durable: bool = True) -> None:
    """Makes the volume unless there is one. The spec that mounts it is written already.

    Waits for a removal that is about to look at that spec, or has not seen it: then it is made anew.
    """
    while True:
        try:
            with lock(store, check_name(name)):
                return
        except NoSuchObject:
            pass
        try:
            return put(store, Volume(VOLUME_VERSION, name, time.time_ns()), durable=durable)
        except InUse:
            continue


def read(store: paths.Store, name: str) -> Volume:
    """The record of a volume. NoSuchObject, BrokenRecord."""
    folder = store.volume(name)
    try:
        volume = records.read_record(f"{folder}/{paths.VOLUME_RECORD}", Volume, VOLUME_VERSION)
        return volume.replace(copied=volume.copied or os.path.exists(f"{folder}/{paths.VOLUME_COPIED}"))
    except FileNotFoundError:
        if exists(store, name):
            raise BrokenRecord(f"volume {name} has no record {paths.VOLUME_RECORD}") from None
        raise NoSuchObject("volume", name) from None


def lock(store: paths.Store, name: str) -> records.Lock:
    """The lock that protects a volume's record and its filling. NoSuchObject."""
    try:
        return records.lock(store.volume(name))
    except FileNotFoundError:
        raise NoSuchObject("volume", name) from None


def mark_copied(store: paths.Store, name: str, *, durable: bool) -> None:
    """Notes that the image's content is in the volume. The caller holds the lock.

    A file of its own: root of a container's namespace sets the mark, and may be another id than the user,
    who has to be able to read the record.
    """
    path = f"{store.volume(name)}/{paths.VOLUME_COPIED}"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if durable:
        records.sync_folder(store.volume(name))


def names(store: paths.Store) -> list[str]:
    """The names of all volumes, readable or not, sorted."""
    found = records.names_in(store.volumes())
    return [name for name in found if name[0] in _FIRST and not name.startswith(paths.TEMPORARY)]


def users(store: paths.Store, name: str) -> list[str]:
    """The ids of the containers that mount a volume, sorted.

    An unreadable spec counts as a user: what it mounts is not known, and only garbage is removed.
    """
    found = records.names_in(store.containers())
    return [container for container in found if _uses(store, container, name)]


def certain_users(store: paths.Store, name: str) -> list[str]:
    """Like `users`, without those of which it is not known."""
    return [user for user in users(store, name) if _mounts(store, user)]


def _uses(store: paths.Store, container: str, name: str) -> bool:
    try:
        mounts = _mounts(store, container)
    except FileNotFoundError:
        return False
    return mounts is None or any([_is_mount_of(mount, name) for mount in mounts])


def _mounts(store: paths.Store, container: str) -> "list[Any] | None":
    """The mounts that a spec lists; None when it cannot be read. FileNotFoundError when there is none."""
    try:
        spec = records.read_json(f"{store.container(container)}/{paths.SPEC}")
    except BrokenRecord:
        return None
    mounts = spec.get("mounts") if type(spec) is dict else None
    return mounts if type(mounts) is list else None


def _is_mount_of(mount: "Any", name: str) -> bool:
    return type(mount) is dict and mount.get("kind") == "volume" and mount.get("source") == name


def remove(store: paths.Store, name: str, *, but_for: "tuple[str, ...]" = ()) -> None:
    """Removes a volume and its data. NoSuchObject; InUse when a container other than `but_for` mounts it.

    SIGKILL after the rename leaves tmp.<random>/, which a sweep takes.
    """
    with lock(store, name):
        holders = [user for user in users(store, name) if user not in but_for]
        if holders:
            raise InUse(
                f"volume {name} is being used by the following container(s): {', '.join(holders)}",
                "Remove the containers first.",
                exit_code=2,
            )
        doomed = f"{store.volumes()}/{paths.TEMPORARY}{os.urandom(16).hex()}"
        os.rename(store.volume(name), doomed)
        from pyctr.storage import trees

        trees.remove(doomed)


def sweep(store: paths.Store, age: int = 0) -> None:
    """Removes what killed processes left half-made or half-removed: drafts whose lock can be taken, and that
    were not changed in the last `age` seconds.
    """
    from pyctr.storage import trees

    for draft in drafts(store):
        if records.is_younger(draft, age):
            continue
        try:
            with records.lock(draft, wait=False):
                trees.remove(draft)
        except (BlockingIOError, FileNotFoundError):
            continue


def drafts(store: paths.Store) -> list[str]:
    """The folders of volumes that are being made or removed."""
    found = records.names_in(store.volumes())
    return [f"{store.volumes()}/{name}" for name in found if name.startswith(paths.TEMPORARY)]
