"""The built-in overlay as a file system in user space: requests of the kernel, answered through llfuse.

Started by `pyctr.storage.serving` with a descriptor of /dev/fuse whose file system is mounted already, as
root of a user namespace with the container's id maps. It ends when the file system is mounted nowhere.

One thread serves one request after the other, so no operation sees another half done. Access is checked by
the kernel (default_permissions), which also clears set-uid bits on write, keeps file locks, and handles
FIFOs, sockets and devices. llfuse knows no flags of rename: RENAME_NOREPLACE and RENAME_EXCHANGE get EINVAL,
as from every file system without them.
"""

import errno
import functools
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import llfuse

from pyctr.rootless import processes, syscalls
from pyctr.storage.fusenodes import Node
from pyctr.storage.fuseoverlay import Changes, Overlay, Owner
from pyctr.storage.fusetrees import Entry

_OPTIONS = (
    *llfuse.default_options,
    "max_write=131072",
)
_KEPT = 3600  # seconds that the kernel may remember names and attributes: nobody else changes them
_STATVFS = (
    "f_bavail",
    "f_bfree",
    "f_blocks",
    "f_bsize",
    "f_favail",
    "f_ffree",
    "f_files",
    "f_frsize",
    "f_namemax",
)

F = TypeVar("F", bound=Callable[..., Any])


def _answers(function: F) -> F:
    """Turns OSError into an answer. Any other exception would end the file system, so it becomes EIO."""

    @functools.wraps(function)
    def answer(*args: Any) -> Any:
        try:
            return function(*args)
        except llfuse.FUSEError:
            raise
        except OSError as error:
            raise llfuse.FUSEError(error.errno or errno.EIO) from None
        except Exception:
            traceback.print_exc()
            raise llfuse.FUSEError(errno.EIO) from None

    return answer  # type: ignore[return-value]


