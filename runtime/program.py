"""From set-up process to the container's program: what init and an exec session have in common.

Runs inside the container's namespaces and root. Nothing is imported from here on: the interpreter's files
are out of reach.
"""

import errno
import os

from pyctr.rootless import capabilities, processes, syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.mounts import Root
from pyctr.runtime import users
from pyctr.runtime.spec import Limit, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_RLIMITS = {  # asm-generic/resource.h
    name: number
    for number, name in enumerate(
        (
            *("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS"),
            *("SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"),
        )
    )
}
_CLOSE_RANGE_CLOEXEC = 4
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Program:
    """A program that is about to be executed. Construct it (reads and checks), then `execute`."""

    def __init__(
        self, root: Root, process: Process, filters: "tuple[bytes, ...]", *, makes_folder: bool = True
    ) -> None:
        """`filters` are what `load_filters` gave, before the root was changed. A working directory that is
        missing is made only with `makes_folder`.
        """
        self.root = root
        self.process = process
        self.filters = filters
        self.makes_folder = makes_folder
        self.identity = users.look_up(root, process.user, process.groups)
        self.env = _environment(process.env, self.identity.home)

    def own_streams(self, fds: "tuple[int, ...]") -> None:
        """Gives pipes and terminals to the user, so that /dev/stdout can be opened again by name."""
        for fd in fds:
            try:
                os.fchown(fd, self.identity.uid, -1)
            except OSError:  # a stream of the caller's that is not ours to give, or an id outside the map
                pass

    def settle(self) -> None:
        """Limits, capabilities, seccomp, ids, working directory: the point of no return."""
        for limit in self.process.limits:
            _set_limit(limit)
        if self.process.no_new_privileges:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        sets = capabilities.sets_for(
            self.process.capabilities, self.process.ambient, is_root=self.identity.uid == 0
        )
        folder = self._open_working_directory()
        capabilities.give_up(sets, self._become, self._load_filters if self.filters else None)
        os.umask(self.process.umask)
        self._enter(folder)

    def execute(self) -> "NoReturn":
        """Executes the program. PyctrError with exit code 127 (not found) or 126 (cannot be executed)."""
        argv = list(self.process.argv)
        path = _find(argv[0], self.env)
        syscalls.close_range(3, flags=_CLOSE_RANGE_CLOEXEC)
        processes.restore_signals()
        try:
            os.execve(path, argv, self.env)
        except OSError as error:
            raise _not_executed(argv[0], error) from None

    def _load_filters(self) -> None:
        for program in self.filters:
            syscalls.seccomp_set_filter(program)

    def _become(self) -> None:
        identity = self.identity
        try:
            os.setgroups(list(identity.groups))
            os.setresgid(identity.gid, identity.gid, identity.gid)
            os.setresuid(identity.uid, identity.uid, identity.uid)
        except OSError as error:
            raise PyctrError(
                f"cannot become user {identity.uid}:{identity.gid} in the container: {error.strerror}",
                "It is not among your subordinate ids; a larger range in /etc/subuid and /etc/subgid helps.",
            ) from None

    def _open_working_directory(self) -> int:
        """Resolved inside the root, without magic links (CVE-2024-21626)."""
        cwd = self.process.cwd or "/"
        try:
            return self.root.make_folder(cwd) if self.makes_folder else self.root.open(cwd)
        except (OSError, PyctrError) as error:
            raise _bad_directory(cwd, error) from None

    def _enter(self, folder: int) -> None:
        """Enters the working directory as the user; a descriptor that leads outside of the root is
        refused.
        """
        cwd = self.process.cwd or "/"
        try:
            if os.fstat(folder).st_mode & 0o170000 != 0o040000:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            os.fchdir(folder)
            os.getcwd()  # ENOENT when it is outside of the root
        except OSError as error:
            raise _bad_directory(cwd, error) from None
        os.close(folder)


def _bad_directory(cwd: str, error: Exception) -> PyctrError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return PyctrError(
        f"working directory {cwd} cannot be entered in the container: {reason}",
        "Choose another with --workdir.",
        exit_code=126,
    )


def _environment(env: tuple[str, ...], home: str) -> "dict[str, str]":
    found = {}
    for item in env:
        name, equals, value = item.partition("=")
        if equals and name:
            found[name] = value
    found.setdefault("HOME", home)
    return found


def _set_limit(limit: Limit) -> None:
    import resource

    soft, hard = limit.soft, limit.hard
    number = _RLIMITS[limit.name]
    try:
        resource.setrlimit(number, (soft, hard))
    except (ValueError, PermissionError):  # more than this user has: as much as possible, as podman does
        own = resource.getrlimit(number)[1]
        top = own if hard < 0 or 0 <= own < hard else hard
        resource.setrlimit(number, (top if soft < 0 or 0 <= top < soft else soft, top))


def load_filters(process: Process) -> "tuple[bytes, ...]":
    """Joins a session keyring of the container's own and reads the seccomp programs, while the host's files
    are in reach.

    Without a keyring of its own the container would see the user's: then it is denied the keyring calls.
    """
    from pyctr.rootless import seccomp

    filters = (seccomp.read_program(process.seccomp),) if process.seccomp else ()
    if not _join_keyring():
        from pyctr.rootless import seccomp_profile

        filters = (*filters, seccomp_profile.keyring_denial())
    return filters


def _join_keyring() -> bool:
    """A session keyring of the container's own; False when the user's quota of 200 keys is used up."""
    try:
        syscalls.keyctl_join_session_keyring()
    except OSError as error:
        if error.errno == errno.EDQUOT:
            return False
        if error.errno not in (errno.ENOSYS, errno.EPERM):  # no keyrings here, so none leaks either
            raise
    return True


def _find(name: str, env: "dict[str, str]") -> str:
    """The file to execute for a command name, as execvp(3) finds it with the container's PATH."""
    if not name:
        raise PyctrError("the container has no command", "Give one after the image.", exit_code=127)
    if "/" in name:
        return name
    denied = None
    for folder in env.get("PATH", _DEFAULT_PATH).split(":"):
        candidate = f"{folder or '.'}/{name}"
        try:
            mode = os.stat(candidate).st_mode
        except OSError:
            continue
        if mode & 0o170000 == 0o100000:
            if os.access(candidate, os.X_OK, effective_ids=True):
                return candidate
            denied = denied or candidate
    if denied:
        return denied
    raise PyctrError(
        f'executable file "{name}" not found in $PATH',
        "Give a command that the image has, or its absolute path.",
        exit_code=127,
    )


def _not_executed(name: str, error: OSError) -> PyctrError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        hint = "If the file exists, its interpreter or dynamic loader is missing in the image."
        return PyctrError(f"cannot execute {name}: {error.strerror}", hint, exit_code=127)
    if error.errno == errno.ENOEXEC:
        hint = "Is it built for this processor? A script needs a #! line."
        return PyctrError(f"cannot execute {name}: {error.strerror}", hint, exit_code=126)
    hint = "It must be an executable file, and its user must be allowed to execute it."
    return PyctrError(f"cannot execute {name}: {error.strerror}", hint, exit_code=126)
