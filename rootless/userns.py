"""User namespaces of an ordinary user: which ids it may map, and processes inside such a namespace.

The kernel's rules are in user_namespaces(7), those of the set-uid helpers in newuidmap(1) and subuid(5).
"""

import _signal
import _thread
import os

from pyctr.rootless import processes, syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps, IdRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_HINT_RANGES = (
    "Ask the administrator for: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
)
_HINT_HELPERS = (
    "Install the package that has newuidmap and newgidmap (uidmap on Debian, shadow-utils on Fedora)."
)


def is_root() -> bool:
    """Whether this process may write id maps itself: root of the machine, or of a namespace such as `pyctr
    unshare`.
    """
    return os.geteuid() == 0


def default_maps() -> IdMaps:
    """The full maps of this user: 0 is the user, from 1 on its subordinate ids. PyctrError when it has
    none.
    """
    if is_root():
        return IdMaps(_own_ranges("/proc/self/uid_map"), _own_ranges("/proc/self/gid_map"))
    uid = os.getuid()
    return IdMaps(
        _rootless("/etc/subuid", uid, uid),
        _rootless("/etc/subgid", uid, os.getgid()),
    )


def keep_id_maps(uid: int | None = None, gid: int | None = None) -> IdMaps:
    """Maps in which the user keeps its id (or has `uid` and `gid` inside); all other ids are subordinate
    ones.

    podman-run(1), --userns=keep-id. Root has nothing to keep: it gets the default maps.
    """
    maps = default_maps()
    if is_root():
        return maps
    uid = os.getuid() if uid is None else uid
    gid = os.getgid() if gid is None else gid
    return IdMaps(_keep(maps.uid, uid), _keep(maps.gid, gid))


def _own_ranges(path: str) -> tuple[IdRange, ...]:
    """Every id of this namespace, mapped to itself."""
    with open(path) as file:
        rows = [line.split() for line in file]
    return tuple([IdRange(int(inside), int(inside), int(length)) for inside, _, length in rows])


def _rootless(path: str, uid: int, own: int) -> tuple[IdRange, ...]:
    ranges = [IdRange(0, own, 1)]
    inside = 1
    for start, length in subordinate_ranges(path, uid):
        ranges.append(IdRange(inside, start, length))
        inside += length
    return tuple(ranges)


def _keep(ranges: tuple[IdRange, ...], own: int) -> tuple[IdRange, ...]:
    """The full map with the user moved from 0 to `own`; the ids below and above it are subordinate."""
    pieces = []
    inside = 0
    for part in ranges[1:]:
        outside, length = part.outside, part.length
        while length:
            if inside == own:
                inside += 1
            room = min(length, own - inside) if inside < own else length
            pieces.append(IdRange(inside, outside, room))
            inside, outside, length = inside + room, outside + room, length - room
    pieces.append(IdRange(own, ranges[0].outside, 1))
    return tuple(sorted(pieces, key=lambda piece: piece.inside))


def subordinate_ranges(path: str, uid: int) -> list[tuple[int, int]]:
    """(start, length) of each range of the user in /etc/subuid or /etc/subgid; PyctrError when there is
    none.
    """
    names = [str(uid)]
    try:
        with open(path) as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        lines = []
    if any(line and not line[0].isdigit() for line in lines):
        names.append(_user_name(uid))
    found = []
    for line in lines:
        fields = line.split(":")
        if len(fields) == 3 and fields[0] in names and fields[1].isdigit() and fields[2].isdigit():
            found.append((int(fields[1]), int(fields[2])))
    if not found:
        user = _user_name(uid)
        raise PyctrError(f"user {user} has no subordinate ids in {path}", _HINT_RANGES.format(user=user))
    return found


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def map_process(pid: int, maps: IdMaps) -> None:
    """Writes the id maps of a process that has just entered a new user namespace.

    Root writes them itself; an ordinary user through newuidmap and newgidmap, run side by side.
    """
    finish_mapping(start_mapping(pid, maps))


