"""The content of volumes as tar archives, out and in.

Both run as root of a user namespace and work on descriptors: a container that has the volume mounted may
swap folders for links meanwhile, and nothing outside is read or written. Formats: POSIX.1-2017, pax.
"""

import hashlib
import os

from pyctr.rootless import processes, userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import records, unpack
from pyctr.storage.compression import decompressed
from pyctr.storage.containertar import walk
from pyctr.storage.merged import Merged
from pyctr.storage.tarstream import Entry, Source, TarReader
from pyctr.storage.tarwriter import TarWriter
from pyctr.storage.whiteouts import dialect_of

_TAR_LIMIT = 1 << 62  # bytes; what an archive of the user's own unpacks to is his business


def export(folder: str, target: int) -> None:
    """Writes what is in the data folder of a volume as a tar to the descriptor `target`. OSError."""
    userns.call_mapped(userns.default_maps(), _export, folder, target)


def import_(folder: str, source: int) -> int:
    """Unpacks a tar, perhaps compressed, from the descriptor `source` over what is in a data folder; the
    number of entries. PyctrError names the entry that cannot be unpacked.
    """
    maps = userns.default_maps()
    count: int = userns.call_mapped(maps, _import, folder, source, maps)
    return count


def _export(folder: str, target: int) -> None:
    def write(data: bytes) -> None:
        records.write_all(target, data)

    processes.allow_many_files()
    writer = TarWriter(write)
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    writer.add(b".", os.fstat(top), top, b".")
    for path, child in walk(Merged([top], dialect_of("whole"))):
        writer.add(b"./" + path, child.status, child.parents[0], child.name)
    writer.finish()


class _Merger(unpack.Unpacker):
    """Unpacks over what is there, where names that begin with .wh. are names like others. What is there goes
    only once something else can take its place.
    """

    def _add(self, path: bytes, entry: Entry, reader: TarReader) -> None:
        if not path:
            self._add_root(entry)
            return
        above, _, leaf = path.rpartition(b"/")
        make = self._makers.get(entry.kind)
        if make is None:
            raise PyctrError(f"{unpack.shown(entry.name)} is of an unknown kind {entry.kind!r}")
        make(self._folder(above), leaf, entry, reader)

    def _skip_device(self, folder: int, leaf: bytes, _entry: Entry, _reader: TarReader) -> None:
        """Nothing takes the place of what is there."""

    def _add_link(self, folder: int, leaf: bytes, entry: Entry, _reader: TarReader) -> None:
        """Linked under another name first: the target may be missing, or below what goes.

        SIGKILL before the rename leaves .pyctr.<random>, another name of the target.
        """
        target = unpack.clean(entry.target)
        if target == unpack.clean(entry.name):
            raise PyctrError(f"{unpack.shown(entry.name)} is a hard link to itself")
        draft = b".pyctr." + os.urandom(8).hex().encode()
        try:
            unpack.link_within(self._root, target, folder, draft)
        except (FileNotFoundError, NotADirectoryError):
            words = f"{unpack.shown(entry.name)} is a hard link to {unpack.shown(target)}"
            raise PyctrError(f"{words}, which is missing") from None
        try:
            self._clear(folder, leaf)
            os.rename(draft, leaf, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(draft, dir_fd=folder)
            raise


def _import(folder: str, source: int, maps: IdMaps) -> int:
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    merger = _Merger(root, maps, unpack.DEFAULT_LIMITS.replace(entries=1 << 60, names=1 << 40))
    with open(source, "rb", closefd=False) as file:
        stream = Source(decompressed(file), hashlib.sha256(), _TAR_LIMIT)
        reader = TarReader(stream)
        for entry in reader:
            merger.add(entry, reader)
        stream.drain()  # whoever writes into a pipe gets rid of all of it
    merger.finish()
    os.close(root)
    return merger.entries
