"""Starting programs and children, without `subprocess`."""

import _signal
import fcntl
import os
import sys

from pyctr.rootless import syscalls

ALL_SIGNALS = set(range(1, 32))
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find_executable(name: str, path: str | None = None) -> str | None:
    """The file that PATH (and then the system's folders) has for `name`, or None."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    for folder in f"{path or os.environ.get('PATH', '')}:{_DEFAULT_PATH}".split(":"):
        candidate = f"{folder}/{name}"
        if folder and os.access(candidate, os.X_OK):
            return candidate
    return None


def spawn(
    path: str,
    argv: list[str],
    *,
    stdin: int = -1,
    stdout: int = -1,
    stderr: int = -1,
    env: "dict[str, str] | None" = None,
) -> int:
    """Starts a program with default signals; its pid. Streams that are not given are /dev/null.

    Descriptors of this process are close-on-exec (PEP 446), so nothing else is inherited.
    """
    actions: list[tuple[object, ...]] = []
    for number, fd in enumerate((stdin, stdout, stderr)):
        if fd >= 0:
            actions.append((os.POSIX_SPAWN_DUP2, fd, number))
        else:
            actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0))
    return os.posix_spawn(
        path,
        argv,
        os.environ if env is None else env,
        file_actions=actions,
        setsigmask=(),
        setsigdef=ALL_SIGNALS - {_signal.SIGKILL, _signal.SIGSTOP},
    )


def restore_signals() -> None:
    """Default dispositions and an empty mask, as a program expects to be started (Python ignores SIGPIPE and
    SIGXFSZ).
    """
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ, _signal.SIGINT):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def close_all_but(keep: "set[int]") -> None:
    """Closes every descriptor from 3 on that is not in `keep`: the first act of a forked child."""
    first = 3
    for fd in sorted(fd for fd in keep if fd >= 3):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first)


def kill_children(spared: "set[int]") -> None:
    """Kills every child of this process, and what it then inherits as a subreaper, but `spared`; until none
    is left.
    """
    while True:
        pids = [pid for pid in children() if pid not in spared]
        if not pids:
            return
        for pid in pids:
            os.kill(pid, _signal.SIGKILL)
            os.waitpid(pid, 0)


def reap() -> "dict[int, int]":
    """Reaps every child that has ended, also those inherited as a subreaper; their wait statuses by pid."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if not pid:
            return ended
        ended[pid] = status


def children() -> "list[int]":
    """The pids of this process's children, zombies among them."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(word) for word in file.read().split()]


def set_name(name: str) -> None:
    """The name of this process in ps and top (at most 15 bytes): a forked child has no command line of
    its own.
    """
    with open("/proc/self/comm", "w") as file:
        file.write(name)


def execute_from_sealed_copy() -> None:
    """Starts this program again from a sealed memfd when its interpreter's file could be written by a
    container.

    A container's ids are the user and its subordinate ids; an interpreter of root's is out of their reach
    and needs nothing. Otherwise an entrypoint `#!/proc/self/exe` could overwrite the interpreter
    (CVE-2019-5736). Costs 5 ms and a start of the interpreter, where it is needed.
    """
    if os.readlink("/proc/self/exe").startswith("/memfd:pyctr") or not _is_exposed("/proc/self/exe"):
        return
    copy = os.memfd_create("pyctr", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open("/proc/self/exe", "rb") as file:
        while os.sendfile(copy, file.fileno(), None, 1 << 26):
            pass
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, seals)
    os.execve(f"/proc/self/fd/{copy}", [sys.executable, *sys.orig_argv[1:]], os.environ)


def _is_exposed(path: str) -> bool:
    return os.stat(path).st_uid == os.geteuid() or os.access(path, os.W_OK)


def self_command(module: str = "pyctr.cli.main") -> list[str]:
    """The words that start this very pyctr again, whatever installed or froze it: `main()` of a module.

    A frozen program has the command line only.
    """
    if getattr(sys, "frozen", False):
        return [sys.executable]
    start = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main()"
    return [sys.executable, "-I", "-S", "-c", start]


def allow_many_files() -> None:
    """As many open files as this process may have: a walk holds one for each level of a tree."""
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