class Handlers:
    """The methods that llfuse calls, with its names and arguments."""

    def __init__(self, overlay: Overlay) -> None:
        self._overlay = overlay
        self._node = overlay.nodes.get
        self._listings: dict[int, list[Entry]] = {}
        self._folders: dict[int, Node] = {}
        self._next = 1

    def init(self) -> None:
        """The kernel is there."""

    def destroy(self) -> None:
        """The file system is gone."""

    def stacktrace(self) -> None:
        """llfuse calls this for an attribute of its own, which we do not have."""

    # Names.

    @_answers
    def lookup(self, parent: int, name: bytes, _context: object) -> Any:
        folder = self._node(parent)
        if name in (b".", b".."):
            node: Node | None = folder if name == b"." or not folder.names else folder.place()[0]
        else:
            node = self._overlay.lookup(folder, name)
        if node is None:  # the kernel remembers that, too
            absent = llfuse.EntryAttributes()
            absent.st_ino = 0
            absent.entry_timeout = _KEPT
            return absent
        return self._entry(node)

    def forget(self, forgotten: list[tuple[int, int]]) -> None:
        for id, lookups in forgotten:
            try:
                self._overlay.forget(self._node(id), lookups)
            except OSError:
                traceback.print_exc()

    def _entry(self, node: Node) -> Any:
        """The answer that gives the kernel a node. What has another number is asked for at once."""
        attributes = self._attributes(node)
        attributes.st_ino = node.id
        if node.number != node.id:
            attributes.attr_timeout = 0
        node.lookups += 1
        return attributes

    def _attributes(self, node: Node) -> Any:
        status = self._overlay.status(node)
        result = llfuse.EntryAttributes()
        result.st_ino = node.number
        result.st_mode = status.st_mode
        result.st_nlink = self._overlay.links(node, status)
        result.st_uid = status.st_uid
        result.st_gid = status.st_gid
        result.st_rdev = status.st_rdev
        result.st_size = status.st_size
        result.st_blksize = status.st_blksize
        result.st_blocks = status.st_blocks
        result.st_atime_ns = status.st_atime_ns
        result.st_mtime_ns = status.st_mtime_ns
        result.st_ctime_ns = status.st_ctime_ns
        result.entry_timeout = _KEPT
        result.attr_timeout = 0 if self._overlay.is_shared_below(node, status) else _KEPT
        return result

    @_answers
    def mknod(self, parent: int, name: bytes, mode: int, device: int, context: Any) -> Any:
        node = self._overlay.make_node(self._node(parent), name, mode, device, _owner(context))
        return self._entry(node)

    @_answers
    def mkdir(self, parent: int, name: bytes, mode: int, context: Any) -> Any:
        return self._entry(self._overlay.make_folder(self._node(parent), name, mode, _owner(context)))

    @_answers
    def symlink(self, parent: int, name: bytes, target: bytes, context: Any) -> Any:
        return self._entry(self._overlay.make_link(self._node(parent), name, target, _owner(context)))

    @_answers
    def link(self, id: int, parent: int, name: bytes, _context: object) -> Any:
        return self._entry(self._overlay.link(self._node(id), self._node(parent), name))

    @_answers
    def unlink(self, parent: int, name: bytes, _context: object) -> None:
        self._overlay.unlink(self._node(parent), name)

    @_answers
    def rmdir(self, parent: int, name: bytes, _context: object) -> None:
        self._overlay.rmdir(self._node(parent), name)

    @_answers
    def rename(self, parent: int, name: bytes, new_parent: int, new_name: bytes, _context: object) -> None:
        self._overlay.rename(self._node(parent), name, self._node(new_parent), new_name)

    # Attributes.

    @_answers
    def getattr(self, id: int, _context: object = None) -> Any:
        return self._attributes(self._node(id))

    @_answers
    def setattr(self, id: int, new: Any, fields: Any, _file: object, _context: object) -> Any:
        node = self._node(id)
        self._overlay.change(
            node,
            Changes(
                size=new.st_size if fields.update_size else None,
                mode=new.st_mode if fields.update_mode else None,
                uid=new.st_uid if fields.update_uid else None,
                gid=new.st_gid if fields.update_gid else None,
                atime=new.st_atime_ns if fields.update_atime else None,
                mtime=new.st_mtime_ns if fields.update_mtime else None,
            ),
        )
        return self._attributes(node)

    @_answers
    def readlink(self, id: int, _context: object) -> bytes:
        return self._overlay.readlink(self._node(id))

    @_answers
    def getxattr(self, id: int, name: bytes, _context: object = None) -> bytes:
        return self._overlay.get_xattr(self._node(id), name)

    @_answers
    def listxattr(self, id: int, _context: object) -> list[bytes]:
        return self._overlay.list_xattrs(self._node(id))

    @_answers
    def setxattr(self, id: int, name: bytes, value: bytes, _context: object) -> None:
        self._overlay.set_xattr(self._node(id), name, value)

    @_answers
    def removexattr(self, id: int, name: bytes, _context: object) -> None:
        self._overlay.remove_xattr(self._node(id), name)

    @_answers
    def statfs(self, _context: object) -> Any:
        found = self._overlay.statvfs()
        result = llfuse.StatvfsData()
        for name in _STATVFS:
            setattr(result, name, getattr(found, name))
        return result

    def access(self, _id: int, _mask: int, _context: object) -> bool:
        raise llfuse.FUSEError(errno.ENOSYS)  # the kernel checks

    # Files: a handle is the number of the node.

    @_answers
    def open(self, id: int, flags: int, _context: object) -> int:
        self._overlay.open(self._node(id), flags)
        return id

    @_answers
    def create(self, parent: int, name: bytes, mode: int, _flags: int, context: Any) -> tuple[int, Any]:
        node = self._overlay.make_file(self._node(parent), name, mode, _owner(context))
        return node.id, self._entry(node)

    @_answers
    def read(self, file: int, offset: int, size: int) -> bytes:
        return _read(self._node(file).fd, offset, size)

    @_answers
    def write(self, file: int, offset: int, data: bytes) -> int:
        return _write(self._node(file).fd, offset, data)

    def flush(self, _file: int) -> None:
        raise llfuse.FUSEError(errno.ENOSYS)  # nothing is held back, so the kernel need not ask again

    @_answers
    def release(self, file: int) -> None:
        self._overlay.close(self._node(file))

    @_answers
    def fsync(self, file: int, data_only: bool) -> None:
        self._overlay.sync(self._node(file), data_only=data_only)

    # Folders: a handle is the number of a listing, which does not change under its reader.

    @_answers
    def opendir(self, id: int, _context: object) -> int:
        number, self._next = self._next, self._next + 1
        self._folders[number] = self._node(id)
        return number

    @_answers
    def readdir(self, number: int, offset: int) -> Iterator[tuple[bytes, Any, int]]:
        if not offset or number not in self._listings:  # at rewinddir(3) it is read anew
            self._listings[number] = self._list(self._folders[number])
        return _directory_entries(self._listings[number], offset)

    def _list(self, node: Node) -> list[Entry]:
        above = node.place()[0] if node.names else node
        dots = [Entry(b".", node.number, stat.S_IFDIR), Entry(b"..", above.number, stat.S_IFDIR)]
        return dots + self._overlay.entries(node)

    @_answers
    def releasedir(self, number: int) -> None:
        self._folders.pop(number, None)
        self._listings.pop(number, None)

    @_answers
    def fsyncdir(self, number: int, data_only: bool) -> None:
        self._overlay.sync(self._folders[number], data_only=data_only)


