"""What differs between containers and images, or either and what is below it: podman-diff(1)."""

import os

from pyctr.engine import containers, starting
from pyctr.image import lookup
from pyctr.rootless import processes, userns
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.runtime import rootfs
from pyctr.storage import changes, containertar, drivers, layers
from pyctr.storage.drivers import Tree
from pyctr.storage.merged import Child, Merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyctr.storage.images import Image
    from pyctr.storage.paths import Store

# What the runtime makes in every container; podman leaves it out too.
_UNTOLD = frozenset(
    b"""dev etc/hostname etc/hosts etc/mtab etc/resolv.conf proc run run/.containerenv run/notify
    run/secrets sys""".split()
)


class Subject(Value):
    """A container or image to compare: how its root is put together, and with which ids.

    `own` is the number of lower layers that lie below what it has changed; `inside` whether the runtime
    makes files in it.
    """

    name: str
    maps: IdMaps
    driver: str
    tree: Tree
    own: int
    inside: bool


def find(store: "Store", name: str, kind: str = "") -> Subject:
    """The container or image that `name` means, containers first. NoSuchObject names it."""
    if kind != "image":
        try:
            return _container(store, name, containers.find(store, name))
        except NoSuchObject:
            if kind == "container":
                raise
    try:
        return _image(store, name, lookup.lookup(store, name))
    except lookup.NoSuchImage:
        if kind == "image":
            raise
        raise NoSuchObject("container or image", name) from None


def _container(store: "Store", name: str, container_id: str) -> Subject:
    spec = containers.read_spec(store, container_id)
    if spec.rootfs.kind != "image":
        raise PyctrError(f"container {name} has a folder of the host for its root: it has no image")
    tree = rootfs.tree_of(store, spec)
    return Subject(name, starting.maps_of(spec), spec.rootfs.driver, tree, len(tree.lower), True)


def _image(store: "Store", name: str, image: "Image") -> Subject:
    from pyctr.storage import images

    maps = userns.default_maps()
    with images.making(store):
        key, names = layers.ensure_layers(store, image, maps)
    tree = Tree(store.layers(key), names, store.layers(key))  # no upper layer is there
    return Subject(name, maps, drivers.chosen(store), tree, max(len(names) - 1, 0), False)


def compare(subject: Subject, other: Subject | None = None) -> "list[tuple[str, str]]":
    """(A, C or D, path) of each difference, in the order of the paths.

    Against `other`, else of a container against its image, of an image against what is below its top layer.
    """
    fields = [_plain(each) for each in (subject, other) if each is not None]
    if other is not None and other.maps.key() != subject.maps.key():
        raise PyctrError(
            f"{subject.name} and {other.name} have different id maps and cannot be compared",
            "Compare each with its own image.",
        )
    found = userns.call_mapped(subject.maps, _compare, *fields)
    untold = _UNTOLD if subject.inside or (other is not None and other.inside) else frozenset()
    return [(kind, "/" + os.fsdecode(path)) for kind, path in sorted(found, key=_path) if path not in untold]


def _path(row: "tuple[str, bytes]") -> "list[bytes]":
    return row[1].split(b"/")


def _plain(subject: Subject) -> "dict[str, Any]":
    return subject.to_json()


def _compare(*fields: "Any") -> "list[tuple[str, bytes]]":
    processes.allow_many_files()
    subject, *others = [Subject.from_json(each) for each in fields]
    if not others and subject.inside:
        found = changes.changes(subject.driver, subject.tree)
        return [(change.kind, change.path) for change in found]
    above = containertar.view(subject.driver, subject.tree)
    if others:
        below = containertar.view(others[0].driver, others[0].tree)
    else:
        below = containertar.view(subject.driver, _below(subject.tree, subject.own))
    return list(_differences(above, below))


def _below(tree: Tree, count: int) -> Tree:
    return tree.replace(lower=tree.lower[:count])


def _differences(above: Merged, below: Merged) -> "Iterator[tuple[str, bytes]]":
    """Compares two merged folders name by name, without recursion; both are closed."""
    frames = [_Frame(above, below, b"")]
    try:
        while frames:
            frame = frames[-1]
            name = next(frame.names, None)
            if name is None:
                frames.pop().close()
                continue
            path, new, old = frame.at(name)
            if kind := _kind(new, old):
                yield kind, path
            if new is not None and new.is_folder():
                frames.append(_Frame(frame.above.enter(new), _enter(frame.below, old), path))
    finally:
        for frame in frames:
            frame.close()


class _Frame:
    """Two folders on the way down, and the names that are left."""

    def __init__(self, above: Merged, below: Merged, path: bytes) -> None:
        self.above, self.below, self._path = above, below, path
        self._new, self._old = above.children(), below.children()
        self.names = iter(sorted(self._new.keys() | self._old.keys()))

    def at(self, name: bytes) -> "tuple[bytes, Child | None, Child | None]":
        """The path of a name, and what it is above and below."""
        path = self._path + b"/" + name if self._path else name
        return path, self._new.get(name), self._old.get(name)

    def close(self) -> None:
        self.above.__exit__()
        self.below.__exit__()


def _enter(folder: Merged, child: Child | None) -> Merged:
    if child is None or not child.is_folder():
        return Merged([], folder.dialect)
    return folder.enter(child)


def _kind(new: Child | None, old: Child | None) -> str:
    if new is None:
        return changes.DELETED
    if old is None:
        return changes.ADDED
    return "" if changes.is_same(new, old) else changes.CHANGED
