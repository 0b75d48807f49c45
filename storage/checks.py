"""Whether what lies on disk is what it should be: blobs against their digests, layers against their tars.

Reads only. A layer is compared with a fresh copy, unpacked from its blob into tmp.<name>.<random>/ beside
it (garbage if the check is killed).
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import zip_longest

from pyctr.rootless import processes, userns
from pyctr.rootless.errors import BrokenRecord, PyctrError
from pyctr.rootless.idmap import IdMaps, IdRange
from pyctr.storage import blobs, copying, layers, paths, records, sweep, trees, unpacking, volumes
from pyctr.storage.containertar import walk
from pyctr.storage.images import Image, ImageLayer
from pyctr.storage.merged import Child, Merged
from pyctr.storage.unpack import DEFAULT_LIMITS, shown
from pyctr.storage.whiteouts import dialect_of
from pyctr.storage.workers import Blob, Job

_READ = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_sound(store: paths.Store, digest: str) -> bool:
    """Whether the content of a blob has its digest. OSError when the disk cannot read it."""
    wanted = blobs.parse_digest(digest)
    found = hashlib.new(wanted.algorithm)
    with blobs.open_blob(store, digest) as file:
        while data := file.read(_READ):
            found.update(data)
    return found.hexdigest() == wanted.hex


def leftovers(store: paths.Store) -> list[str]:
    """Paths of what nothing refers to and nobody is at work on: what a sweep would take.

    BlockingIOError while another call makes something. BrokenRecord when a root cannot be read.
    """
    with records.lock_file(store.store_lock(), wait=False):
        needed = sweep.roots(store)
        found = [store.blob(each) for each in sweep.all_blobs(store) if each not in needed.blobs]
        found += [
            f"{store.layers(key)}/{name}"
            for key, name in sweep.all_layers(store)
            if (key, name) not in needed.layers
        ]
        return found + _temporaries(store)


def _temporaries(store: paths.Store) -> list[str]:
    found = [
        f"{folder}/{name}"
        for folder in (store.containers(), store.volumes())
        for name in records.names_in(folder)
        if name.startswith(paths.TEMPORARY)
    ]
    found += sweep.temporaries(store) + sweep.halves(store)
    return [path for path in found if _is_free(path)]


def _is_free(path: str) -> bool:
    try:
        records.lock(path, wait=False).release()
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


def layer_keys(store: paths.Store) -> list[tuple[str, IdMaps]]:
    """The folders of layers, each with the maps that it was unpacked with, where these can be told and made:
    those of another user namespace (`pyctr unshare`) cannot.
    """
    found = [(key, _maps_of(key.partition("-")[2])) for key in records.names_in(f"{store.root}/layers")]
    own = userns.default_maps()
    return [
        (key, maps)
        for key, maps in found
        if maps is not None and _within(maps.uid, own.uid) and _within(maps.gid, own.gid)
    ]


def _within(ranges: tuple[IdRange, ...], own: tuple[IdRange, ...]) -> bool:
    """Whether this user may map all the outside ids of `ranges`."""
    return all(
        any(
            part.outside <= each.outside and each.outside + each.length <= part.outside + part.length
            for part in own
        )
        for each in ranges
    )


def _maps_of(words: str) -> IdMaps | None:
    """The maps that `IdMaps.key` gave this name; None for one that is a hash."""
    usual = userns.default_maps()
    if words == usual.key():
        return usual
    uids, dash, gids = words.partition("-")
    try:
        return IdMaps(_ranges(uids), _ranges(gids if dash else uids))
    except ValueError:
        return None


def _ranges(words: str) -> tuple[IdRange, ...]:
    parts = [[int(number) for number in part.split(".")] for part in words.split("_")]
    if any([len(part) != 3 for part in parts]):
        raise ValueError(words)
    if len(parts) == 1:
        own, first, length = parts[0]
        return IdRange(0, own, 1), IdRange(1, first, length)
    return tuple([IdRange(*part) for part in parts])


def unreadable(store: paths.Store, key: str, name: str, chain_id: str) -> str:
    """What is wrong with the folder of a layer at first sight; empty when nothing is."""
    folder = f"{store.layers(key)}/{name}"
    try:
        if not layers.is_complete(store.layers(key), name, chain_id):
            return "it has no mark that it is complete"
        found = records.read_record(f"{folder}/{paths.LAYER_RECORD}", layers.Layer, layers.LAYER_VERSION)
    except (FileNotFoundError, PyctrError) as error:
        return str(error)
    if found.chain_id != chain_id or not os.path.isdir(f"{folder}/{paths.LAYER_DIFF}"):
        return "its record and its folder do not belong together"
    return ""


@contextmanager
def fresh_copy(store: paths.Store, key: str, image: Image, number: int, maps: IdMaps) -> Iterator[str]:
    """A folder with one layer of an image, unpacked anew over the lower ones as they are: like
    layers/<key>/<name>/. It goes at the end, unless it was renamed. PyctrError when its blob is damaged.
    """
    folder = store.layers(key)
    layer = image.layers[number]
    draft = f"{folder}/{paths.TEMPORARY}{layers.layer_name(layer.chain_id)}.{os.urandom(8).hex()}"
    with _locked(draft) as lock:
        try:
            blob = Blob(number, store.blob(layer.digest), blobs.blob_size(store, layer.digest))
            jobs = _jobs(store, key, image, number, draft)
            size, entries = unpacking.unpack(list(jobs), [blob], maps, DEFAULT_LIMITS)[0]
            _write_record(draft, layer, size, entries)
            yield draft
        finally:
            if _is_same(draft, lock.fd):
                trees.remove(draft, maps)


def _locked(draft: str) -> records.Lock:
    while True:
        records.make_folder(draft)
        try:
            return records.lock(draft)
        except FileNotFoundError:
            continue


def _is_same(path: str, fd: int) -> bool:
    try:
        return os.stat(path).st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        return False


def _jobs(store: paths.Store, key: str, image: Image, number: int, draft: str) -> Iterator[Job]:
    form = key.partition("-")[0]
    for lower in image.layers[:number]:
        diff = f"{store.layers(key)}/{layers.layer_name(lower.chain_id)}/{paths.LAYER_DIFF}"
        yield Job(diff, lower.digest, lower.diff_id, form)
    layer = image.layers[number]
    yield Job(f"{draft}/{paths.LAYER_DIFF}", layer.digest, layer.diff_id, form, missing=True)


def _write_record(draft: str, layer: ImageLayer, size: int, entries: int) -> None:
    record = layers.Layer(layers.LAYER_VERSION, layer.chain_id, layer.diff_id, layer.digest, size, entries)
    records.write_record(f"{draft}/{paths.LAYER_RECORD}", record, durable=False)


def difference(one: str, other: str, maps: IdMaps) -> str:
    """The first name at which two unpacked layers differ, and in what; empty when they are alike."""
    found: str = userns.call_mapped(maps, _difference, one, other)
    return found


def _difference(one: str, other: str) -> str:
    processes.allow_many_files()
    tops = [os.open(path, _FOLDER) for path in (one, other)]
    if _facts(tops[0]) != _facts(tops[1]):
        return "/: owner, mode or attributes"
    first, second = [walk(Merged([top], dialect_of("whole"))) for top in tops]
    for left, right in zip_longest(first, second):
        path = shown(b"/" + (left or right)[0])
        if left is None or right is None or left[0] != right[0]:
            return f"{path}: it is in one of the two only"
        if wrong := _compare(left[1], right[1]):
            return f"{path}: {wrong}"
    return ""


def _compare(one: Child, other: Child) -> str:
    """In what two entries of the same name differ."""
    if _status(one.status) != _status(other.status):
        return "kind, owner, mode, size or time"
    kind = one.status.st_mode
    places = [(each.name, each.parents[0]) for each in (one, other)]
    if stat.S_ISLNK(kind):
        targets = {os.readlink(name, dir_fd=parent) for name, parent in places}
        return "target" if len(targets) > 1 else ""
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return ""
    first, second = [os.open(name, _FILE, dir_fd=parent) for name, parent in places]
    try:
        alike = _facts(first) == _facts(second) and (stat.S_ISDIR(kind) or _are_alike(first, second))
    finally:
        os.close(first)
        os.close(second)
    return "" if alike else "content or attributes"


def _status(status: os.stat_result) -> tuple[int, ...]:
    """What is the same each time that a layer is unpacked: not the times of folders and whiteouts."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns
    return mode, status.st_uid, status.st_gid, status.st_rdev


