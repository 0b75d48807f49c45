"""Reading a tar as a stream: ustar, PAX and GNU headers, sparse files, in bounded memory.

Python's tarfile reads whole PAX headers into memory and has been led astray by odd ones; it is never
used on foreign archives. Formats: pax in POSIX.1-2017 (pax, "ustar Interchange Format"), the GNU tar
manual, "Basic Tar Format" and "Storing Sparse Files".
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pyctr.storage.compression import BrokenStream

BLOCK = 512
HEADER_LIMIT = 1 << 20  # bytes of one PAX header, long name or sparse map, as in Go's archive/tar
_ZERO = bytes(BLOCK)
_BLANK = b" \0"
_EMPTY: dict[bytes, bytes] = {}
_XATTR = b"SCHILY.xattr."
_WITHOUT_DATA = b"123456"  # hard link, symlink, character, block, folder, FIFO: their size is not of data
SECOND = 1_000_000_000  # nanoseconds


class Hash(Protocol):
    """What hashlib makes."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Sparse(NamedTuple):
    """A file with holes: `pieces` of data as (offset, length), and its whole size."""

    pieces: tuple[tuple[int, int], ...]
    size: int


class Entry(NamedTuple):
    """One member.

    `kind` is the type flag of its header, b"0" for all regular files; `size` its bytes in the stream.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int  # nanoseconds since 1970
    target: bytes = b""
    xattrs: dict[bytes, bytes] = _EMPTY
    sparse: Sparse | None = None


class Source:
    """The bytes of a tar: counted, hashed, and bounded by `limit`."""

    def __init__(self, chunks: Iterator[bytes], digest: Hash, limit: int) -> None:
        self._chunks = chunks
        self._hash = digest
        self._limit = limit
        self._buffer = b""
        self._at = 0
        self.count = 0

    def _fill(self) -> bool:
        chunk = next(self._chunks, b"")
        self.count += len(chunk)
        if self.count > self._limit:
            raise BrokenStream(f"it unpacks to more than {self._limit} bytes, which is beyond all reason")
        self._hash.update(chunk)
        self._buffer, self._at = chunk, 0
        return bool(chunk)

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes, in one piece. BrokenStream when fewer are left."""
        end = self._at + size
        if end <= len(self._buffer):
            data = self._buffer[self._at : end]
            self._at = end
            return data
        return b"".join([bytes(piece) for piece in self.pieces(size)])

    def pieces(self, size: int) -> Iterator[memoryview]:
        """`size` bytes as views of what was read. BrokenStream when fewer are left."""
        while size:
            if self._at == len(self._buffer) and not self._fill():
                raise BrokenStream("the tar ends in the middle of an entry")
            piece = memoryview(self._buffer)[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        """Passes over `size` bytes."""
        for _piece in self.pieces(size):
            pass

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._buffer) and not self._fill()

    def drain(self) -> None:
        """Reads to the end, for the hash."""
        while self._fill():
            pass


