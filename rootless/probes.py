"""Probes of what containers need: each performs the operation itself, in a child where it would change this
process.
"""

import ctypes
import errno
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable

from pyctr.rootless import cgroups, diagnose, syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

OK, WARN, FAIL = "OK", "warn", "FAIL"
_PATIENCE = 10  # seconds for a program that is tried
_SMALL_DISK = 1 << 30  # bytes
_WHOLE_RANGE = 65536
_ST_NOEXEC = 8


class Finding(Value):
    """What a probe found: `status` is OK, warn (works, with a limit) or FAIL; `fix` says what to do."""

    name: str
    status: str
    detail: str
    fix: str = ""


def probe_all(root: str) -> list[Finding]:
    """All probes, for a store in the folder `root`, which is made."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    probes: tuple[Callable[[], Finding], ...] = (
        kernel,
        user_namespace,
        subordinate_ids,
        id_map,
        lambda: overlay(root),
        fuse,
        tun,
        pasta,
        slirp4netns,
        seccomp,
        cgroup,
        runtime_folder,
        linger,
        lambda: disk(root),
        keyring,
    )
    return networks([attempt(probe) for probe in probes])


def attempt(probe: Callable[[], Finding]) -> Finding:
    """The finding of a probe; a probe that breaks is a finding too."""
    try:
        return probe()
    except (OSError, PyctrError) as error:
        hint = error.hint or "" if isinstance(error, PyctrError) else ""
        name = getattr(probe, "__name__", "probe").replace("_", " ")
        return Finding(name, FAIL, str(error), hint or diagnose.DOCTOR)


def networks(found: list[Finding]) -> list[Finding]:
    """One of the two network programs is enough: the lack of the other is only worth a warning."""
    working = [each.name for each in found if each.name in ("pasta", "slirp4netns") and each.status == OK]
    return [
        each.replace(status=WARN, detail=f"{each.detail}; {working[0]} is used")
        if working and each.name in ("pasta", "slirp4netns") and each.status == FAIL
        else each
        for each in found
    ]


def kernel() -> Finding:
    version = diagnose.kernel_version()
    status = OK if version >= (5, 11) else WARN
    fix = "" if status == OK else "From 5.11 on overlay mounts need no FUSE."
    return Finding("kernel", status, f"Linux {platform.release()} {platform.machine()}", fix)


def user_namespace() -> Finding:
    """Makes one, in a child."""
    number = in_child(lambda: syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS))
    if not number:
        return Finding("user namespaces", OK, "can be made")
    fix = diagnose.why_no_user_namespace(number)
    return Finding("user namespaces", FAIL, f"cannot be made: {os.strerror(number)}", fix)


def in_child(action: Callable[[], object]) -> int:
    """Runs an action in a forked child; 0, or the errno of its failure."""
    child = os.fork()
    if not child:
        number = errno.EIO
        try:
            action()
            number = 0
        except OSError as error:
            number = error.errno or errno.EIO
        finally:
            os._exit(number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def subordinate_ids() -> Finding:
    name = "subordinate ids"
    if userns.is_root():
        return Finding(name, OK, "not needed by root")
    try:
        counts = [
            sum([length for _, length in userns.subordinate_ranges(path, os.getuid())])
            for path in ("/etc/subuid", "/etc/subgid")
        ]
    except PyctrError as error:
        return Finding(name, FAIL, error.message, error.hint or "")
    if min(counts) < _WHOLE_RANGE:
        fix = f"Images use ids up to 65535. As root: {diagnose.SUBIDS.format(user=diagnose.user_name())}"
        return Finding(name, WARN, f"{counts[0]} uids and {counts[1]} gids", fix)
    return Finding(name, OK, f"{counts[0]} uids and {counts[1]} gids")


def id_map() -> Finding:
    """Maps the whole range, as for a container."""
    try:
        userns.call_mapped(userns.default_maps(), os.getuid)
    except (PyctrError, OSError) as error:
        return Finding("id maps", FAIL, str(error), diagnose.why_no_id_map())
    return Finding(
        "id maps", OK, "newuidmap and newgidmap work" if not userns.is_root() else "can be written"
    )


def overlay(root: str) -> Finding:
    """Mounts one in the store, as root of a user namespace, and changes a file in it."""
    folder = tempfile.mkdtemp(prefix="tmp.doctor.", dir=root)
    try:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(f"{folder}/{name}")
        with open(f"{folder}/lower/file", "w") as file:
            file.write("lower")
        userns.call_mapped(userns.default_maps(), try_overlay, folder)
    except (PyctrError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else None
        return Finding(
            "overlay", FAIL, f"cannot be mounted in {root}: {error}", diagnose.why_no_overlay(number)
        )
    finally:
        remove_mapped(folder)
    return Finding("overlay", OK, f"works in {root}")


def try_overlay(folder: str) -> None:
    """Runs as root of a user and mount namespace."""
    layers = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work,userxattr"
    syscalls.mount("overlay", f"{folder}/merged", "overlay", 0, layers)
    with open(f"{folder}/merged/file", "a") as file:
        file.write("changed")
    os.chown(f"{folder}/merged/file", 1, 1)
    os.unlink(f"{folder}/merged/file")


def remove_mapped(folder: str) -> None:
    """Removes a tree in which files may belong to subordinate ids."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        userns.call_mapped(userns.default_maps(), shutil.rmtree, folder)


