"""Extended attributes of layer files: which are kept, and how a namespace stores them."""

import errno
import os

OPAQUE = b"user.overlay.opaque"
# An overlay obeys these: an archive that could set them would hide, redirect or re-own files of other
# layers.
_OBEYED = (b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.")
_KEPT = (b"user.", b"security.capability", b"system.posix_acl_")
_CAPABILITY = b"security.capability"
_REVISION_2 = b"\x00\x00\x00\x02"  # the upper byte of the little-endian magic word is the revision
_SIZE_2 = 20  # bytes of revision 2; revision 3 has the root id of its namespace after it
_NOT_SUPPORTED = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)


def is_kept(name: bytes) -> bool:
    """Whether an attribute of a tar is stored.

    trusted.* and security labels need privileges that no user has.
    """
    return name.startswith(_KEPT) and not name.startswith(_OBEYED)


def set_xattrs(fd: int, xattrs: dict[bytes, bytes]) -> None:
    """Sets those that are kept on an open file or folder.

    What the file system does not support is left out.
    """
    for name, value in xattrs.items():
        if is_kept(name) and b"\0" not in name:
            _set(fd, name, value)


def _set(fd: int, name: bytes, value: bytes) -> None:
    try:
        os.setxattr(fd, name, _portable(value) if name == _CAPABILITY else value)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise


def _portable(value: bytes) -> bytes:
    """File capabilities without a root id: the kernel stores that of the namespace that sets them.

    vfs_cap_data in linux/capability.h; capabilities(7), "File capability extended attribute versioning".
    """
    if len(value) <= _SIZE_2 or value[3:4] != b"\x03":
        return value
    return value[:3] + _REVISION_2[3:] + value[4:_SIZE_2]
