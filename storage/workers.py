"""The processes that unpack layers, inside the user namespace of a pull."""

import hashlib
import marshal
import os
import select
from collections.abc import Sequence
from typing import NoReturn

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.storage import fixups, trees
from pyctr.storage.blobs import parse_digest
from pyctr.storage.compression import BrokenStream, decompressed
from pyctr.storage.tarstream import Source, TarReader
from pyctr.storage.unpack import Limits, Pending, Unpacker
from pyctr.storage.whiteouts import dialect_of

_WORKERS = 6  # at most: each may need 128 MiB for the window of a zstd layer
_DAMAGED = "If the source is right, the copy on this disk is not: run 'pyctr image prune' and try again."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Job(Value):
    """A layer: its folder `diff`, and the `blob` (a path) to unpack there.

    No blob when it is complete already.
    """

    diff: str
    digest: str
    diff_id: str
    format: str  # of the layer: see `pyctr.storage.whiteouts`
    blob: str = ""
    size: int = 0  # bytes of the blob


class Done(Value):
    """What a worker tells about its layer."""

    size: int  # bytes of its tar
    entries: int
    pending: Pending


def unpack_all(jobs: Sequence[Job], maps: IdMaps, limits: Limits) -> list[tuple[int, int]]:
    """Unpacks the layers that have a blob; (size, entries) of each. `jobs` is the whole stack, lowest first.

    Runs as root of the user namespace.
    """
    wanted = [job for job in jobs if job.blob]
    done = dict(zip([job.diff for job in wanted], _Pool(maps, limits).run(wanted), strict=True))
    folders = [os.open(job.diff, _FOLDER) for job in jobs]
    for number, job in enumerate(jobs):
        if job.diff in done:
            _mend(job, folders[number], folders[:number][::-1], done[job.diff].pending)
    return [(result.size, result.entries) for result in done.values()]


def _mend(job: Job, folder: int, below: Sequence[int], pending: Pending) -> None:
    try:
        fixups.mend(folder, below, pending, dialect_of(job.format))
    except PyctrError as error:
        raise PyctrError(f"layer {job.digest}: {error.message}", error.hint) from None


class _Pool:
    """As many workers at once as there are processors, within reason; the first failure ends all."""

    def __init__(self, maps: IdMaps, limits: Limits) -> None:
        self._maps = maps
        self._limits = limits
        self._running: dict[int, tuple[int, int]] = {}  # read end of its pipe: (pid, number of the job)
        self._answers: dict[int, bytes] = {}

    def run(self, jobs: Sequence[Job]) -> list[Done]:
        """What each worker did, in the order of the jobs. PyctrError of the first that failed."""
        room = min(len(os.sched_getaffinity(0)), _WORKERS)
        results: dict[int, Done] = {}
        try:
            for number, job in enumerate(jobs):
                if len(self._running) >= room:
                    self._collect(jobs, results)
                self._start(number, job)
            while self._running:
                self._collect(jobs, results)
        finally:
            self._stop()
        return [results[number] for number in range(len(jobs))]

    def _start(self, number: int, job: Job) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        child = os.fork()
        if not child:
            _serve(parent, write, job, self._maps, self._limits)
        os.close(write)
        self._running[read] = (child, number)
        self._answers[read] = b""

    def _collect(self, jobs: Sequence[Job], results: dict[int, Done]) -> None:
        """Waits until one worker has finished."""
        while True:
            for fd in select.select(list(self._running), [], [])[0]:
                if data := os.read(fd, 1 << 20):
                    self._answers[fd] += data
                    continue
                child, number = self._running.pop(fd)
                os.close(fd)
                status = os.waitpid(child, 0)[1]
                results[number] = _unpacked(jobs[number], self._answers.pop(fd), status)
                return

    def _stop(self) -> None:
        for fd, (child, _number) in self._running.items():
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(fd)


def _unpacked(job: Job, answer: bytes, status: int) -> Done:
    if not answer:
        raise PyctrError(f"layer {job.digest}: its worker ended without an answer (status {status})")
    kind, *values = marshal.loads(answer)
    if kind == "done":
        size, entries, parents, links, opaque = values
        return Done(size, entries, Pending(parents, links, opaque))
    message, hint = values
    raise PyctrError(f"layer {job.digest}: {message}", hint)


def _serve(parent: int, answer: int, job: Job, maps: IdMaps, limits: Limits) -> NoReturn:
    """The life of a worker."""
    result: tuple[object, ...]
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
        if os.getppid() != parent:
            os._exit(1)
        done = unpack(job, maps, limits)
        pending = done.pending
        result = ("done", done.size, done.entries, pending.parents, pending.links, pending.opaque)
    except BrokenStream as error:
        result = ("failed", error.message, _DAMAGED)
    except PyctrError as error:
        result = ("failed", error.message, error.hint)
    except OSError as error:
        result = ("failed", f"{error.filename or 'unpacking'}: {error.strerror}", None)
    except BaseException as error:
        result = ("failed", f"{type(error).__name__}: {error}", None)
    try:
        data = memoryview(marshal.dumps(result))
        while data:
            data = data[os.write(answer, data) :]
    finally:
        os._exit(0)


def unpack(job: Job, maps: IdMaps, limits: Limits) -> Done:
    """Unpacks one layer into its folder, which is made, and checks its diff id."""
    trees.remove_own(job.diff)
    os.mkdir(job.diff, 0o755)
    root = os.open(job.diff, _FOLDER)
    wanted = parse_digest(job.diff_id)
    digest = hashlib.new(wanted.algorithm)
    with open(job.blob, "rb") as blob:
        source = Source(decompressed(blob), digest, limits.tar_size(job.size))
        unpacker = Unpacker(root, maps, limits, dialect_of(job.format))
        reader = TarReader(source)
        for entry in reader:
            unpacker.add(entry, reader)
        source.drain()
    if digest.hexdigest() != wanted.hex:
        found = f"{wanted.algorithm}:{digest.hexdigest()}"
        raise BrokenStream(f"its content has the diff id {found}, the image names {wanted}")
    return Done(source.count, unpacker.entries, unpacker.finish())
