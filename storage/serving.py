"""Starting the process that serves a FUSE mount: beside a container, or for a moment.

Beside a container it is a child of the monitor, in the container's cgroup, but in none of its namespaces:
it has a user namespace of its own with the same id maps, so a container, whatever namespaces of the host it
shares, can neither see it nor trace it. It ends when the file system is mounted nowhere any more, so it
lives as long as the container, also when the monitor is killed.
"""

import os
import select

from pyctr.rootless import processes, syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import drivers
from pyctr.storage.drivers import Server, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_PATIENCE = 10_000  # milliseconds that a process gets to end after its file system is gone
_WORDS = 4096  # bytes of its messages that an error quotes


def start(server: Server, maps: IdMaps, log: str, join: "Callable[[], None]") -> int:
    """Starts the process in namespaces of its own; its pid. Closes the device here.

    `join` is called in it first, as the user: it enters the container's cgroup. `log` is a file for its
    messages. PyctrError when its ids cannot be mapped.
    """
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with userns.Mapping() as mapping:
            child = os.fork()
            if not child:
                _serve_apart(server, mapping, errors, join)
            try:
                mapping.finish(child, maps)
            except BaseException:
                os.kill(child, 9)
                os.waitpid(child, 0)
                raise
    finally:
        os.close(errors)
        os.close(server.device)
    return child


def _serve_apart(
    server: Server, mapping: userns.Mapping, errors: int, join: "Callable[[], None]"
) -> "NoReturn":
    try:
        join()
        mapping.enter()
        syscalls.unshare(syscalls.CLONE_NEWNS)
        _execute(server, errors)
    finally:
        os._exit(127)


def _execute(server: Server, errors: int) -> None:
    """Becomes the program: descriptors 0 to 2, and the device as 3."""
    os.chdir(server.folder)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    fds = [os.dup(fd) for fd in (null, errors, errors)]
    device = os.dup(server.device)
    for number, fd in enumerate((*fds, device)):
        os.dup2(fd, number)
    processes.close_all_but({3})
    processes.restore_signals()
    os.umask(0)
    argv = [word.replace("{device}", "3") for word in server.argv]
    os.execv(argv[0], argv)


def await_end(pid: int) -> None:
    """Waits until the process has ended, which it does by itself; kills it when that takes too long."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        if not poll.poll(_PATIENCE):
            os.kill(pid, 9)
    finally:
        os.close(pidfd)
    os.waitpid(pid, 0)


def failure(log: str) -> PyctrError:
    """The error for a process that has ended too early, with its own words."""
    with open(log, "rb") as file:
        words = file.read(_WORDS).decode(errors="replace").strip()
    said = "; ".join([line for line in words.split("\n") if line and "ignored" not in line])
    return PyctrError(
        f"the process that serves the root file system ended: {said or 'it said nothing'}",
        "Run 'pyctr doctor' to see what works here; --storage-driver chooses another driver.",
    )


def mount_here(driver: str, tree: Tree, target: str) -> int:
    """Mounts a tree in the mount namespace of this process, which is root of a user namespace and apart
    from everything else (`userns.call_mapped`); the pid of the process that serves it, or 0.

    That process ends with the mount namespace, or when `target` is unmounted.
    """
    server = drivers.by_name(driver).mount(tree, target)
    if server is None:
        return 0
    child = os.fork()
    if not child:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)  # else it would hold the very mount that it serves
            syscalls.umount2(target, syscalls.MNT_DETACH)
            _execute(server, os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC))
        finally:
            os._exit(127)
    os.close(server.device)
    return child
