"""What both doors do with volumes: make with podman's options, find, describe, remove, prune.

podman-volume-create(1), podman-volume-rm(1), podman-volume-prune(1).
"""

import os
from contextlib import contextmanager

from pyctr.engine import containers, removal, sizes, timestamps
from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import volumes
from pyctr.storage.volumes import Volume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from pyctr.storage.paths import Store

_FLAGS = ("ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "noatime")
_BIND = ("bind", "rbind")
_TMPFS_KEYS = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge")
_NEEDS_ROOT = "An ordinary user can mount type=tmpfs, and a folder of the host with type=none and o=bind."


class NoSuchVolume(NoSuchObject):
    """In the words that podman's users and scripts know."""

    def __init__(self, name: str) -> None:
        super().__init__("volume", name)
        self.message = f"no volume with name {name!r} found: no such volume"
        self.args = (self.message,)


class Listed(Value):
    """A volume of a list; one whose record cannot be read has no `volume` but an `error`."""

    name: str
    volume: Volume | None = None
    error: str = ""


class Wish(Value):
    """What `volume create` asks for."""

    name: str = ""
    driver: str = "local"
    labels: dict[str, str] = {}
    options: dict[str, str] = {}
    uid: int | None = None
    gid: int | None = None


def create(store: "Store", wish: Wish, *, ignore: bool = False) -> str:
    """Makes a volume; its name. InUse when there is one, unless that is to be ignored. PyctrError for
    options that need root, or that do not fit together.
    """
    if wish.driver != "local":
        raise PyctrError(
            f"volume driver {wish.driver!r} is not supported", "The only one is local; it needs no --driver."
        )
    name = wish.name or volumes.anonymous_name()
    if ignore and volumes.exists(store, volumes.check_name(name)):
        return name
    checked = check_options(wish.options)
    uid, gid = _owner(wish, checked)
    try:
        volumes.create(store, name, labels=wish.labels, options=checked, anonymous=False, uid=uid, gid=gid)
    except InUse:
        if not ignore:
            raise
    return name


def check_options(given: "dict[str, str]") -> "dict[str, str]":
    """The options as they are kept: type, device, o, nocopy. PyctrError for what cannot be done."""
    for key in given:
        if key not in ("type", "device", "o", "copy", "nocopy"):
            raise PyctrError(
                f"unknown volume option {key!r}", "Known are type, device, o (as in mount -o), copy, nocopy."
            )
        if not given[key] and key not in ("copy", "nocopy"):
            raise PyctrError(f"the volume option {key} has no value", f"Write it as -o {key}=VALUE.")
    kind = given.get("type", "")
    words = [word for word in given.get("o", "").split(",") if word]
    if kind == "tmpfs":
        words = [_tmpfs_word(word) for word in words]
    elif kind in ("", "none", *_BIND):
        _check_folder(given, words)
    else:
        raise PyctrError(f"a volume of type {kind!r} cannot be mounted without root", _NEEDS_ROOT)
    kept = {**given, **({"o": ",".join(words)} if words else {})}
    return {key: value for key, value in kept.items() if key != "copy"}


def _tmpfs_word(word: str) -> str:
    """One option of a tmpfs, with its size in bytes."""
    key, equals, value = word.partition("=")
    if word in _FLAGS:
        return word
    if not equals or key not in _TMPFS_KEYS or not value:
        known = ", ".join((*_FLAGS, *[f"{each}=" for each in _TMPFS_KEYS]))
        raise PyctrError(f"option {word!r} of a tmpfs volume is not known", f"Known are {known}.")
    if key == "size" and not value.endswith("%"):
        return f"size={sizes.parse_size(value, 'o=size')}"
    if key in ("uid", "gid"):
        _number(key, value)
    return word


def _check_folder(given: "dict[str, str]", words: "list[str]") -> None:
    """Options of a volume that is a folder: of the store, or of the host with `device`."""
    device = given.get("device", "")
    if given.get("type") and not device:
        raise PyctrError(f"a volume of type {given['type']} needs a device", "Add -o device=/FOLDER.")
    for word in words:
        key, _, value = word.partition("=")
        if key in ("uid", "gid"):
            _number(key, value)
        elif key in ("size", "inodes"):
            raise PyctrError(f"o={key} needs quotas, which need root", "Use type=tmpfs with o=size=...")
        elif word != "noquota" and not (device and word in (*_FLAGS, *_BIND)):
            raise PyctrError(f"the volume option o={word} is not supported here", _NEEDS_ROOT)
    if not device:
        return
    if given.get("type", "none") == "none" and not set(words) & set(_BIND):
        raise PyctrError(f"{device} cannot be mounted without root", "For a folder add -o o=bind.")
    if not os.path.isabs(device) or not os.path.isdir(device):
        raise PyctrError(f"volume device {device} is not a folder", "Make it first; give the whole path.")


def _owner(wish: Wish, options: "dict[str, str]") -> tuple[int, int]:
    """Owner of the data: --uid and --gid, else o=uid= and o=gid=."""
    found = {"uid": 0, "gid": 0}
    if options.get("type") != "tmpfs" and "device" not in options:
        for word in options.get("o", "").split(","):
            key, _, value = word.partition("=")
            if key in found:
                found[key] = _number(key, value)
    uid, gid = found["uid"] if wish.uid is None else wish.uid, found["gid"] if wish.gid is None else wish.gid
    if min(uid, gid) < 0:
        raise PyctrError("ids of a volume's owner cannot be negative")
    return uid, gid


def _number(key: str, value: str) -> int:
    if not (value.isascii() and value.isdigit()):
        raise PyctrError(f"the volume option {key}={value} is not a number")
    return int(value)


def find(store: "Store", name: str) -> str:
    """The volume that a user means: a whole name, or the beginning of just one. NoSuchVolume."""
    known = volumes.names(store)
    if name in known:
        return name
    found = [each for each in known if name and each.startswith(name)]
    if not found:
        raise NoSuchVolume(name)
    if len(found) > 1:
        raise PyctrError(
            f"more than one result for volume name {name}: {', '.join(found)}", "Give the whole name."
        )
    return found[0]


def list_volumes(store: "Store") -> list[Listed]:
    """All volumes by name, broken ones too."""
    found = []
    for name in volumes.names(store):
        try:
            found.append(Listed(name, volumes.read(store, name)))
        except NoSuchObject:
            continue  # removed meanwhile
        except (BrokenRecord, OSError) as error:
            found.append(Listed(name, error=str(error)))
    return found


def describe(store: "Store", listed: Listed, mounted: "dict[str, int]") -> "dict[str, Any]":
    """What podman-volume-inspect(1) shows; `mounted` is from `mount_counts`."""
    volume = listed.volume or Volume(volumes.VOLUME_VERSION, listed.name, 0)
    return {
        "Name": volume.name,
        "Driver": volume.driver,
        "Mountpoint": mount_point(store, volume),
        "CreatedAt": timestamps.rfc3339(volume.created),
        "Labels": volume.labels,
        "Scope": "local",
        "Options": volume.options,
        **({"UID": volume.uid} if volume.uid else {}),
        **({"GID": volume.gid} if volume.gid else {}),
        **({"Anonymous": True} if volume.anonymous else {}),
        "MountCount": mounted.get(volume.name, 0),
        "NeedsCopyUp": not volume.copied and "nocopy" not in volume.options,
        "NeedsChown": not (volume.copied or volume.uid or volume.gid),
    }


def mount_point(store: "Store", volume: Volume) -> str:
    """Where the data is on the host; empty for a tmpfs, which each container has for itself."""
    if volume.options.get("type") == "tmpfs":
        return ""
    return volume.options.get("device") or volumes.data_folder(store, volume.name)


def mount_counts(store: "Store") -> "dict[str, int]":
    """How many running containers mount each volume."""
    from pyctr.engine import listing, truth

    counts: dict[str, int] = {}
    for each in listing.list_containers(store):
        if each.status in truth.ALIVE:
            for name in {mount.source for mount in each.summary.mounts if mount.kind == "volume"}:
                counts[name] = counts.get(name, 0) + 1
    return counts


def remove(store: "Store", name: str, *, force: bool = False, timeout: int | None = None) -> str:
    """Removes what `name` means; the whole name. `force` removes the containers that mount it before.

    NoSuchVolume; InUse (exit code 2) names the containers.
    """
    found = find(store, name)
    if force:
        for container in volumes.certain_users(store, found):
            try:
                removal.remove(store, container, force=True, volumes=True, timeout=timeout)
            except containers.NoSuchContainer:
                pass  # somebody else was faster
    try:
        volumes.remove(store, found)
    except NoSuchObject:
        if not force:  # an anonymous one goes with its container
            raise NoSuchVolume(name) from None
    return found


def prunable(store: "Store", *, every: bool = False, filters: "tuple[str, ...]" = ()) -> list[Volume]:
    """Volumes that no container mounts and that pass the filters: anonymous ones, with `every` all."""
    from pyctr.engine import volumefilters

    passing = volumefilters.select(store, list_volumes(store), filters, volumefilters.PRUNE)
    named = every or volumefilters.wants_named(filters)
    found = [each.volume for each in passing if each.volume is not None]
    return [each for each in found if (named or each.anonymous) and not volumes.users(store, each.name)]


def prune(store: "Store", doomed: "list[Volume]") -> "Iterator[tuple[str, int]]":
    """Removes these volumes unless they are used by now; the name and the bytes of each that went."""
    from pyctr.engine import usage

    sizes_of = usage.folder_sizes([volumes.data_folder(store, each.name) for each in doomed])
    for each, size in zip(doomed, sizes_of, strict=True):
        try:
            volumes.remove(store, each.name)
        except (InUse, NoSuchObject):
            continue
        yield each.name, size


def open_place(store: "Store", name: str) -> str:
    """Where the data of a volume lies on the host. NoSuchVolume; PyctrError for a tmpfs."""
    found = find(store, name)
    place = mount_point(store, volumes.read(store, found))
    if not place:
        raise PyctrError(
            f"volume {found} is a tmpfs, which exists in the containers that mount it only",
            f"Look into one: pyctr exec CONTAINER ls. See 'pyctr volume inspect {found}'.",
        )
    return place


def export(store: "Store", name: str, path: str = "") -> None:
    """Writes the content of a volume as a tar into a file, or to standard output."""
    from pyctr.storage import volumetar

    place = open_place(store, name)
    if not path:
        return volumetar.export(place, 1)
    with written_file(path) as file:
        volumetar.export(place, file.fileno())


@contextmanager
def written_file(path: str) -> "Iterator[BinaryIO]":
    """A new file, which gets its name when it is whole. What is no plain file is written into."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            yield file
        return
    folder, name = os.path.split(os.path.abspath(path))
    temporary = f"{folder}/.{name}.{os.getpid()}"
    try:
        with open(temporary, "xb") as file:
            yield file
        os.rename(temporary, path)
    except OSError as error:
        _discard(temporary)
        raise PyctrError(f"cannot write {path}: {error.strerror}") from None
    except BaseException:
        _discard(temporary)
        raise


def _discard(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it could not even be begun


def import_(store: "Store", name: str, path: str) -> None:
    """Unpacks a tar (`-`: standard input) into a volume. NoSuchVolume; PyctrError names what is wrong."""
    from pyctr.storage import volumetar

    place = open_place(store, name)
    label = "standard input" if path == "-" else path
    with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
        try:
            volumetar.import_(place, file.fileno())
        except PyctrError as error:
            message = f"cannot import {label} into volume {name}: {error.message}"
            raise PyctrError(message, error.hint) from None
