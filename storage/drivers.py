"""The storage drivers: how unpacked layers become the root of a container. One module each.

    overlay          the kernel's, mounted in the container's own namespaces          layers: overlay

Layers of a format that two drivers share are shared; those of different formats and of different id maps
have different folders (`layers.layer_key`) and never meet. A container records its driver and keeps it.
"""

import os

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from pyctr.storage.paths import Store

    class Driver(Protocol):
        """A module can be one. `check` runs as the user; `mount` as root of the user namespace whose id
        map the layers have, in a mount namespace of its own in which nothing was pivoted yet.
        """

        FORMAT: str  # of the layers: a dialect of `pyctr.storage.whiteouts`
        UPPER: str  # the dialect of upper/

        def check(self, options: tuple[str, ...]) -> None:
            """PyctrError names what the driver lacks on this machine, and how to get it. Quick."""

        def mount(self, tree: "Tree", target: str) -> "Server | None":
            """Mounts the tree at `target`; the process to start when one has to serve it, which may then
            be used. PyctrError names the layer that is missing.
            """


class Tree(Value):
    """A root file system in parts: the layers `lower` (lowest first) of the folder `layers`, below upper/
    and work/ of the folder `folder`, which the first mount makes.

    `options` are those of the driver that are fixed with the container: mount_program=..., mountopt words.
    With `volatile` nothing of upper/ needs to survive a power cut.
    """

    layers: str
    lower: tuple[str, ...]
    folder: str
    volatile: bool = False
    options: tuple[str, ...] = ()


class Server(Value):
    """The process that serves a FUSE file system, which is mounted already.

    `device` is the descriptor of /dev/fuse that belongs to the mount. The words of `argv` may have it as
    {device}. It runs in `folder`, as root of a user namespace with the same id maps. It ends by itself when
    the file system is mounted nowhere any more.
    """

    argv: tuple[str, ...]
    folder: str
    device: int


NAMES = ("overlay",)
DEFAULT = "overlay"


def by_name(name: str) -> "Driver":
    """The driver of that name. PyctrError."""
    if name in ("overlay", "overlay2"):
        from pyctr.storage import overlay

        return overlay
    raise PyctrError(f"storage driver {name!r} is not supported", f"Use {', '.join(NAMES)}.")


def chosen(store: "Store") -> str:
    """The name of the driver for new containers of a store: what the user says, else what works here."""
    return DEFAULT


def layer_format(store: "Store") -> str:
    """The format of the layers that new containers of a store need."""
    return by_name(chosen(store)).FORMAT


def make_folders(folder: str, model: str, names: "tuple[str, str]") -> None:
    """The upper and the work folder of a container that was never started, `names` in its `folder`.

    The upper one has the owner and mode of `model`, the container's /. It comes last, whole.
    """
    upper, work = (f"{folder}/{name}" for name in names)
    if os.path.isdir(upper):
        return
    status = os.stat(model)
    draft = f"{folder}/.{names[0]}"
    for path in (work, draft):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # a start was killed here
            pass
    os.chown(draft, status.st_uid, status.st_gid)
    os.chmod(draft, status.st_mode & 0o7777)
    os.rename(draft, upper)
