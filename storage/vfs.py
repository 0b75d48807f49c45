"""The driver vfs: each container has a copy of all that its layers show. Works everywhere, costs disk.

The copy is made by the first start, in a draft that becomes upper/ when it is whole. Where the file system
shares blocks (btrfs, xfs, bcachefs) it takes next to no space.
"""

import os

from pyctr.rootless import processes, syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers, merged, paths, trees
from pyctr.storage.drivers import Tree
from pyctr.storage.flatten import flatten
from pyctr.storage.whiteouts import MARKS

FORMAT = "marks"
UPPER = "whole"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def check(options: tuple[str, ...]) -> None:
    """Nothing is needed."""
    drivers.refuse_options("vfs", options, ())


def mount(tree: Tree, target: str) -> None:
    """See `drivers.Driver`: the copy at `target`."""
    upper = f"{tree.folder}/{paths.UPPER}"
    if not os.path.isdir(upper):
        _copy(tree, upper)
    syscalls.mount(upper, target, None, syscalls.MS_BIND)


def _copy(tree: Tree, upper: str) -> None:
    """Copies all layers. SIGKILL leaves a draft, which the next start removes."""
    processes.allow_many_files()
    draft = f"{tree.folder}/.{paths.UPPER}"
    trees.remove_own(draft)
    try:
        source = merged.open_stack(tree.layers, [f"{name}/{paths.LAYER_DIFF}" for name in tree.lower], MARKS)
        os.mkdir(draft, 0o755)
        target = os.open(draft, _FOLDER)
        flatten(source, os.dup(target))
        if not tree.volatile:
            syscalls.syncfs(target)
        os.close(target)
        os.rename(draft, upper)
    except OSError as error:
        raise drivers.missing_layer(tree) or _explain(error, tree) from None


def _explain(error: OSError, tree: Tree) -> PyctrError:
    return PyctrError(
        f"cannot copy {len(tree.lower)} layers to {tree.folder}: {error.strerror}",
        "vfs needs room for a copy of the whole image for each container.",
    )
