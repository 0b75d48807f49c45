"""The driver llfuse: an overlay of pyctr's own, for machines with /dev/fuse where neither the kernel's
overlay nor fuse-overlayfs can be used. Needs the Python module llfuse (extra `fuse`).

Its layers are those of the kernel's overlay, which it shares. `pyctr.storage.fuseserver` is what serves it.
"""

import os
import sys

from pyctr.rootless import processes
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers, fuseoverlayfs, paths
from pyctr.storage.drivers import Server, Tree

FORMAT = UPPER = "overlay"
_MODULE = "pyctr.storage.fuseserver"


def check(options: tuple[str, ...]) -> None:
    """The module and the device must be there."""
    import importlib.util

    drivers.refuse_options("llfuse", options, ("mountopt",))
    drivers.refuse_options("llfuse", tuple(drivers.mount_words(options)[1]), ())
    if getattr(sys, "frozen", False) or importlib.util.find_spec("llfuse") is None:
        raise PyctrError(
            "the Python module llfuse is not installed, so --storage-driver llfuse cannot be used",
            "Run: pip install 'pyctr-rootless[fuse]' (it needs libfuse-dev), or use another driver.",
        )
    os.close(fuseoverlayfs.open_device())


def mount(tree: Tree, target: str) -> Server:
    """See `drivers.Driver`."""
    lower = fuseoverlayfs.prepare(tree)
    device = fuseoverlayfs.mount_device("pyctr", tree, target)
    return Server(_arguments(tree, lower), tree.folder, device)


def _arguments(tree: Tree, lower: "list[str]") -> tuple[str, ...]:
    """The command line of `fuseserver.main`; folders are named from the container's."""
    sync = "volatile" if tree.volatile else "durable"
    names = [os.path.relpath(path, tree.folder) for path in lower]
    return (*processes.self_command(_MODULE), "{device}", sync, paths.UPPER, paths.WORK, *names)