def fuse() -> Finding:
    return device("/dev/fuse", "FUSE", WARN, "only needed where overlay does not work")


def tun() -> Finding:
    return device("/dev/net/tun", "network device", FAIL, "containers get no network without it")


def device(path: str, name: str, lacking: str, why: str) -> Finding:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Finding(name, lacking, f"{path}: {error.strerror} ({why})", diagnose.why_no_device(path))
    return Finding(name, OK, f"{path} can be opened")


def pasta() -> Finding:
    """Lets pasta make a network for a program of its own."""
    path = diagnose.find_program("pasta")
    if path is None:
        return Finding("pasta", FAIL, "is not installed", diagnose.install("pasta"))
    problem = run([path, "--config-net", "--", shutil.which("true") or "/bin/true"])
    if problem:
        return Finding("pasta", FAIL, f"does not work: {problem}", "See passt(1); slirp4netns does as well.")
    return Finding("pasta", OK, f"{path} makes networks")


def slirp4netns() -> Finding:
    """Lets slirp4netns make a network for a child in namespaces of its own."""
    path = diagnose.find_program("slirp4netns")
    if path is None:
        return Finding("slirp4netns", FAIL, "is not installed", diagnose.install("slirp4netns"))
    try:
        problem = try_slirp4netns(path)
    except OSError as error:
        problem = str(error)
    if problem:
        return Finding("slirp4netns", FAIL, f"does not work: {problem}", "See slirp4netns(1).")
    return Finding("slirp4netns", OK, f"{path} makes networks")


def try_slirp4netns(path: str) -> str:
    """What went wrong, or nothing. Program and namespaces are gone afterwards."""
    entered, ready = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
            os.write(entered[1], b"1")
            os.close(ready[1])
            os.read(ready[0], 1)  # end of file when the parent is through, or dead
        finally:
            os._exit(0)
    os.close(entered[1])
    try:
        if os.read(entered[0], 1) != b"1":
            return "no network namespace can be made"
        return configure(path, child)
    finally:
        for fd in (*ready, entered[0]):
            os.close(fd)
        os.waitpid(child, 0)


