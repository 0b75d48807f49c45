"""How much disk space containers take."""

from pyctr.engine.listing import Listed
from pyctr.rootless.errors import PyctrError
from pyctr.storage import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
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
    folders = [f"{store.container(each)}/{paths.UPPER}" for each in ids]
    return dict(zip(ids, folder_sizes(folders), strict=True))


def folder_sizes(folders: "list[str]") -> "list[int]":
    """Bytes below each folder, whoever owns what is there; 0 for one that does not exist."""
    from pyctr.rootless import userns

    if not folders:
        return []
    found: list[int] = userns.call_mapped(userns.default_maps(), tree_sizes, folders)
    return found


def tree_sizes(folders: "list[str]") -> "list[int]":
    return [tree_size(folder) for folder in folders]


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
