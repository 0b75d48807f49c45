"""The storage drivers: how unpacked layers become the root of a container. One module each.

    overlay          the kernel's, mounted in the container's own namespaces          layers: overlay
    fuse-overlayfs   a process of that name serves the mount                          layers: marks
    llfuse           a process of pyctr's own serves the mount                        layers: overlay
    vfs              a copy of all layers for each container                          layers: marks

Layers of a format that two drivers share are shared; those of different formats and of different id maps
have different folders (`layers.layer_key`) and never meet. A container records its driver and keeps it.
"""

import os

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage.paths import LAYER_DIFF

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


_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048}  # linux/mount.h
_EMPTY = "empty"
NAMES = ("overlay", "fuse-overlayfs", "llfuse", "vfs")  # in the order in which they are tried


def by_name(name: str) -> "Driver":
    """The driver of that name. PyctrError."""
    if name in ("overlay", "overlay2"):
        from pyctr.storage import overlay

        return overlay
    if name == "fuse-overlayfs":
        from pyctr.storage import fuseoverlayfs

        return fuseoverlayfs
    if name == "llfuse":
        from pyctr.storage import llfusedriver

        return llfusedriver
    if name == "vfs":
        from pyctr.storage import vfs

        return vfs
    raise PyctrError(f"storage driver {name!r} is not supported", f"Use {', '.join(NAMES)}.")


def is_served(name: str) -> bool:
    """Whether a process serves what the driver mounts."""
    return name not in ("overlay", "vfs")


def chosen(store: "Store") -> str:
    """The name of the driver for new containers of a store: what the user says, else the first that works.

    Trying is remembered until the next boot. PyctrError when a driver that was asked for cannot work, or
    none can.
    """
    candidates = store.drivers or NAMES
    if len(candidates) == 1:
        by_name(candidates[0]).check(store.options)
        return candidates[0]
    from pyctr.storage import choice

    return choice.first_working(store, candidates)


def layer_format(store: "Store") -> str:
    """The format of the layers that new containers of a store need."""
    return by_name(chosen(store)).FORMAT


def missing_layer(tree: Tree) -> PyctrError | None:
    """The error for a layer of the tree that is not there."""
    for name in tree.lower:
        path = f"{tree.layers}/{name}/{LAYER_DIFF}"
        if not os.path.isdir(path):
            return PyctrError(f"layer {path} is missing", "Pull or load the image again.")
    return None


def option(options: "tuple[str, ...]", name: str) -> str:
    """The value of the option `name`; empty when it is not given."""
    values = [value for key, _, value in [each.partition("=") for each in options] if key == name]
    return values[-1] if values else ""


def options_of(name: str, options: "tuple[str, ...]") -> "tuple[str, ...]":
    """Those of the options that mean something to a driver: all are about overlays."""
    if name == "vfs":
        return ()
    if name == "llfuse":  # mount_program names another one
        return tuple([each for each in options if each.startswith("mountopt=")])
    return options


def mount_words(options: "tuple[str, ...]") -> "tuple[int, list[str]]":
    """The words of mountopt: flags of mount(2), and what is left for the file system.

    metacopy and redirect_dir, which podman's own storage.conf may have, need privileges that no user has.
    """
    flags, words = 0, []
    for word in option(options, "mountopt").split(","):
        if word in _FLAGS:
            flags |= _FLAGS[word]
        elif word and word.partition("=")[0] not in ("metacopy", "redirect_dir"):
            words.append(word)
    return flags, words


def refuse_options(driver: str, options: "tuple[str, ...]", known: "tuple[str, ...]") -> None:
    """PyctrError for the first option that a driver does not know."""
    for option in options:
        if option.partition("=")[0] not in known:
            raise PyctrError(
                f"storage driver {driver} has no option {option!r}",
                f"It knows: {', '.join(known) or 'none'}.",
            )


def make_empty_layer(layers: str) -> str:
    """The name of an empty folder in the folder of the layers: the lower one of an image without any."""
    os.makedirs(f"{layers}/{_EMPTY}", exist_ok=True)
    return _EMPTY


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
