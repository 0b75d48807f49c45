"""Unpacking the layers that an image lacks, as their blobs arrive: one user namespace, one worker a layer.

    building                the user: locks tmp.<name>/ of each missing layer, writes markers, renames
      Unpacking             root of the namespace: starts the workers, then mends the layers upwards
        worker              one layer: reads its blob, checks its diff id, fills tmp.<name>/diff

The lock of a layer that another process unpacks goes when it is renamed, or when that process dies.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.storage import blobs, drivers, layers, paths, records, trees
from pyctr.storage.images import Image, ImageLayer
from pyctr.storage.unpack import DEFAULT_LIMITS, Limits
from pyctr.storage.unpacking import Unpacking
from pyctr.storage.workers import Blob, Job

Told = Callable[[str, int], None]
Stack = Sequence[ImageLayer]  # lowest first


class _Claim(Value):
    """A missing layer whose folder tmp.<name>/ this process holds."""

    layer: ImageLayer
    name: str
    lock: records.Lock


class Build:
    """The unpacking of what is missing. Threads may share it, but for `finish`."""

    def __init__(self, store: paths.Store, folder: str, claims: Sequence[_Claim]) -> None:
        self._store = store
        self._folder = folder
        self._claims = claims
        self._unpacking: Unpacking | None = None
        self._digests: list[str] = []  # of what each job waits for, empty for one that is done
        self._results: list[tuple[int, int]] = []

    def start(self, stack: Stack, maps: IdMaps, limits: Limits) -> None:
        """Starts the process, if anything is to be done. The caller ends it."""
        if self._claims:
            jobs = list(_jobs(self._store, self._folder, stack, self._claims))
            self._digests = [job.digest if job.missing else "" for job in jobs]
            self._unpacking = Unpacking(jobs, maps, limits)

    def ready(self, digest: str) -> None:
        """A blob is there, whole. NoSuchObject when it is not."""
        for number, wanted in enumerate(self._digests):
            if wanted == digest and self._unpacking:
                size = blobs.blob_size(self._store, digest)
                self._unpacking.ready(Blob(number, self._store.blob(digest), size))

    def wait(self, stop: threading.Event | None = None, told: Told | None = None) -> None:
        """Waits until all is unpacked; `told` hears the digest of a blob and how many of its bytes are.

        PyctrError names the layer that failed; Stopped when `stop` is set.
        """
        if self._unpacking:
            for number, there in self._unpacking.steps(stop):
                if told is not None:
                    told(self._digests[number], there)
            self._results = self._unpacking.results()

    def finish(self) -> None:
        """Gives the layers their names, after `wait`. In the thread that made this: it is what a failure of
        others, or ctrl-c, must not overtake.
        """
        if self._claims:
            _finish(self._folder, self._claims, self._results)

    def end(self) -> None:
        """Ends the process, if it still runs."""
        if self._unpacking:
            self._unpacking.end()


@contextmanager
def building(
    store: paths.Store, stack: Stack, maps: IdMaps, limits: Limits = DEFAULT_LIMITS, *, patient: bool = False
) -> Iterator[Build]:
    """Begins to unpack the missing layers of a stack, all or none. The caller then brings their blobs,
    which are pinned, or holds `images.making`. No thread may run yet.

    What another process unpacks, and all above it, is left to a later call, unless this one is `patient`:
    then it waits first.
    """
    folder = store.layers(layers.layer_key(store, maps))
    records.make_folder(folder)
    with ExitStack() as held:
        claims = (_claim_missing if patient else _claim_free)(folder, stack, held)
        _sweep(folder, maps)
        build = Build(store, folder, claims)
        try:
            build.start(stack, maps, limits)
            yield build
        except BaseException:
            build.end()
            for claim in claims:
                _give_up(f"{folder}/{paths.TEMPORARY}{claim.name}", maps)
            raise
        build.end()


def build(store: paths.Store, image: Image, maps: IdMaps, limits: Limits = DEFAULT_LIMITS) -> None:
    """Unpacks the missing layers of `image`, whose blobs are there. The caller holds `images.making`, or has
    pinned them.
    """
    with building(store, image.layers, maps, limits, patient=True) as work:
        for digest in dict.fromkeys([layer.digest for layer in image.layers]):
            work.ready(digest)
        work.wait()
        work.finish()


def _claim_free(folder: str, stack: Stack, held: ExitStack) -> list[_Claim]:
    """Locks the folders of the missing layers from the lowest on, up to one that another process has.

    So nobody waits here while others wait for him, and what is to be mended finds all that is below it.
    """
    claims: dict[str, _Claim] = {}
    for layer in stack:
        name = layers.layer_name(layer.chain_id)
        if name in claims or layers.is_complete(folder, name, layer.chain_id):
            continue
        try:
            lock = _claim(folder, name, layer, wait=False)
        except BlockingIOError:
            break
        if lock is not None:
            claims[name] = _Claim(layer, name, held.enter_context(lock))
    return list(claims.values())


def _claim_missing(folder: str, stack: Stack, held: ExitStack) -> list[_Claim]:
    """Locks the folders of the missing layers, in the order of their names.

    Two processes never wait for each other.
    """
    named = {layers.layer_name(layer.chain_id): layer for layer in stack}
    claims = []
    for name in sorted(named):
        lock = _claim(folder, name, named[name])
        if lock is not None:
            claims.append(_Claim(named[name], name, held.enter_context(lock)))
    order = [layer.chain_id for layer in stack]
    return sorted(claims, key=lambda claim: order.index(claim.layer.chain_id))


def _claim(folder: str, name: str, layer: ImageLayer, *, wait: bool = True) -> records.Lock | None:
    """The lock of tmp.<name>/, made when missing.

    None when the layer is complete (another process was faster). BlockingIOError unless it may `wait`.
    """
    temporary = f"{folder}/{paths.TEMPORARY}{name}"
    while True:
        records.make_folder(temporary)
        try:
            lock = records.lock(temporary, wait=wait)
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


def _give_up(temporary: str, maps: IdMaps) -> None:
    """Best effort: garbage is no reason to fail, nor to hide another error. The next call tries again."""
    try:
        trees.remove(temporary, maps)
    except (OSError, PyctrError):
        pass


def _jobs(store: paths.Store, folder: str, stack: Stack, claims: Sequence[_Claim]) -> Iterator[Job]:
    """The layers from the lowest on, up to the last that is claimed; those that are complete
    only tell where they are.
    """
    left = {claim.name for claim in claims}
    form = drivers.layer_format(store)
    for layer in stack:
        name = layers.layer_name(layer.chain_id)
        missing = name in left
        diff = f"{folder}/{paths.TEMPORARY if missing else ''}{name}/{paths.LAYER_DIFF}"
        yield Job(diff, layer.digest, layer.diff_id, form, missing)
        left.discard(name)
        if not left:
            return


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
