"""Mounting into a root file system that somebody hostile has filled.

Nothing here follows a path of the image as a string: every target is opened with openat2(2) below the
descriptor of the root, sources are detached mounts, and move_mount(2) joins descriptor to descriptor. So a
symlink at /dev, /proc or any mount point cannot lead set-up out of the root.
"""

import errno
import os

from pyctr.rootless import syscalls as sys_
from pyctr.rootless.errors import PyctrError

_IN_ROOT = sys_.RESOLVE_IN_ROOT | sys_.RESOLVE_NO_MAGICLINKS
_ATTRIBUTES = {
    "ro": (sys_.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, sys_.MOUNT_ATTR_RDONLY),
    "nosuid": (sys_.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, sys_.MOUNT_ATTR_NOSUID),
    "nodev": (sys_.MOUNT_ATTR_NODEV, 0),
    "dev": (0, sys_.MOUNT_ATTR_NODEV),
    "noexec": (sys_.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, sys_.MOUNT_ATTR_NOEXEC),
}
_PROPAGATION = {
    "private": sys_.MS_PRIVATE,
    "rprivate": sys_.MS_PRIVATE,
    "slave": sys_.MS_SLAVE,
    "rslave": sys_.MS_SLAVE,
    "shared": sys_.MS_SHARED,
    "rshared": sys_.MS_SHARED,
    "unbindable": sys_.MS_UNBINDABLE,
    "runbindable": sys_.MS_UNBINDABLE,
}
_HARDENED = sys_.MOUNT_ATTR_NOSUID | sys_.MOUNT_ATTR_NODEV | sys_.MOUNT_ATTR_NOEXEC


class Root:
    """A root file system under construction, known by a descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def open(self, path: str, flags: int = os.O_PATH) -> int:
        """Opens a path as a process with this root would, without magic links. OSError names the path."""
        return sys_.openat2(self.fd, path.lstrip("/") or ".", flags, 0, _IN_ROOT)

    def open_beneath(self, path: str, flags: int = os.O_PATH) -> int:
        """Like `open`, but a symlink anywhere on the way is an error (ELOOP), as is leaving the root
        (EXDEV).
        """
        resolve = sys_.RESOLVE_BENEATH | sys_.RESOLVE_NO_SYMLINKS
        return sys_.openat2(self.fd, path.lstrip("/") or ".", flags, 0, resolve)

    def make_folder(self, path: str, mode: int = 0o755) -> int:
        """A descriptor (O_PATH) of the folder, which is made with its parents where they are missing."""
        return self._make(path, mode, folder=True)

    def make_file(self, path: str, mode: int = 0o644) -> int:
        """A descriptor (O_PATH) of the file, made empty where it is missing, with its parents."""
        return self._make(path, mode, folder=False)

    def _make(self, path: str, mode: int, *, folder: bool) -> int:
        try:
            return self.open(path)
        except FileNotFoundError:
            pass
        parent_path, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise PyctrError(f"{path} cannot be made in the container")
        parent = self._make(parent_path or "/", 0o755, folder=True)
        try:
            if folder:
                os.mkdir(name, mode, dir_fd=parent)
            else:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                os.close(os.open(name, flags, mode, dir_fd=parent))
        except FileExistsError:  # a dangling symlink, or somebody was faster
            pass
        finally:
            os.close(parent)
        return self.open(path)

    def attach(self, tree: int, target: int) -> None:
        """Mounts a detached tree on a target, both descriptors, and closes both."""
        try:
            flags = sys_.MOVE_MOUNT_F_EMPTY_PATH | sys_.MOVE_MOUNT_T_EMPTY_PATH
            sys_.move_mount(tree, "", target, "", flags)
        finally:
            os.close(tree)
            os.close(target)


def new_filesystem(fstype: str, options: "tuple[str, ...]" = (), attributes: int = _HARDENED) -> int:
    """A detached mount of a new file system; `options` are key=value or flags of that file system."""
    fd = sys_.fsopen(fstype)
    try:
        for option in (f"source={fstype}", *options):
            key, equals, value = option.partition("=")
            if equals:
                sys_.fsconfig(fd, sys_.FSCONFIG_SET_STRING, key, value)
            else:
                sys_.fsconfig(fd, sys_.FSCONFIG_SET_FLAG, key)
        sys_.fsconfig(fd, sys_.FSCONFIG_CMD_CREATE)
        return sys_.fsmount(fd, attributes)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (new {fstype} with {','.join(options)})") from None
    finally:
        os.close(fd)


def clone_tree(source: "str | int", *, recursive: bool = True) -> int:
    """A detached copy of what is mounted at a path or descriptor."""
    flags = sys_.OPEN_TREE_CLONE | (sys_.AT_RECURSIVE if recursive else 0)
    if isinstance(source, int):
        return sys_.open_tree(source, "", flags | sys_.AT_EMPTY_PATH)
    return sys_.open_tree(sys_.AT_FDCWD, source, flags)


def set_options(tree: int, options: "tuple[str, ...]") -> None:
    """Applies mount(8) words (ro, nosuid, rslave ...) to a mount and what is below it. Private unless asked.

    A flag that the source carries and that this namespace may not clear stays (EPERM for rw, suid, dev,
    exec).
    """
    setting = clearing = 0
    propagation = sys_.MS_PRIVATE
    for option in options:
        if option in _ATTRIBUTES:
            set_bits, clear_bits = _ATTRIBUTES[option]
            setting = setting & ~clear_bits | set_bits
            clearing = clearing & ~set_bits | clear_bits
        elif option in _PROPAGATION:
            propagation = _PROPAGATION[option]
    flags = sys_.AT_EMPTY_PATH | sys_.AT_RECURSIVE
    sys_.mount_setattr(tree, "", flags, propagation=propagation)
    if setting:
        sys_.mount_setattr(tree, "", flags, attr_set=setting)
    if clearing & ~setting:
        try:
            sys_.mount_setattr(tree, "", flags, attr_clr=clearing & ~setting)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise


def set_read_only(tree: int, *, recursive: bool = False) -> None:
    """Makes a mount read-only."""
    flags = sys_.AT_EMPTY_PATH | (sys_.AT_RECURSIVE if recursive else 0)
    sys_.mount_setattr(tree, "", flags, attr_set=sys_.MOUNT_ATTR_RDONLY)


def is_folder(fd: int) -> bool:
    """Whether a descriptor is one of a folder."""
    return os.fstat(fd).st_mode & 0o170000 == 0o040000


def pivot(root: Root) -> None:
    """Makes `root`, a mount point, the root of this mount namespace and drops the old one."""
    os.fchdir(root.fd)
    sys_.pivot_root(".", ".")
    # The old root now lies over the new one; slave first, so that nothing is torn down on the host.
    sys_.mount(None, ".", None, sys_.MS_REC | sys_.MS_SLAVE)
    sys_.umount2(".", sys_.MNT_DETACH)
    os.chdir("/")