def _facts(fd: int) -> tuple[object, ...]:
    names = sorted(os.listxattr(fd))
    return _status(os.fstat(fd)), tuple([(name, os.getxattr(fd, name)) for name in names])


def _are_alike(one: int, other: int) -> bool:
    """Whether two open files of one size have the same content. What is a hole in both is not read."""
    size = os.fstat(one).st_size
    parts = dict.fromkeys([*copying.pieces(one, size), *copying.pieces(other, size)])
    return all(_are_alike_in(one, other, start, length) for start, length in parts)


def _are_alike_in(one: int, other: int, start: int, length: int) -> bool:
    for at in range(start, start + length, _READ):
        count = min(_READ, start + length - at)
        if os.pread(one, count, at) != os.pread(other, count, at):
            return False
    return True


def missing_parts(store: paths.Store, container: str) -> list[str]:
    """What a container needs and the store does not have. BrokenRecord; nothing for one that is gone."""
    try:
        spec = records.read_json(f"{store.container(container)}/{paths.SPEC}")
        rootfs, mounts = spec["rootfs"], spec["mounts"]
        folder = store.layers(rootfs["key"]) if rootfs.get("layers") else ""
        lacking = [
            f"layer {name}"
            for name in rootfs.get("layers") or ()
            if not os.path.exists(f"{folder}/{name}/{paths.LAYER_COMPLETE}")
        ]
        wanted = [mount["source"] for mount in mounts if mount["kind"] == "volume"]
    except FileNotFoundError:
        return []
    except (TypeError, KeyError, AttributeError) as error:
        raise BrokenRecord(f"the spec of container {container} cannot be read: {error}") from None
    return lacking + [f"volume {name}" for name in wanted if not volumes.exists(store, name)]
