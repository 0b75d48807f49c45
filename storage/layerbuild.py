"""Unpacking the layers that an image lacks: one user namespace, one worker process a layer.

    ensure_layers           the user: locks tmp.<name>/ of each missing layer, writes markers, renames
      call_mapped           root of the namespace: starts the workers, then mends the layers upwards
        worker              one layer: reads its blob, checks its diff id, fills tmp.<name>/diff

A layer that another process unpacks is waited for: its lock goes when it is renamed, or when that
process dies.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from pyctr.rootless import userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.storage import blobs, drivers, layers, paths, records, trees, workers
from pyctr.storage.images import Image, ImageLayer
from pyctr.storage.unpack import DEFAULT_LIMITS, Limits
from pyctr.storage.workers import Job


class _Claim(Value):
    """A missing layer whose folder tmp.<name>/ this process holds."""

    layer: ImageLayer
    name: str
    lock: records.Lock


def build(
    store: paths.Store,
    image: Image,
    maps: IdMaps,
    progress: "layers.Progress | None" = None,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Unpacks the missing layers of `image`, all or none. The caller holds `images.making`."""
    folder = store.layers(layers.layer_key(store, maps))
    records.make_folder(folder)
    with ExitStack() as held:
        claims = _claim_missing(folder, image, held)
        _sweep(folder, maps)
        if claims:
            _tell(progress, "unpacking", claims)
            _unpack(store, folder, image, maps, claims, limits)
            _tell(progress, "unpacked", claims)


def _tell(progress: "layers.Progress | None", what: str, claims: Sequence[_Claim]) -> None:
    if progress is not None:
        for claim in claims:
            progress(what, claim.layer)


def _claim_missing(folder: str, image: Image, held: ExitStack) -> list[_Claim]:
    """Locks the folders of the missing layers, in the order of their names.

    Two processes never wait for each other.
    """
    named = {layers.layer_name(layer.chain_id): layer for layer in image.layers}
    claims = []
    for name in sorted(named):
        lock = _claim(folder, name, named[name])
        if lock is not None:
            claims.append(_Claim(named[name], name, held.enter_context(lock)))
    order = [layer.chain_id for layer in image.layers]
    return sorted(claims, key=lambda claim: order.index(claim.layer.chain_id))


def _claim(folder: str, name: str, layer: ImageLayer) -> records.Lock | None:
    """The lock of tmp.<name>/, made when missing.

    None when the layer is complete (another process was faster).
    """
    temporary = f"{folder}/{paths.TEMPORARY}{name}"
    while True:
        records.make_folder(temporary)
        try:
            lock = records.lock(temporary)
        except FileNotFoundError:
            continue
        if not layers.is_complete(folder, name, layer.chain_id):
            return lock
        _discard_folder(temporary)
        lock.release()
        return None


def _discard_folder(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        pass  # a leftover: the next sweep takes it


def _sweep(folder: str, maps: IdMaps) -> None:
    """Removes what killed processes left: every tmp.* whose lock can be taken, which ours cannot."""
    for name in os.listdir(folder):
        if name.startswith(paths.TEMPORARY):
            try:
                lock = records.lock(f"{folder}/{name}", wait=False)
            except (BlockingIOError, FileNotFoundError):
                continue
            with lock:
                _give_up(f"{folder}/{name}", maps)


def _unpack(
    store: paths.Store, folder: str, image: Image, maps: IdMaps, claims: Sequence[_Claim], limits: Limits
) -> None:
    try:
        jobs = list(_jobs(store, folder, image, claims))
        results = userns.call_mapped(maps, workers.unpack_all, jobs, maps, limits)
        _finish(folder, claims, results)
    except BaseException:
        for claim in claims:
            _give_up(f"{folder}/{paths.TEMPORARY}{claim.name}", maps)
        raise


def _give_up(temporary: str, maps: IdMaps) -> None:
    """Best effort: garbage is no reason to fail, nor to hide another error. The next call tries again."""
    try:
        trees.remove(temporary, maps)
    except (OSError, PyctrError):
        pass


def _jobs(store: paths.Store, folder: str, image: Image, claims: Sequence[_Claim]) -> Iterator[Job]:
    """All layers of the image from the lowest on; those that are complete only tell where they are."""
    claimed = {claim.name for claim in claims}
    form = drivers.layer_format(store)
    for layer in image.layers:
        name = layers.layer_name(layer.chain_id)
        if name not in claimed:
            yield Job(f"{folder}/{name}/{paths.LAYER_DIFF}", layer.digest, layer.diff_id, form)
            continue
        size = blobs.blob_size(store, layer.digest)
        diff = f"{folder}/{paths.TEMPORARY}{name}/{paths.LAYER_DIFF}"
        yield Job(diff, layer.digest, layer.diff_id, form, store.blob(layer.digest), size)


def _finish(folder: str, claims: Sequence[_Claim], results: list[tuple[int, int]]) -> None:
    """Everything to disk at once, then the markers, then the names.

    One syncfs for a pull took 0.2 s where an fsync for each file took 2. A marker is never on disk
    before what it vouches for.
    """
    for claim, (size, entries) in zip(claims, results, strict=True):
        layer = claim.layer
        record = layers.Layer(
            layers.LAYER_VERSION, layer.chain_id, layer.diff_id, layer.digest, size, entries
        )
        path = f"{folder}/{paths.TEMPORARY}{claim.name}/{paths.LAYER_RECORD}"
        records.write_record(path, record, durable=False)
    _sync(folder)
    for claim in claims:
        temporary = f"{folder}/{paths.TEMPORARY}{claim.name}"
        records.write_text(f"{temporary}/{paths.LAYER_COMPLETE}", claim.layer.chain_id + "\n", durable=True)
        _rename(temporary, f"{folder}/{claim.name}")
    records.sync_folder(folder)


def _sync(folder: str) -> None:
    from pyctr.rootless import syscalls

    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)


def _rename(temporary: str, final: str) -> None:
    try:
        os.rename(temporary, final)
    except OSError:
        if not os.path.isdir(final):
            raise
        raise PyctrError(f"layer {final} has no mark that it is complete", "Remove that folder.") from None