def _directory_entries(entries: list[Entry], offset: int) -> Iterator[tuple[bytes, Any, int]]:
    attributes = llfuse.EntryAttributes()
    for position in range(offset, len(entries)):
        entry = entries[position]
        attributes.st_ino, attributes.st_mode = entry.number, entry.kind
        yield entry.name, attributes, position + 1


def _owner(context: Any) -> Owner:
    return Owner(context.uid, context.gid)


def _read(fd: int, offset: int, size: int) -> bytes:
    """Exactly `size` bytes unless the file ends: the kernel takes less for zeros."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def _write(fd: int, offset: int, data: bytes) -> int:
    done = os.pwrite(fd, data, offset)
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
    return done


def serve(device: int, upper: str, work: str, lowers: list[str], *, volatile: bool) -> None:
    """Serves the file system of `device` until it is gone. `lowers`: the highest first."""
    processes.allow_many_files()
    tops = [os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) for path in lowers]
    writable, spare = (os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (upper, work))
    overlay = Overlay(writable, spare, tops, volatile=volatile)
    _take_device(Handlers(overlay), device, work)
    llfuse.main(workers=1, handle_signals=False)
    llfuse.close(unmount=False)


def _take_device(handlers: Handlers, device: int, scratch: str) -> None:
    """Lets llfuse serve `device`.

    libfuse 2 wants to mount by itself, so it mounts something at `scratch`, which goes at once; then our
    device takes the place of its own.
    """
    before = _devices()
    llfuse.init(handlers, scratch, set(_OPTIONS))
    (own,) = _devices() - before
    syscalls.umount2(scratch, syscalls.MNT_DETACH)
    os.dup2(device, own, inheritable=False)
    os.close(device)


def _devices() -> set[int]:
    """All open descriptors of /dev/fuse."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") == "/dev/fuse":
                found.add(int(name))
        except FileNotFoundError:  # that of the listing itself
            pass
    return found


def main() -> None:
    """The process: DEVICE volatile|durable UPPER WORK LOWER..."""
    device, sync, upper, work, *lowers = sys.argv[1:]
    processes.set_name("pyctr-llfuse")
    serve(int(device), upper, work, lowers, volatile=sync == "volatile")
