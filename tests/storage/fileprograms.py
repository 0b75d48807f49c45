"""What programs do with a root file system, whatever the driver: databases, version control, shared memory.

More checks for `tests.storage.filesystem.CHECKS`.
"""

import contextlib
import errno
import mmap
import os
import random
import shutil
import subprocess

from pyctr.rootless import syscalls
from tests.storage.filesystem import check, read, write


class _Model:
    """A file and what it must hold, as fsx does: random reads, writes, sizes and mapped memory."""

    LARGEST = 300_000  # bytes

    def __init__(self, path: str, seed: int) -> None:
        self._random = random.Random(seed)
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._content = bytearray(read(path))

    def step(self) -> None:
        name = self._random.choice([name for name in dir(self) if name.startswith("do_")])
        getattr(self, name)()
        status = os.fstat(self._fd)
        assert status.st_size == len(self._content), name

    def check(self) -> None:
        assert read(self._path) == self._content
        os.close(self._fd)
        assert read(self._path) == self._content

    def _range(self) -> tuple[int, int]:
        start = self._random.randrange(len(self._content) + 1)
        return start, min(len(self._content), start + self._random.randrange(1, 70_000))

    def do_write(self) -> None:
        start = self._random.randrange(self.LARGEST)
        data = self._random.randbytes(self._random.choice((1, 511, 4096, 20_000)))
        assert os.pwrite(self._fd, data, start) == len(data)
        self._content.extend(bytes(max(0, start - len(self._content))))
        self._content[start : start + len(data)] = data

    do_write_again = do_write

    def do_read(self) -> None:
        start, end = self._range()
        assert os.pread(self._fd, end - start, start) == self._content[start:end]

    def do_read_elsewhere(self) -> None:
        with open(self._path, "rb") as file:
            assert file.read() == self._content

    def do_truncate(self) -> None:
        size = self._random.randrange(self.LARGEST)
        where: int | str = self._random.choice((self._fd, self._path))
        os.truncate(where, size)
        del self._content[size:]
        self._content.extend(bytes(size - len(self._content)))

    def do_map(self) -> None:
        """Writes into shared memory; the file is read before and after it was flushed."""
        start, end = self._range()
        if start == end:
            return
        with mmap.mmap(self._fd, len(self._content)) as memory:
            assert memory[start:end] == self._content[start:end]
            memory[start:end] = self._content[start:end] = self._random.randbytes(end - start)
            assert os.pread(self._fd, end - start, start) == self._content[start:end]
            if self._random.random() < 0.5:
                memory.flush()

    def do_append(self) -> None:
        data = self._random.randbytes(99)
        write(self._path, data, "ab")
        self._content += data

    def do_sync(self) -> None:
        os.fsync(self._fd)

    def do_reopen(self) -> None:
        os.close(self._fd)
        self._fd = os.open(self._path, os.O_RDWR)

    def do_rename(self) -> None:
        moved = f"{self._path}.moved" if not self._path.endswith(".moved") else self._path[: -len(".moved")]
        os.rename(self._path, moved)
        self._path = moved

    def do_copy(self) -> None:
        """The file is replaced by a copy, as editors do; what is open has no name any more."""
        shutil.copyfile(self._path, f"{self._path}~")
        os.replace(f"{self._path}~", self._path)
        self.do_reopen()


@check
def random_reads_and_writes(root: str) -> None:
    for seed in range(4):
        model = _Model(f"{root}/d/{('one', 'two', 'three', 'new')[seed]}", seed)
        for _ in range(200):
            model.step()
        model.check()


@check
def memory_is_shared_by_processes(root: str) -> None:
    path = f"{root}/mapped"
    write(path, bytes(1 << 20))
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        child = os.fork()
        if not child:
            with open(path, "r+b") as own, mmap.mmap(own.fileno(), 0) as theirs:
                theirs[: 1 << 20 : 4096] = b"x" * 256
            os._exit(0)
        os.waitpid(child, 0)
        assert memory[: 1 << 20 : 4096] == b"x" * 256
    assert read(path).count(b"x") == 256


@check
def databases_work(root: str) -> None:
    """SQLite with a log that is written ahead: locks, and memory that two processes share."""
    import sqlite3

    with contextlib.closing(sqlite3.connect(f"{root}/base")) as base:
        base.execute("pragma journal_mode = wal")
        base.execute("create table t (n)")
        base.commit()
        children = []
        for worker in range(3):
            child = os.fork()
            if not child:
                os._exit(_insert(f"{root}/base", worker))
            children.append(child)
        assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
        assert base.execute("select count(*), count(distinct n) from t").fetchone() == (150, 150)
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)


def _insert(path: str, worker: int) -> int:
    import sqlite3

    with contextlib.closing(sqlite3.connect(path, timeout=30)) as base:
        for number in range(50):
            base.execute("insert into t values (?)", (worker * 1000 + number,))
            base.commit()
    return 0


@check
def flags_of_rename_are_kept_or_refused(root: str) -> None:
    """Whoever cannot do what RENAME_NOREPLACE or RENAME_EXCHANGE ask for changes nothing."""
    for flags in (1, 2):
        try:
            syscalls.renameat2(-100, f"{root}/d/one", -100, f"{root}/d/two", flags)
        except OSError as error:
            assert error.errno in (errno.EINVAL, errno.EEXIST)
            assert (read(f"{root}/d/one"), read(f"{root}/d/two")) == (b"one", b"two")
        else:
            assert flags == 2
            assert (read(f"{root}/d/one"), read(f"{root}/d/two")) == (b"two", b"one")


@check
def programs_do_without_flags_of_rename(root: str) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(words, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    subprocess.run(["mv", "-n", "d/one", "d/two"], cwd=root)  # newer ones exit with 1
    assert (read(f"{root}/d/one"), read(f"{root}/d/two")) == (b"one", b"two")
    run("mv", "-n", "d/one", "d/moved")
    run("mv", "-T", "d/sub", "d/sub2")
    run("cp", "-a", "d", "copy")
    run("sed", "-i", "s/two/TWO/", "d/two")
    assert (read(f"{root}/d/moved"), read(f"{root}/d/two")) == (b"one", b"TWO")
    if shutil.which("git"):
        git = ("git", "-c", "user.name=x", "-c", "user.email=x", "-c", "safe.directory=*")
        run(*git, "init", "-q")
        run(*git, "add", "d", "replaced")
        run(*git, "commit", "-qm", "one")
        run(*git, "mv", "d/moved", "d/again")
        run(*git, "commit", "-qam", "two")
        run(*git, "gc", "-q", "--prune=now")
        run(*git, "checkout", "-q", "HEAD~1")
        run(*git, "fsck", "--strict")
        assert read(f"{root}/d/moved") == b"one" and run(*git, "status", "--short", "-uno") == ""
