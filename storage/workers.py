"""The processes that unpack layers, inside the user namespace of a pull."""

import hashlib
import marshal
import os
import select
import socket
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NoReturn

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.storage import fixups, trees
from pyctr.storage.blobs import parse_digest
from pyctr.storage.compression import BrokenStream, Counted, decompressed
from pyctr.storage.tarstream import Source, TarReader
from pyctr.storage.unpack import Limits, Pending, Unpacker
from pyctr.storage.whiteouts import dialect_of
from pyctr.storage.windows import Budget

_WORKERS = 6  # at most
_STEP = 1 << 20  # bytes of a blob between two words about it
_MESSAGE = 1 << 16  # bytes; a path has at most 4096
_DAMAGED = "If the source is right, the copy on this disk is not: run 'pyctr image prune' and try again."
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Job(Value):
    """A layer: its folder `diff`, and what to unpack there, `missing` when that is not done already."""

    diff: str
    digest: str
    diff_id: str
    format: str  # of the layer: see `pyctr.storage.whiteouts`
    missing: bool = False


class Blob(Value):
    """The blob of the job with this number: it is there, whole."""

    number: int
    path: str
    size: int  # bytes


class Done(Value):
    """What a worker tells about its layer."""

    size: int  # bytes of its tar
    entries: int
    pending: Pending


class Line:
    """The talk with a process that unpacks: blobs go there as they arrive, words on progress come back."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.fd = self._here.fileno()

    def begin(self) -> None:
        """In the process that unpacks, before anything else."""
        self._here.close()
        self._there.setblocking(False)

    def started(self) -> None:
        """In the other one, once that is forked."""
        self._there.close()

    def send(self, blob: Blob) -> None:
        """Tells that a blob is there."""
        self._here.sendall(marshal.dumps((blob.number, blob.path, blob.size)))

    def moved(self) -> tuple[int, int] | None:
        """Job and bytes of its blob that are unpacked; None at the end of the other process."""
        data = self._here.recv(_MESSAGE)
        return marshal.loads(data) if data else None

    def close(self) -> None:
        self._here.close()

    @property
    def blobs_fd(self) -> int:
        """Readable when there is a blob."""
        return self._there.fileno()

    def take(self) -> Blob:
        """The next blob. PyctrError when no more will come."""
        data = self._there.recv(_MESSAGE)
        if not data:
            raise PyctrError("the process that unpacks for another one was left alone")
        return Blob(*marshal.loads(data))

    def tell(self, number: int, there: int) -> None:
        """Tells how far a job is, unless the other side is too busy to hear it."""
        try:
            self._there.send(marshal.dumps((number, there)))
        except OSError:
            pass


class Way(Value):
    """What all workers of a pull have in common."""

    maps: IdMaps
    limits: Limits
    line: Line
    budget: Budget


def unpack_all(jobs: Sequence[Job], maps: IdMaps, limits: Limits, line: Line) -> list[tuple[int, int]]:
    """Unpacks the layers that are missing, as their blobs arrive; (size, entries) of each. `jobs` is the
    whole stack, lowest first.

    Runs as root of the user namespace.
    """
    line.begin()
    wanted = [number for number, job in enumerate(jobs) if job.missing]
    done = _Pool(jobs, maps, limits, line).run(len(wanted))
    folders = [os.open(job.diff, _FOLDER) for job in jobs]
    for number in wanted:
        _mend(jobs[number], folders[number], folders[:number][::-1], done[number].pending)
    return [(done[number].size, done[number].entries) for number in wanted]


def _mend(job: Job, folder: int, below: Sequence[int], pending: Pending) -> None:
    try:
        fixups.mend(folder, below, pending, dialect_of(job.format))
    except PyctrError as error:
        raise PyctrError(f"layer {job.digest}: {error.message}", error.hint) from None


class _Pool:
    """As many workers at once as there are processors, within reason; the first failure ends all."""

    def __init__(self, jobs: Sequence[Job], maps: IdMaps, limits: Limits, line: Line) -> None:
        self._jobs = jobs
        self._maps = maps
        self._limits = limits
        self._line = line
        self._room = min(len(os.sched_getaffinity(0)), _WORKERS)
        self._budget = Budget()
        self._ready: list[Blob] = []
        self._running: dict[int, tuple[int, int]] = {}  # read end of its pipe: (pid, number of the job)
        self._answers: dict[int, bytes] = {}

    def run(self, count: int) -> dict[int, Done]:
        """What each worker did, by the number of its job. PyctrError of the first that failed."""
        results: dict[int, Done] = {}
        try:
            while len(results) < count:
                while self._ready and len(self._running) < self._room:
                    self._start(self._ready.pop(0))
                self._wait(results)
        finally:
            self._stop()
        return results

    def _start(self, blob: Blob) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        child = os.fork()
        if not child:
            way = Way(self._maps, self._limits, self._line, self._budget)
            _serve(parent, write, self._jobs[blob.number], blob, way)
        os.close(write)
        self._running[read] = (child, blob.number)
        self._answers[read] = b""

    def _wait(self, results: dict[int, Done]) -> None:
        """Takes what comes next: a blob, or a part of a worker's answer."""
        for fd in select.select([self._line.blobs_fd, *self._running], [], [])[0]:
            if fd == self._line.blobs_fd:
                self._ready.append(self._line.take())
            elif data := os.read(fd, 1 << 20):
                self._answers[fd] += data
            else:
                child, number = self._running.pop(fd)
                os.close(fd)
                status = os.waitpid(child, 0)[1]
                results[number] = _unpacked(self._jobs[number], self._answers.pop(fd), status)

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


def _serve(parent: int, answer: int, job: Job, blob: Blob, way: Way) -> NoReturn:
    """The life of a worker."""
    result: tuple[object, ...]
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
        if os.getppid() != parent:
            os._exit(1)
        done = unpack(job, blob, way)
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


def unpack(job: Job, blob: Blob, way: Way) -> Done:
    """Unpacks one layer into its folder, which is made, and checks its diff id."""
    trees.remove_own(job.diff)
    os.mkdir(job.diff, 0o755)
    root = os.open(job.diff, _FOLDER)
    wanted = parse_digest(job.diff_id)
    digest = hashlib.new(wanted.algorithm)
    with open(blob.path, "rb") as file:
        source = Source(_told(file, blob, way), digest, way.limits.tar_size(blob.size))
        unpacker = Unpacker(root, way.maps, way.limits, dialect_of(job.format))
        reader = TarReader(source)
        for entry in reader:
            unpacker.add(entry, reader)
        source.drain()
    if digest.hexdigest() != wanted.hex:
        found = f"{wanted.algorithm}:{digest.hexdigest()}"
        raise BrokenStream(f"its content has the diff id {found}, the image names {wanted}")
    return Done(source.count, unpacker.entries, unpacker.finish())


def _told(file: BinaryIO, blob: Blob, way: Way) -> Iterator[bytes]:
    """The tar in a blob. Tells now and then how far it is."""
    counted = Counted(file)
    told = 0
    for chunk in decompressed(counted, way.budget):
        if counted.count - told >= _STEP:
            told = counted.count
            way.line.tell(blob.number, told)
        yield chunk
    way.line.tell(blob.number, blob.size)
