"""How much disk space containers take."""

from pyctr.engine.listing import Listed
from pyctr.rootless.errors import PyctrError
from pyctr.storage import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.drivers import Tree
    from pyctr.storage.paths import Store


def measure(store: "Store", found: "list[Listed]") -> "dict[str, tuple[int, int]]":
    """id -> bytes of the container's own layer, and of that and its image together."""
    own = upper_sizes(store, [each.id for each in found])
    images = {image: image_size(store, image) for image in {each.summary.image for each in found}}
    return {each.id: (own[each.id], own[each.id] + images[each.summary.image]) for each in found}


def measure_one(store: "Store", container_id: str, image: str) -> "tuple[int, int]":
    """As `measure`, for one container."""
    own = upper_sizes(store, [container_id])[container_id]
    return own, own + image_size(store, image)


def image_size(store: "Store", image: str) -> int:
    """Bytes of an image's layers, unpacked; 0 when it is gone."""
    from pyctr.storage import images

    try:
        return images.read_image(store, image).size if image else 0
    except (PyctrError, FileNotFoundError):
        return 0


def upper_sizes(store: "Store", ids: "list[str]") -> "dict[str, int]":
    """Bytes in the upper layer of each container. Its folders may belong to subordinate ids: read as their
    root.
    """
    from pyctr.rootless import userns

    if not ids:
        return {}
    parts = [_parts(store, each) for each in ids]
    return dict(zip(ids, userns.call_mapped(userns.default_maps(), _own_sizes, parts), strict=True))


def folder_sizes(folders: "list[str]") -> "list[int]":
    """Bytes below each folder, whoever owns what is there; 0 for one that does not exist."""
    from pyctr.rootless import userns

    if not folders:
        return []
    found: list[int] = userns.call_mapped(userns.default_maps(), tree_sizes, folders)
    return found


def tree_sizes(folders: "list[str]") -> "list[int]":
    return [tree_size(folder) for folder in folders]


def _parts(store: "Store", container_id: str) -> "tuple[str, Tree]":
    """The driver of a container and what it mounts; for one that cannot be read just its upper folder."""
    from pyctr.runtime import rootfs
    from pyctr.runtime.spec import SPEC_VERSION, Spec
    from pyctr.storage import records
    from pyctr.storage.drivers import Tree

    folder = store.container(container_id)
    try:
        spec = records.read_record(f"{folder}/{paths.SPEC}", Spec, SPEC_VERSION)
    except (OSError, PyctrError):
        return "", Tree("", (), folder)
    return spec.rootfs.driver if spec.rootfs.kind == "image" else "", rootfs.tree_of(store, spec)


def _own_sizes(parts: "list[tuple[str, Tree]]") -> "list[int]":
    return [own_size(driver, tree) for driver, tree in parts]


def own_size(driver: str, tree: "Tree") -> int:
    """Bytes of what a container has added to its layers or changed in them."""
    if driver != "vfs":
        return tree_size(f"{tree.folder}/{paths.UPPER}")
    import stat

    from pyctr.storage import changes

    found = [each.status for each in changes.changes(driver, tree) if each.status is not None]
    return sum([status.st_size for status in found if stat.S_ISREG(status.st_mode)])


def tree_size(folder: str) -> int:
    """Bytes of all regular files below a folder, as they say themselves; what vanishes meanwhile counts
    nothing.
    """
    import os
    import stat

    total = 0
    for parent, _folders, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(f"{parent}/{name}")
            except FileNotFoundError:
                continue
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total