def start_mapping(pid: int, maps: IdMaps) -> "list[tuple[str, int, int]]":
    """The first half of `map_process`: what it returns is for `finish_mapping`."""
    if is_root():
        for kind, ranges in (("uid", maps.uid), ("gid", maps.gid)):
            with open(f"/proc/{pid}/{kind}_map", "w") as file:
                file.write("".join([f"{r.inside} {r.outside} {r.length}\n" for r in ranges]))
        return []
    return [_start_helper("newuidmap", pid, maps.uid), _start_helper("newgidmap", pid, maps.gid)]


def finish_mapping(started: "list[tuple[str, int, int]]") -> None:
    """Waits for newuidmap and newgidmap. PyctrError with their words."""
    for helper in started:
        _finish_helper(*helper)


def _start_helper(name: str, pid: int, ranges: tuple[IdRange, ...]) -> "tuple[str, int, int]":
    path = processes.find_executable(name)
    if path is None:
        raise PyctrError(f"{name} is not installed, so no user namespace can be set up", _HINT_HELPERS)
    argv = [name, str(pid)]
    for part in ranges:
        argv += [str(part.inside), str(part.outside), str(part.length)]
    errors, errors_write = os.pipe2(os.O_CLOEXEC)
    try:
        child = processes.spawn(path, argv, stderr=errors_write)
    finally:
        os.close(errors_write)
    return name, child, errors


def _finish_helper(name: str, child: int, errors: int) -> None:
    with open(errors, "rb") as file:
        text = file.read(4096).decode(errors="replace").strip()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise PyctrError(
            f"{name} failed ({status}): {text}", "Run 'pyctr doctor' to see what this machine allows."
        )


def become_root() -> None:
    """Takes uid 0, gid 0 and no other group of the namespace that this process is in."""
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def make_namespace() -> None:
    """A new user namespace around this process, or PyctrError with what forbids it."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
    except OSError as error:
        raise _forbidden(error) from None


def _forbidden(error: OSError) -> PyctrError:
    return PyctrError(
        f"cannot make a user namespace: {error.strerror}",
        "Run 'pyctr doctor' to see why and what to do.",
    )


def fork_inside(flags: int) -> int:
    """Like os.fork(): the child is in a new user namespace, and in the new ones of `flags` (CLONE_NEW*)
    that belong to it. PyctrError with what forbids it.
    """
    try:
        return syscalls.clone3(syscalls.CLONE_NEWUSER | flags, _signal.SIGCHLD)
    except OSError as error:
        raise _forbidden(error) from None


def call_mapped(maps: IdMaps, function: "Callable[..., Any]", *args: "Any") -> "Any":
    """The result of `function(*args)`, run as root of a new user and mount namespace with these maps.

    The result must consist of plain values. PyctrError and OSError of the child are raised here again,
    anything else as PyctrError. The child has umask 0 and dies with this process; no thread may run here.
    """
    call = start_mapped(maps, function, *args)
    try:
        return call.result()
    finally:
        call.end()


def start_mapped(maps: IdMaps, function: "Callable[..., Any]", *args: "Any") -> "MappedCall":
    """Like `call_mapped`, but the function runs on beside this process. The caller ends it."""
    answer_read, answer_write = os.pipe2(os.O_CLOEXEC)
    with Mapping() as mapping:
        child = os.fork()
        if not child:
            _serve_call(mapping, answer_write, function, args)
        os.close(answer_write)
        call = MappedCall(child, answer_read)
        try:
            mapping.finish(child, maps)
        except BaseException:
            call.end()
            raise
    return call


class MappedCall:
    """A function that runs in a user namespace. From `fd` comes its answer."""

    def __init__(self, child: int, fd: int) -> None:
        self._child = child
        self._pidfd = os.pidfd_open(child)
        self._waiting = _thread.allocate_lock()
        self.fd = fd

    def result(self) -> "Any":
        """Waits for the result, or raises the function's error, as `call_mapped` does. Once only."""
        with self._waiting:
            answer = b""
            while data := os.read(self.fd, 1 << 20):
                answer += data
            status = os.waitpid(self._child, 0)[1]
            self._child = 0
        return _unpack_answer(answer, status)

    def end(self) -> None:
        """Kills it unless it has ended, also while another thread waits for the result. Safe twice."""
        if self.fd < 0:
            return
        try:
            _signal.pidfd_send_signal(self._pidfd, _signal.SIGKILL)
        except ProcessLookupError:
            pass
        with self._waiting:
            if self._child:
                os.waitpid(self._child, 0)
                self._child = 0
            os.close(self.fd)
            os.close(self._pidfd)
            self.fd = -1


