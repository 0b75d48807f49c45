"""Images mounted for reading, inside `pyctr unshare`: podman-image-mount(1).

The mounts live in the mount namespace of the `unshare` and end with it. runroot/mounts/<id>/ has the mount
point `root` and the folders that the overlay needs; a folder without its mount is a leftover, and harmless.
"""

import os

from pyctr.image import lookup
from pyctr.rootless import mounts, syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps, IdRange
from pyctr.rootless.values import Value
from pyctr.storage import drivers, images, layers, paths, records, trees
from pyctr.storage.drivers import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.images import Image
    from pyctr.storage.paths import Store

_OVERLAY = "overlay"


class Mounted(Value):
    """An image that is mounted here: its id, its names, and where."""

    id: str
    names: tuple[str, ...]
    path: str


def refuse_outside(command: str) -> None:
    """PyctrError for an ordinary user, whose mounts nobody would see: podman's words."""
    if not userns.is_root():
        raise PyctrError(
            f'cannot run command "pyctr {command}" in rootless mode, must execute `pyctr unshare` first',
            f"Run 'pyctr unshare', and 'pyctr {command}' in the shell that it starts.",
        )


def mount(store: "Store", name: str) -> Mounted:
    """Mounts a local image read-only, unless it is mounted. NoSuchImage, PyctrError."""
    image = lookup.lookup(store, name)
    path = _path(store, image.id)
    if path not in _mount_points():
        _mount(store, image, path)
    return Mounted(image.id, images.names_of(store, image.id), path)


def _mount(store: "Store", image: "Image", path: str) -> None:
    driver = drivers.chosen(store)
    if drivers.by_name(driver).FORMAT != _OVERLAY:
        raise PyctrError(
            f"images cannot be mounted with the storage driver {driver}, whose layers are not in the overlay"
            " format",
            "Use --storage-driver overlay.",
        )
    folder = os.path.dirname(path)
    records.make_folder(path)
    with images.making(store):
        key, names = _layers(store, image)
        tree = Tree(store.layers(key), names, folder, volatile=True)
        drivers.by_name(_OVERLAY).mount(tree, path)
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mounts.set_read_only(fd)
    finally:
        os.close(fd)


def _layers(store: "Store", image: "Image") -> tuple[str, tuple[str, ...]]:
    """The layers as they are outside, which look right in here; else unpacked for this namespace."""
    key = f"{_OVERLAY}-{_outer_maps().key()}"
    names = tuple([layers.layer_name(layer.chain_id) for layer in image.layers])
    rows = zip(names, image.layers, strict=True)
    folder = store.layers(key)
    if all([layers.is_complete(folder, name, layer.chain_id) for name, layer in rows]):
        return key, names
    return layers.ensure_layers(store, image, userns.default_maps())


def _outer_maps() -> IdMaps:
    """The maps of this namespace, as the user has them outside."""
    return IdMaps(_rows("/proc/self/uid_map"), _rows("/proc/self/gid_map"))


def _rows(path: str) -> tuple[IdRange, ...]:
    with open(path) as file:
        return tuple([IdRange(*[int(word) for word in line.split()]) for line in file])


def unmount(store: "Store", name: str, *, force: bool = False) -> str:
    """Unmounts an image; its id. NoSuchImage; PyctrError when it is not mounted, or busy without `force`."""
    image = lookup.lookup(store, name)
    path = _path(store, image.id)
    if path not in _mount_points():
        raise PyctrError(f"image {name} is not mounted")
    try:
        syscalls.umount2(path, syscalls.MNT_DETACH if force else 0)
    except OSError as error:
        raise PyctrError(
            f"image {name} cannot be unmounted: {error.strerror}", "Leave the folder, or use --force."
        ) from None
    trees.remove(os.path.dirname(path))
    return image.id


def mounted(store: "Store") -> list[Mounted]:
    """The images that are mounted in this namespace."""
    points = _mount_points()
    ids = [name for name in records.names_in(store.image_mounts()) if _path(store, name) in points]
    return [Mounted(name, images.names_of(store, name), _path(store, name)) for name in ids]


def _path(store: "Store", image_id: str) -> str:
    return f"{store.image_mount(image_id)}/{paths.IMAGE_ROOT}"


def _mount_points() -> set[str]:
    with open("/proc/self/mountinfo", errors="surrogateescape") as file:
        return {line.split(" ")[4].replace("\\040", " ") for line in file}
