"""Finding containers by what a user types: a name, an id, the beginning of an id, or the latest."""

import os

from pyctr.rootless.errors import BrokenRecord, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.runtime.spec import SPEC_VERSION, Spec
from pyctr.storage import paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store

_HEX = frozenset("0123456789abcdef")


class NoSuchContainer(NoSuchObject):
    """In the words that podman's users and scripts know."""

    def __init__(self, name: str) -> None:
        super().__init__("container", name)
        self.message = f'no container with name or ID "{name}" found: no such container'
        self.args = (self.message,)


class Birth(Value):
    """The part of a spec that orders containers."""

    version: int
    created: int = 0


def is_id(name: str) -> bool:
    """Whether `name` has the form of a whole container id."""
    return len(name) == 64 and _HEX.issuperset(name)


def all_ids(store: "Store") -> list[str]:
    """The ids of all containers, also broken ones; not what is being built or removed."""
    try:
        names = os.listdir(store.containers())
    except FileNotFoundError:
        return []
    return [name for name in names if is_id(name)]


def exists(store: "Store", container_id: str) -> bool:
    """Whether the folder of a container is there, readable or not."""
    return os.path.isdir(store.container(container_id))


def find(store: "Store", name: str) -> str:
    """The id of the container that a user means. NoSuchContainer; PyctrError when an id's beginning is
    ambiguous.

    As in podman a name or whole id goes before the beginning of an id.
    """
    found = by_name(store, name)
    if found is None and is_id(name) and exists(store, name):
        found = name
    return found or _by_prefix(store, name)


def by_name(store: "Store", name: str) -> str | None:
    """The id of the container with this name. A name whose container is gone (a removal was killed) means
    nothing.
    """
    if not name or "/" in name or "\0" in name or name in (".", "..") or len(name) > 255:
        return None
    try:
        container_id = records.read_text(store.container_name(name)).strip()
    except FileNotFoundError:
        return None
    return container_id if is_id(container_id) and exists(store, container_id) else None


def _by_prefix(store: "Store", name: str) -> str:
    found = [each for each in all_ids(store) if each.startswith(name)] if name else []
    if len(found) == 1:
        return found[0]
    if found:
        raise PyctrError(
            f'more than one container has an ID that begins with "{name}": {", ".join(sorted(found))}',
            "Give more digits, or the name.",
        )
    raise NoSuchContainer(name)


def latest(store: "Store") -> str:
    """The id of the container that was created last. PyctrError when there is none."""
    best = max([(birth(store, each), each) for each in all_ids(store)], default=None)
    if best is None:
        raise PyctrError("no containers found: no such container")
    return best[1]


def birth(store: "Store", container_id: str) -> int:
    """When a container was created, in nanoseconds since 1970; 0 for a broken one."""
    try:
        path = f"{store.container(container_id)}/{paths.SPEC}"
        return records.read_record(path, Birth, 1 << 30).created
    except (FileNotFoundError, BrokenRecord):
        return 0


def read_spec(store: "Store", container_id: str) -> Spec:
    """The spec of a container. BrokenRecord; NoSuchContainer when it is gone."""
    try:
        return records.read_record(f"{store.container(container_id)}/{paths.SPEC}", Spec, SPEC_VERSION)
    except FileNotFoundError:
        raise NoSuchContainer(container_id) from None


def lock(store: "Store", container_id: str, *, wait: bool = True) -> records.Lock:
    """The lock of a container's state.

    NoSuchContainer when it is gone; BlockingIOError with `wait=False` when another process holds it.
    """
    try:
        return records.lock(store.container(container_id), wait=wait)
    except FileNotFoundError:
        raise NoSuchContainer(container_id) from None
