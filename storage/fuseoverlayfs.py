"""The driver fuse-overlayfs: an overlay in a process, for kernels or file systems that cannot carry the
kernel's. See fuse-overlayfs(1).

The mount is made here, on a descriptor of /dev/fuse that the process then serves (libfuse takes /dev/fd/N
for a mount point): so it never enters the namespaces of the container.
"""

import os

from pyctr.rootless import processes, syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers, paths
from pyctr.storage.drivers import Server, Tree

FORMAT = UPPER = "marks"
_PROGRAM = "fuse-overlayfs"
_DEVICE = "/dev/fuse"
_OPTIONS = ("mount_program", "mountopt")


def check(options: tuple[str, ...]) -> None:
    """The program and the device must be there."""
    drivers.refuse_options(_PROGRAM, options, _OPTIONS)
    program(options)
    os.close(open_device())


def program(options: tuple[str, ...]) -> str:
    """The file of the program. PyctrError says what to install."""
    asked = drivers.option(options, "mount_program") or _PROGRAM
    path = processes.find_executable(asked)
    if path is None:
        raise PyctrError(
            f"{asked} is not installed, so --storage-driver fuse-overlayfs cannot be used",
            "Install the package fuse-overlayfs (Debian, Fedora), or use another driver.",
        )
    return path


def open_device() -> int:
    """A new descriptor of /dev/fuse. PyctrError says what to do."""
    try:
        return os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise PyctrError(
            f"{_DEVICE} cannot be opened: {error.strerror}, so no FUSE file system can be mounted",
            "As root: modprobe fuse; chmod 666 /dev/fuse. Without it use --storage-driver overlay or vfs.",
        ) from None


def mount(tree: Tree, target: str) -> Server:
    """See `drivers.Driver`."""
    lower = prepare(tree)
    device = mount_device(_PROGRAM, tree, target)
    return Server(_arguments(tree, lower), tree.folder, device)


def prepare(tree: Tree) -> "list[str]":
    """The folders of the layers, the highest first; makes those of the container. PyctrError."""
    lower = [f"{tree.layers}/{name}/{paths.LAYER_DIFF}" for name in reversed(tree.lower)]
    if not lower:
        lower = [f"{tree.layers}/{drivers.make_empty_layer(tree.layers)}"]
    if missing := drivers.missing_layer(tree):
        raise missing
    drivers.make_folders(tree.folder, lower[0], (paths.UPPER, paths.WORK))
    return lower


def mount_device(name: str, tree: Tree, target: str) -> int:
    """Mounts a FUSE file system that nobody serves yet; the descriptor of its device."""
    device = open_device()
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    try:
        flags = drivers.mount_words(tree.options)[0]
        syscalls.mount(name, target, f"fuse.{name}", flags, options)
    except OSError as error:
        os.close(device)
        raise PyctrError(
            f"cannot mount a FUSE file system: {error.strerror}", "Run 'pyctr doctor'."
        ) from None
    return device


def _arguments(tree: Tree, lower: "list[str]") -> tuple[str, ...]:
    """The command line; folders are named from the container's, so that no name of the user's own (with
    commas and colons, perhaps) is in the options.

    Without write-back a killed process has lost nothing that a program of the container has written.
    """
    names = ":".join([os.path.relpath(path, tree.folder) for path in lower])
    words = [f"lowerdir={names}", f"upperdir={paths.UPPER}", f"workdir={paths.WORK}", "writeback=0"]
    if tree.volatile:
        words.append("volatile")
    words += drivers.mount_words(tree.options)[1]
    return (program(tree.options), "-f", "-o", ",".join(words), "/dev/fd/{device}")