def configure(path: str, pid: int) -> str:
    ready, ready_write = os.pipe2(0)
    argv = [path, "--configure", f"--ready-fd={ready_write}", f"--userns-path=/proc/{pid}/ns/user"]
    argv += ["--netns-type=path", f"/proc/{pid}/ns/net", "tap0"]
    with subprocess.Popen(
        argv, pass_fds=(ready_write,), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as program:
        os.close(ready_write)
        with os.fdopen(ready, "rb") as answer:
            works = answer.read(1) == b"1"  # end of file when it has failed
        program.kill()
        problem = program.stderr.read().strip() if program.stderr else ""
    return "" if works else problem.rpartition("\n")[2] or "it ended without an answer"


def run(argv: list[str]) -> str:
    """What a program says when it fails; nothing when it works."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        "" if not done.returncode else done.stderr.strip().rpartition("\n")[2] or f"code {done.returncode}"
    )


def seccomp() -> Finding:
    """Loads a filter that allows everything, in a child."""
    allow = (ctypes.c_uint16 * 1)(0x06)  # BPF_RET | BPF_K
    program = bytes(allow) + b"\0\0" + (0x7FFF0000).to_bytes(4, "little")  # SECCOMP_RET_ALLOW

    def load() -> None:
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.seccomp_set_filter(program)

    number = in_child(load)
    if number:
        fix = "The kernel needs CONFIG_SECCOMP_FILTER. Without: --security-opt seccomp=unconfined."
        return Finding("seccomp", FAIL, f"no filter can be loaded: {os.strerror(number)}", fix)
    return Finding("seccomp", OK, "filters can be loaded")


def cgroup() -> Finding:
    """Makes a cgroup and removes it again."""
    if cgroups.own_path() is None:
        fix = "Boot Linux with systemd.unified_cgroup_hierarchy=1; containers run without."
        return Finding("cgroups", WARN, "version 2 is not mounted alone: no limits, no counters", fix)
    number = in_child(make_group)
    if number:
        fix = "Log in through systemd, or have this cgroup delegated to you; containers run without."
        return Finding("cgroups", WARN, "none can be made here: no limits, no counters", fix)
    return Finding("cgroups", OK, f"delegated: {cgroups.own_path()}")


def make_group() -> None:
    group = cgroups.make(os.getpid())
    if group is None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    cgroups.remove_tree(group.path)


def runtime_folder() -> Finding:
    name = "runtime folder"
    path = os.environ.get("XDG_RUNTIME_DIR", "")
    fix = "Log in through PAM (ssh, machinectl shell), or set XDG_RUNTIME_DIR; /tmp is used meanwhile."
    if not path:
        return Finding(name, WARN, "XDG_RUNTIME_DIR is not set", fix)
    try:
        status = os.stat(path)
    except OSError as error:
        return Finding(name, WARN, f"XDG_RUNTIME_DIR: {path}: {error.strerror}", fix)
    if status.st_uid != os.getuid() or not os.access(path, os.W_OK):
        return Finding(name, WARN, f"XDG_RUNTIME_DIR: {path} is not yours", fix)
    return Finding(name, OK, path)


def linger() -> Finding:
    """Whether processes of the user outlive the logout: loginctl(1)."""
    if not os.path.isdir("/run/systemd/system"):
        return Finding("lingering", OK, "no systemd, so a logout ends no container")
    user = diagnose.user_name()
    if os.path.exists(f"/var/lib/systemd/linger/{user}") or userns.is_root():
        return Finding("lingering", OK, f"on for {user}")
    fix = f"loginctl enable-linger {user}"
    return Finding("lingering", WARN, "off: systemd may end containers when you log out", fix)


def disk(root: str) -> Finding:
    space = os.statvfs(root)
    if space.f_flag & _ST_NOEXEC:
        fix = "Choose another place with --root, or have it mounted without noexec."
        return Finding("disk", FAIL, f"{root} is mounted noexec: no program of an image can run", fix)
    free = space.f_bavail * space.f_frsize
    text = f"{free / 1e9:.1f} GB free in {root}"
    if free < _SMALL_DISK or (space.f_files and space.f_favail < 10_000):
        return Finding(
            "disk", WARN, f"{text}, {space.f_favail} files left", "Make room: pyctr rmi, pyctr rm."
        )
    return Finding("disk", OK, text)


def keyring() -> Finding:
    """Each container has a session keyring; a user may have 200 keys: keyrings(7), /proc/key-users."""
    for line in diagnose.read("/proc/key-users").split("\n"):
        fields = line.replace(":", " ").split()
        if fields and fields[0] == str(os.getuid()):
            used, limit = map(int, fields[3].split("/"))
            if used > limit * 0.9:
                fix = "As root: sysctl -w kernel.keys.maxkeys=20000; containers run without a keyring."
                return Finding("keyring", WARN, f"{used} of {limit} keys are used", fix)
            return Finding("keyring", OK, f"{used} of {limit} keys are used")
    return Finding("keyring", OK, "no keys are used")
