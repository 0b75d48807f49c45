"""System calls that Python lacks, under the kernel's own names.

One function a call: raises OSError with errno and the path, holds no policy. The error check sits on the
prototype, so no caller can forget it. Descriptors that are returned are close-on-exec.
"""

import os
from sys import byteorder

from pyctr.rootless.cfunctions import (
    addressof,
    bind,
    buffer,
    c_char_p,
    c_int,
    c_long,
    c_ulong,
    c_void_p,
    filled_buffer,
    sizeof,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Kernel headers: sched.h, mount.h, prctl.h, openat2.h, close_range.h, keyctl.h, fcntl.h.
AT_EMPTY_PATH = 0x1000
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
AT_SYMLINK_NOFOLLOW = 0x100
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWUTS = 0x04000000
CLOSE_RANGE_UNSHARE = 2
FSCONFIG_CMD_CREATE = 6
FSCONFIG_SET_FD = 5
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSMOUNT_CLOEXEC = 1
FSOPEN_CLOEXEC = 1
IN_CREATE = 0x100
IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
KEYCTL_JOIN_SESSION_KEYRING = 1
MNT_DETACH = 2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSYMFOLLOW = 0x200000
MOUNT_ATTR_NOATIME = 0x10
MOUNT_ATTR__ATIME = 0x70
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MS_BIND = 0x1000
MS_NODEV = 4
MS_NOEXEC = 8
MS_NOSUID = 2
MS_PRIVATE = 1 << 18
MS_RDONLY = 1
MS_REC = 0x4000
MS_REMOUNT = 32
MS_SHARED = 1 << 20
MS_SLAVE = 1 << 19
MS_UNBINDABLE = 1 << 17
NS_GET_PARENT = 0xB702
NS_GET_USERNS = 0xB701
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
OPEN_TREE_CLONE = 1
PR_CAPBSET_DROP = 24
PR_CAPBSET_READ = 23
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
PR_CAP_AMBIENT_RAISE = 2
PR_SET_CHILD_SUBREAPER = 36
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_SET_NO_NEW_PRIVS = 38
PR_SET_PDEATHSIG = 1
RENAME_EXCHANGE = 2
RENAME_NOREPLACE = 1
RENAME_WHITEOUT = 4
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_NO_XDEV = 0x01
SECCOMP_FILTER_FLAG_LOG = 2
SECCOMP_SET_MODE_FILTER = 1
SFD_CLOEXEC = os.O_CLOEXEC
SFD_NONBLOCK = os.O_NONBLOCK

# Calls without a wrapper in every libc. From 424 on the numbers are the same on all architectures.
NR_CLONE3 = 435
NR_CLOSE_RANGE = 436
NR_FSCONFIG = 431
NR_FSMOUNT = 432
NR_FSOPEN = 430
NR_MOUNT_SETATTR = 442
NR_MOVE_MOUNT = 429
NR_OPENAT2 = 437
NR_OPEN_TREE = 428
_BY_MACHINE = {  # keyctl, pivot_root, seccomp, renameat2
    "x86_64": (250, 155, 317, 316),
    "aarch64": (219, 41, 277, 276),
    "riscv64": (219, 41, 277, 276),
    "ppc64le": (271, 203, 358, 357),
    "s390x": (280, 217, 348, 347),
}
NR_KEYCTL, NR_PIVOT_ROOT, NR_SECCOMP, NR_RENAMEAT2 = _BY_MACHINE.get(os.uname().machine, (219, 41, 277, 276))

_int, _ulong, _long, _str, _ptr = c_int, c_ulong, c_long, c_char_p, c_void_p
_mount = bind("mount", _str, _str, _str, _ulong, _str)
_umount2 = bind("umount2", _str, _int)
_unshare = bind("unshare", _int)
_setns = bind("setns", _int, _int)
_prctl = bind("prctl", _int, _ulong, _ulong, _ulong, _ulong)
_syscall2 = bind("syscall", _long, _long, _long)
_syscall4 = bind("syscall", _long, _long, _long, _long, _long)
_syscall_open = bind("syscall", _long, _int, _str, _ptr, _long)
_syscall_path = bind("syscall", _long, _int, _str, _long, _ptr, _long)
_syscall_move = bind("syscall", _long, _int, _str, _int, _str, _long)
_syscall_fsopen = bind("syscall", _long, _str, _long)
_syscall_fsconfig = bind("syscall", _long, _int, _long, _str, _str, _long)
_syscall_pivot = bind("syscall", _long, _str, _str)
_syscall_struct = bind("syscall", _long, _ptr, _long)
_syscall_buffer = bind("syscall", _long, _long, _long, _ptr)
_capget = bind("capget", _ptr, _ptr)
_capset = bind("capset", _ptr, _ptr)
_inotify_init1 = bind("inotify_init1", _int)
_inotify_add_watch = bind("inotify_add_watch", _int, _str, _int)
_signalfd = bind("signalfd", _int, _ptr, _int)
_syncfs = bind("syncfs", _int)
_sethostname = bind("sethostname", _str, _ulong)


def _path(value: "str | bytes | None") -> "bytes | None":
    return os.fsencode(value) if value is not None else None


def mount(source: str | None, target: str, fstype: str | None, flags: int, data: str | None = None) -> None:
    try:
        _mount(_path(source), _path(target), _path(fstype), flags, _path(data))
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def umount2(target: str, flags: int = 0) -> None:
    try:
        _umount2(_path(target), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def unshare(flags: int) -> None:
    _unshare(flags)


def clone3(flags: int, exit_signal: int) -> int:
    """Like os.fork(), with CLONE_* `flags`: 0 in the child. Only for a process without other threads:
    nothing that Python does around a fork is done.
    """
    arguments = _u64(flags, 0, 0, 0, exit_signal, 0, 0, 0)  # struct clone_args, its first version
    return int(_syscall_struct(NR_CLONE3, arguments, len(arguments)))


def setns(fd: int, flags: int) -> None:
    _setns(fd, flags)


def prctl(option: int, arg2: int = 0, arg3: int = 0, arg4: int = 0, arg5: int = 0) -> int:
    return int(_prctl(option, arg2, arg3, arg4, arg5))


def syncfs(fd: int) -> None:
    """Writes the file system of `fd` to disk; also reports what could not be written before (Linux 5.8)."""
    _syncfs(fd)


def sethostname(name: str) -> None:
    encoded = os.fsencode(name)
    _sethostname(encoded, len(encoded))


def close_range(first: int, last: int = 0xFFFFFFFF, flags: int = 0) -> None:
    _syscall4(NR_CLOSE_RANGE, first, last, flags, 0)


def _u64(*numbers: int) -> bytes:
    """A structure of 64-bit fields (struct open_how, struct mount_attr)."""
    return b"".join([number.to_bytes(8, byteorder) for number in numbers])


def openat2(dir_fd: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """A descriptor; `flags` gets O_CLOEXEC. EAGAIN (a rename raced a `..`) is retried 32 times."""
    how = _u64(flags | os.O_CLOEXEC, mode, resolve)
    attempts = 32
    while True:
        try:
            return int(_syscall_open(NR_OPENAT2, dir_fd, _path(path), how, len(how)))
        except OSError as error:
            attempts -= 1
            if error.errno != 11 or not attempts:  # EAGAIN
                raise OSError(error.errno, error.strerror, os.fsdecode(path)) from None


def open_tree(dir_fd: int, path: str, flags: int) -> int:
    try:
        return int(_syscall_path(NR_OPEN_TREE, dir_fd, _path(path), flags | OPEN_TREE_CLOEXEC, None, 0))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: int) -> None:
    try:
        _syscall_move(NR_MOVE_MOUNT, from_fd, _path(from_path), to_fd, _path(to_path), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, to_path or f"fd {to_fd}") from None


def mount_setattr(
    dir_fd: int, path: str, flags: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0
) -> None:
    attributes = _u64(attr_set, attr_clr, propagation, 0)
    try:
        _syscall_path(NR_MOUNT_SETATTR, dir_fd, _path(path), flags, attributes, len(attributes))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path or f"fd {dir_fd}") from None


def fsopen(fstype: str) -> int:
    try:
        return int(_syscall_fsopen(NR_FSOPEN, _path(fstype), FSOPEN_CLOEXEC))
    except OSError as error:
        raise OSError(error.errno, error.strerror, fstype) from None


def fsconfig(fd: int, command: int, key: str | None = None, value: str | None = None, aux: int = 0) -> None:
    try:
        _syscall_fsconfig(NR_FSCONFIG, fd, command, _path(key), _path(value), aux)
    except OSError as error:
        raise OSError(error.errno, error.strerror, key or "file system") from None


def fsmount(fd: int, attributes: int = 0) -> int:
    return int(_syscall4(NR_FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes, 0))


def pivot_root(new_root: str, put_old: str) -> None:
    try:
        _syscall_pivot(NR_PIVOT_ROOT, _path(new_root), _path(put_old))
    except OSError as error:
        raise OSError(error.errno, error.strerror, new_root) from None


def renameat2(
    from_fd: int, from_path: "str | bytes", to_fd: int, to_path: "str | bytes", flags: int
) -> None:
    """Renames below descriptors; `flags` are RENAME_*. EINVAL where the file system lacks them."""
    try:
        _syscall_move(NR_RENAMEAT2, from_fd, _path(from_path), to_fd, _path(to_path), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fsdecode(from_path)) from None


def keyctl_join_session_keyring() -> None:
    """A new anonymous session keyring. EDQUOT when the user has 200 keys."""
    _syscall2(NR_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, 0)


def seccomp_set_filter(program: bytes, flags: int = 0) -> None:
    """Loads a classic BPF program (8 bytes an instruction); EACCES without CAP_SYS_ADMIN or
    no-new-privileges.
    """
    memory = filled_buffer(program)
    word = sizeof(c_void_p)
    length = (len(program) // 8).to_bytes(2, byteorder)
    prog = length.ljust(word, b"\0") + addressof(memory).to_bytes(word, byteorder)  # struct sock_fprog
    _syscall_buffer(NR_SECCOMP, SECCOMP_SET_MODE_FILTER, flags, prog)


def _u32(*numbers: int) -> bytes:
    return b"".join([number.to_bytes(4, byteorder) for number in numbers])


def _capability_header() -> "Any":
    return filled_buffer(_u32(0x20080522, 0))  # _LINUX_CAPABILITY_VERSION_3, the calling thread


def capget() -> tuple[int, int, int]:
    """The effective, permitted and inheritable set of the calling thread, as bit masks."""
    data = buffer(24)
    _capget(_capability_header(), data)
    low = [int.from_bytes(data.raw[at : at + 4], byteorder) for at in range(0, 24, 4)]
    return low[0] | low[3] << 32, low[1] | low[4] << 32, low[2] | low[5] << 32


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Sets the three sets of the calling thread, each a bit mask (capability number n is bit n)."""
    sets = (effective, permitted, inheritable)
    data = _u32(*[mask & 0xFFFFFFFF for mask in sets], *[mask >> 32 for mask in sets])
    _capset(_capability_header(), data)


def signalfd(signals: "set[int]") -> int:
    """A non-blocking descriptor that delivers `signals`, which the caller has blocked."""
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    sigset = mask.to_bytes(8, byteorder).ljust(128, b"\0")
    return int(_signalfd(-1, sigset, SFD_CLOEXEC | SFD_NONBLOCK))


def inotify_init1() -> int:
    """A non-blocking descriptor that is readable when something watched has happened. EMFILE at the
    user's limit.
    """
    return int(_inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    try:
        return int(_inotify_add_watch(fd, _path(path), mask))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
