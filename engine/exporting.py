"""The root file system of a container as a tar: podman-export(1)."""

from pyctr.engine import containers, starting
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import rootfs
from pyctr.storage import containertar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.paths import Store


def export(store: "Store", container_id: str, target: int) -> None:
    """Writes what a container shows, but for its volumes, to a descriptor. NoSuchContainer, OSError.

    It may run meanwhile, then each file is as it was when it was read.
    """
    spec = containers.read_spec(store, container_id)
    maps = starting.maps_of(spec)
    if spec.rootfs.kind != "image":
        containertar.export_folder(target, maps, spec.rootfs.path)
    else:
        containertar.export(target, maps, spec.rootfs.driver, rootfs.tree_of(store, spec))
    if not containers.exists(store, container_id):
        raise PyctrError(f"container {spec.name} was removed while it was exported")