class TarReader:
    """Iterates over the entries.

    The data of the current one is in `data()`; what is not read of it is passed over.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._padding = 0

    def data(self) -> Iterator[memoryview]:
        """The data of the current entry."""
        for piece in self._source.pieces(self._left):
            self._left -= len(piece)
            yield piece

    def __iter__(self) -> Iterator[Entry]:
        while (header := self._header()) is not None:
            entry = self._entry(header)
            if entry is not None:
                yield entry
                self._source.skip(self._left + self._padding)
                self._left = self._padding = 0

    def _header(self) -> bytes | None:
        """The next header block, None at the end of the archive (a zero block, or no more bytes)."""
        if self._source.at_end():
            return None
        block = self._source.take(BLOCK)
        if block == _ZERO:
            return None
        _check_sum(block)
        return block

    def _entry(self, header: bytes) -> Entry | None:
        """The entry that starts with this header, or None when only global records follow."""
        records: list[tuple[bytes, bytes]] = []
        long_name = long_link = None
        while (kind := header[156:157]) in b"xgLK":
            text = self._special(header)
            if kind == b"x":
                records = pax_records(text)
            elif kind == b"L":
                long_name = text.rstrip(b"\0")
            elif kind == b"K":
                long_link = text.rstrip(b"\0")
            following = self._header()
            if following is None:
                if kind == b"g":
                    return None
                raise BrokenStream("the tar ends after an extended header")
            header = following
        entry = _with_records(_plain(header, long_name, long_link), records)
        self._left = entry.size
        self._padding = -entry.size % BLOCK
        return self._with_holes(entry, header, records)

    def _special(self, header: bytes) -> bytes:
        size = _number(header[124:136], "size")
        if not 0 <= size <= HEADER_LIMIT:
            raise BrokenStream(f"an extended header of {size} bytes, beyond the limit of {HEADER_LIMIT}")
        text = self._source.take(size)
        self._source.skip(-size % BLOCK)
        return text

    def _with_holes(self, entry: Entry, header: bytes, records: list[tuple[bytes, bytes]]) -> Entry:
        """The entry with its sparse map, if it has one in any of the four formats."""
        if entry.kind == b"S":
            return _sparse(
                entry._replace(kind=b"0"), self._old_gnu_map(header), _number(header[483:495], "size")
            )
        if not any([key.startswith(b"GNU.sparse.") for key, _ in records]):
            return entry
        fields = dict(records)
        size = _decimal(fields.get(b"GNU.sparse.realsize", fields.get(b"GNU.sparse.size", b"0")))
        entry = entry._replace(name=fields.get(b"GNU.sparse.name", entry.name))
        if fields.get(b"GNU.sparse.major") == b"1":
            numbers = self._map_in_data()
            return _sparse(entry._replace(size=self._left), numbers, size)
        if b"GNU.sparse.map" in fields:
            return _sparse(entry, [_decimal(n) for n in fields[b"GNU.sparse.map"].split(b",") if n], size)
        wanted = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        return _sparse(entry, [_decimal(value) for key, value in records if key in wanted], size)

    def _old_gnu_map(self, header: bytes) -> list[int]:
        numbers = _map_fields(header[386:482])
        extended = header[482]
        while extended:
            block = self._source.take(BLOCK)
            numbers += _map_fields(block[:504])
            extended = block[504]
            if len(numbers) > HEADER_LIMIT // 8:
                raise BrokenStream("a sparse map beyond all reason")
        return numbers

    def _map_in_data(self) -> list[int]:
        """The map of PAX sparse format 1.0: decimal lines in the first blocks of the data."""
        text, lines, wanted = bytearray(), 0, 0
        while not wanted or lines < wanted:
            block = self._map_block(len(text))
            text += block
            lines += block.count(b"\n")
            if lines and not wanted:
                wanted = 2 * _decimal(bytes(text.partition(b"\n")[0])) + 1
        return [_decimal(line) for line in bytes(text).split(b"\n")[1:wanted]]

    def _map_block(self, so_far: int) -> bytes:
        if self._left < BLOCK or so_far >= HEADER_LIMIT:
            raise BrokenStream("a sparse map that does not end")
        self._left -= BLOCK
        return self._source.take(BLOCK)


def pax_records(text: bytes) -> list[tuple[bytes, bytes]]:
    """The records `<length> <key>=<value>\\n` of an extended header, in order."""
    records = []
    at = 0
    while at < len(text):
        space = text.find(b" ", at, at + 20)
        length = _decimal(text[at:space]) if space > 0 else 0
        record = text[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if length <= space + 1 - at or not record.endswith(b"\n") or not equals or not key:
            raise BrokenStream("a damaged PAX record")
        records.append((key, value))
        at += length
    return records


def _plain(header: bytes, long_name: bytes | None, long_link: bytes | None) -> Entry:
    kind = header[156:157]
    name = _string(header[0:100])
    if header[257:263] == b"ustar\0" and (prefix := _string(header[345:500])):
        name = prefix + b"/" + name
    name = name if long_name is None else long_name
    size = _number(header[124:136], "size")
    if kind in b"\x007":
        kind = b"5" if name.endswith(b"/") and kind == b"\0" else b"0"
    return Entry(
        name=name,
        kind=kind,
        mode=_number(header[100:108], "mode") & 0o7777,
        uid=_number(header[108:116], "uid"),
        gid=_number(header[116:124], "gid"),
        size=0 if kind in _WITHOUT_DATA else _positive(size),
        mtime=_number(header[136:148], "mtime") * SECOND,
        target=_string(header[157:257]) if long_link is None else long_link,
    )


def _with_records(entry: Entry, records: list[tuple[bytes, bytes]]) -> Entry:
    """The entry as the records of its PAX header correct it."""
    changes: dict[str, object] = {}
    xattrs = {}
    for key, value in records:
        if key == b"path":
            changes["name"] = value
        elif key == b"linkpath":
            changes["target"] = value
        elif key in (b"uid", b"gid"):
            changes[key.decode()] = _decimal(value)
        elif key == b"size" and entry.kind not in _WITHOUT_DATA:
            changes["size"] = _decimal(value)
        elif key == b"mtime":
            changes["mtime"] = _nanoseconds(value)
        elif key.startswith(_XATTR):
            xattrs[key[len(_XATTR) :]] = value
    if not changes and not xattrs:
        return entry
    return entry._replace(**changes, xattrs=xattrs)  # type: ignore[arg-type]


def _sparse(entry: Entry, numbers: list[int], size: int) -> Entry:
    """The entry with the pieces (offset, length) that `numbers` alternate, checked against its sizes."""
    pieces = tuple([piece for piece in zip(numbers[::2], numbers[1::2], strict=False) if piece[1]])
    at = 0
    for offset, length in pieces:
        if offset < at or length < 0:
            raise BrokenStream(f"the sparse map of {_shown(entry.name)} is not in order")
        at = offset + length
    if at > size or size >= 1 << 63 or sum([length for _, length in pieces]) != entry.size:
        raise BrokenStream(f"the sparse map of {_shown(entry.name)} does not fit its size")
    return entry._replace(sparse=Sparse(pieces, size))


def _map_fields(block: bytes) -> list[int]:
    numbers = []
    for at in range(0, len(block) - 23, 24):
        if block[at] == 0:
            break
        numbers += [_number(block[at : at + 12], "offset"), _number(block[at + 12 : at + 24], "length")]
    return numbers


def _check_sum(block: bytes) -> None:
    """The sum of all bytes with its own field blank; old programs summed signed ones."""
    found = sum(block) - sum(block[148:156]) + 8 * 32
    try:
        wanted = _number(block[148:156], "checksum")
    except BrokenStream:
        wanted = -1
    if wanted != found and wanted != found - 256 * sum([byte > 127 for byte in block[:148] + block[156:]]):
        raise BrokenStream("it is not a tar, or a header is damaged (wrong checksum)")


def _number(field: bytes, what: str) -> int:
    """A number in octal, or in base 256 when the first bit is set (GNU)."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big")
        bits = 8 * len(field)
        return value - (1 << bits) if field[0] == 0xFF else value - (1 << (bits - 1))
    digits = field.strip(_BLANK).partition(b"\0")[0].rstrip()
    if digits.strip(b"01234567"):
        raise BrokenStream(f"a header with a damaged {what}")
    return int(digits, 8) if digits else 0


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise BrokenStream("a damaged number in an extended header")
    return _positive(int(text))


def _positive(size: int) -> int:
    if not 0 <= size < 1 << 63:
        raise BrokenStream(f"a size of {size} bytes")
    return size


def _nanoseconds(text: bytes) -> int:
    """A PAX time: decimal seconds, perhaps negative, with a fraction."""
    whole, _, fraction = text.partition(b".")
    seconds = _decimal(whole.removeprefix(b"-")) * SECOND + _decimal((fraction[:9] or b"0").ljust(9, b"0"))
    return -seconds if text.startswith(b"-") else seconds


def _string(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _shown(name: bytes) -> str:
    return repr(name.decode(errors="backslashreplace"))
