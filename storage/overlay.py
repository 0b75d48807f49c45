"""The native overlay driver: a container's root from its layers, mounted inside its namespaces.

Upstream rules: kernel Documentation/filesystems/overlayfs.rst. Whiteouts are 0:0 devices, opaque marks are
`user.overlay.opaque` (option userxattr), which an unprivileged mount needs.
"""

import os

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers, paths
from pyctr.storage.drivers import Tree

FORMAT = UPPER = "overlay"


def check(options: tuple[str, ...]) -> None:
    """Whether the kernel can mount one is seen by trying."""
    drivers.refuse_options("overlay", options, ("mountopt",))


def mount(tree: Tree, target: str) -> None:
    """See `drivers.Driver`.

    The option string must fit one page for 127 layers, so mount(2) runs from inside the folder of the layers
    with their short names.
    """
    names = [f"{name}/{paths.LAYER_DIFF}" for name in reversed(tree.lower)]
    if not names:
        names = [drivers.make_empty_layer(tree.layers)]
    if not os.path.isdir(f"{tree.layers}/{names[0]}"):
        raise drivers.missing_layer(tree) or FileNotFoundError(names[0])
    drivers.make_folders(tree.folder, f"{tree.layers}/{names[0]}", (paths.UPPER, paths.WORK))
    upper, work = f"{tree.folder}/{paths.UPPER}", f"{tree.folder}/{paths.WORK}"
    options = f"lowerdir={':'.join(names)},upperdir={_escape(upper)},workdir={_escape(work)},userxattr"
    if tree.volatile:
        _forget_earlier_mount(work)
        options += ",volatile"
    flags, words = drivers.mount_words(tree.options)
    options = ",".join([options, *words])
    if len(options) >= os.sysconf("SC_PAGE_SIZE"):
        raise PyctrError(
            f"{len(names)} layers in {tree.layers} need {len(options)} bytes of options, more than a page",
            "Use a shorter --root, or an image of fewer layers (127 always fit).",
        )
    os.chdir(tree.layers)
    try:
        syscalls.mount("overlay", target, "overlay", flags, options)
    except OSError as error:
        raise _explain(error, tree) from None
    finally:
        os.chdir("/")


def _forget_earlier_mount(work: str) -> None:
    """The kernel marks a volatile upper layer and refuses (EINVAL) to mount it again: a power cut may have
    torn it.

    A restart of a --rm container is no power cut, and after one nobody has a use for it.
    """
    mark = f"{work}/work/incompat/volatile"
    for remove, path in ((os.unlink, f"{mark}/dirty"), (os.rmdir, mark)):
        try:
            remove(path)
        except FileNotFoundError:
            pass


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _explain(error: OSError, tree: Tree) -> PyctrError:
    return drivers.missing_layer(tree) or PyctrError(
        f"cannot mount the overlay of {len(tree.lower)} layers: {error.strerror}",
        "Run 'pyctr doctor' to see why; --storage-driver chooses another driver.",
    )
