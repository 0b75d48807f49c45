"""Which processes belong to a test: those that carry its token or use its folder."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator

TOKEN = "PYCTR_TEST_TOKEN"


class Process:
    """A process that is pinned by a pidfd, so that its number cannot be taken by another one."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.command = _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()

    def __repr__(self) -> str:
        return f"{self.pid} ({self.command or 'no command line'})"

    def ended(self, seconds: float) -> bool:
        """Waits for the end; a zombie has ended."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(max(0, seconds) * 1000))

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self.ended(10)

    def close(self) -> None:
        os.close(self.pidfd)


def left_behind(folder: str, seconds: float = 5, known: Iterable[Process] = ()) -> list[str]:
    """The `known` processes and those of the test that live on after `seconds`; they are killed."""
    deadline = time.monotonic() + seconds
    stayed = []
    for process in [*known, *of_test(folder)]:
        if not process.ended(deadline - time.monotonic()):
            stayed.append(repr(process))
            process.kill()
        process.close()
    return stayed


def of_test(folder: str) -> Iterator[Process]:
    """All processes that have `folder` in their environment, command line, files or mounts."""
    mark = os.fsencode(folder)
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _uses(name, mark):
            with contextlib.suppress(ProcessLookupError):
                process = Process(int(name), os.pidfd_open(int(name)))
                if _uses(name, mark):  # still the same one
                    yield process
                else:
                    process.close()


def family(folder: str) -> list[Process]:
    """The processes of the test and all their descendants, also those that hide what they are (pasta)."""
    found = {process.pid: process for process in of_test(folder)}
    parents = _parents()
    pending = list(found)
    while pending:
        parent = pending.pop()
        for pid in [pid for pid, its_parent in parents.items() if its_parent == parent and pid not in found]:
            with contextlib.suppress(ProcessLookupError):
                found[pid] = Process(pid, os.pidfd_open(pid))
                pending.append(pid)
    return list(found.values())


def _parents() -> dict[int, int]:
    """The parent of every process: the fourth field of its stat, counted from the end of the name."""
    texts = {int(name): _read(f"/proc/{name}/stat") for name in os.listdir("/proc") if name.isdigit()}
    return {pid: int(text.rpartition(b")")[2].split()[1]) for pid, text in texts.items() if text}


def _uses(pid: str, mark: bytes) -> bool:
    texts = (_read(f"/proc/{pid}/{file}") for file in ("environ", "cmdline", "mountinfo"))
    return any(mark in text for text in texts) or any(link.startswith(mark) for link in _links(pid))


def _links(pid: str) -> Iterator[bytes]:
    for name in ("cwd", "exe", "root"):
        with contextlib.suppress(OSError):
            yield os.readlink(os.fsencode(f"/proc/{pid}/{name}"))
    with contextlib.suppress(OSError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                yield os.readlink(os.fsencode(f"/proc/{pid}/fd/{fd}"))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