class Mapping:
    """The two-step talk between a process that enters a user namespace and the one that writes its maps."""

    def __init__(self) -> None:
        self._entered = os.pipe2(os.O_CLOEXEC)
        self._mapped = os.pipe2(os.O_CLOEXEC)

    def __enter__(self) -> "Mapping":
        return self

    def __exit__(self, *_exc: object) -> None:
        for fd in (*self._entered, *self._mapped):
            _close(fd)

    def enter(self) -> None:
        """In the child: a new user namespace, and root in it once the parent has mapped it."""
        os.close(self._entered[0])
        os.close(self._mapped[1])
        make_namespace()
        os.close(self._entered[1])
        if os.read(self._mapped[0], 1) != b"m":
            os._exit(1)  # the parent has failed or died and tells why itself
        become_root()

    def finish(self, child: int, maps: IdMaps) -> None:
        """In the parent: maps the child once it is in its namespace. A child that failed before is left to
        its answer.
        """
        os.close(self._entered[1])
        os.read(self._entered[0], 1)  # end of file: the child has entered, or died
        try:
            map_process(child, maps)
        except FileNotFoundError:
            return
        os.write(self._mapped[1], b"m")


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass


def _serve_call(
    mapping: Mapping, answer: int, function: "Callable[..., Any]", args: "tuple[Any, ...]"
) -> "NoReturn":
    import marshal

    result: tuple[Any, ...]
    try:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)  # ctrl-c is the parent's: it ends this process
        mapping.enter()
        syscalls.unshare(syscalls.CLONE_NEWNS)
        os.umask(0)
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 9)
        result = ("value", function(*args))
    except PyctrError as error:
        result = ("error", error.message, error.hint, error.exit_code)
    except OSError as error:
        result = ("oserror", error.errno or 5, error.strerror or str(error), str(error.filename or ""))
    except BaseException as error:
        result = ("error", f"{type(error).__name__}: {error}", None, 125)
    try:
        data = marshal.dumps(result)
        while data:
            data = data[os.write(answer, data) :]
    finally:
        os._exit(0)


def _unpack_answer(answer: bytes, status: int) -> "Any":
    import marshal

    if not answer:
        raise PyctrError(f"a child in the user namespace ended without an answer (status {status})")
    kind, *values = marshal.loads(answer)
    if kind == "value":
        return values[0]
    if kind == "oserror":
        raise OSError(values[0], values[1], values[2] or None)
    raise PyctrError(values[0], values[1], exit_code=values[2])


def enter_mapped(maps: IdMaps) -> None:
    """Moves this very process into a new user and mount namespace with these maps, as its root. No thread
    may run.
    """
    with Mapping() as mapping:
        target = os.getpid()
        mapper = os.fork()
        if not mapper:
            code = 1
            try:
                mapping.finish(target, maps)
                code = 0
            except PyctrError as error:
                os.write(2, f"Error: {error.message}\n{error.hint or ''}\n".encode())
            finally:
                os._exit(code)
        mapping.enter()
        os.waitpid(mapper, 0)
    syscalls.unshare(syscalls.CLONE_NEWNS)
