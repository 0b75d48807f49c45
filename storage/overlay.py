"""The native overlay driver: a container's root from its layers, mounted inside its namespaces.

Upstream rules: kernel Documentation/filesystems/overlayfs.rst. Whiteouts are 0:0 devices, opaque marks are
`user.overlay.opaque` (option userxattr), which an unprivileged mount needs.
"""

import os

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.storage import paths

FORMAT = "overlay"
_EMPTY = "empty"  # a lower folder for images without layers


def mount(layers: str, lower: tuple[str, ...], folder: str, target: str, *, volatile: bool) -> None:
    """Mounts the layers `lower` (lowest first) of the folder `layers`, with `folder`/upper and work, at
    `target`.

    The option string must fit one page for 127 layers, so mount(2) runs from inside the folder of the layers
    with their short names. PyctrError names the layer that is missing.
    """
    names = [f"{name}/{paths.LAYER_DIFF}" for name in reversed(lower)]
    if not names:
        os.makedirs(f"{layers}/{_EMPTY}", exist_ok=True)
        names = [_EMPTY]
    _make_upper(folder, f"{layers}/{names[0]}")
    upper, work = f"{folder}/{paths.UPPER}", f"{folder}/{paths.WORK}"
    options = f"lowerdir={':'.join(names)},upperdir={_escape(upper)},workdir={_escape(work)},userxattr"
    if volatile:
        _forget_earlier_mount(work)
        options += ",volatile"
    if len(options) >= os.sysconf("SC_PAGE_SIZE"):
        raise PyctrError(
            f"{len(names)} layers under {layers} need {len(options)} bytes of options, more than a page",
            "Use a shorter --root, or an image of fewer layers (127 always fit).",
        )
    os.chdir(layers)
    try:
        syscalls.mount("overlay", target, "overlay", 0, options)
    except OSError as error:
        raise _explain(error, layers, names) from None
    finally:
        os.chdir("/")


def _make_upper(folder: str, top: str) -> None:
    """The upper folder of a container that was never started; its owner and mode are those of the
    container's /.
    """
    upper = f"{folder}/{paths.UPPER}"
    if os.path.isdir(upper):
        return
    status = os.stat(top)
    draft = f"{folder}/.{paths.UPPER}"
    for path in (f"{folder}/{paths.WORK}", draft):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:  # a start was killed here
            pass
    os.chown(draft, status.st_uid, status.st_gid)
    os.chmod(draft, status.st_mode & 0o7777)
    os.rename(draft, upper)


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


def _explain(error: OSError, layers: str, names: "list[str]") -> PyctrError:
    for name in names:
        if not os.path.isdir(f"{layers}/{name}"):
            return PyctrError(f"layer {layers}/{name} is missing", "Pull or load the image again.")
    return PyctrError(
        f"cannot mount the overlay of {len(names)} layers: {error.strerror}",
        "Run 'pyctr doctor' to see why.",
    )
