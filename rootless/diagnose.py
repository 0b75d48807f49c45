"""Why this machine refuses something to an ordinary user, and what to do about it.

Runs only after a failure, in `info` and in `doctor`; so it may look at everything and import what it likes.
"""

import errno
import os
import platform

SUBIDS = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
DOCTOR = "Run 'pyctr doctor' to see what this machine allows."
_PACKAGES = {  # program -> package by family of distributions: Debian, Fedora, SUSE, Arch, Alpine
    "newuidmap": ("uidmap", "shadow-utils", "shadow", "shadow", "shadow-uidmap"),
    "newgidmap": ("uidmap", "shadow-utils", "shadow", "shadow", "shadow-uidmap"),
    "pasta": ("passt", "passt", "passt", "passt", "passt"),
    "slirp4netns": ("slirp4netns",) * 5,
    "fuse-overlayfs": ("fuse-overlayfs",) * 5,
}
_FAMILIES = ("debian", "fedora", "suse", "arch", "alpine")
_COMMANDS = ("apt-get install", "dnf install", "zypper install", "pacman -S", "apk add")


def advise(error: BaseException, what: str) -> str:
    """What to do after `error` when pyctr tried `what`: userns, idmap, overlay, fuse, tun, or the name of a
    program.
    """
    number = error.errno if isinstance(error, OSError) else None
    if what == "userns":
        return why_no_user_namespace(number)
    if what == "idmap":
        return why_no_id_map()
    if what in ("fuse", "tun"):
        return why_no_device({"fuse": "/dev/fuse", "tun": "/dev/net/tun"}[what])
    if what == "overlay":
        return why_no_overlay(number)
    return install(what) if what in _PACKAGES else DOCTOR


def why_no_user_namespace(number: int | None) -> str:
    """Which of the switches of the kernel, Debian, Ubuntu and seccomp is off."""
    if read("/proc/sys/user/max_user_namespaces") == "0":
        return "Allow user namespaces. As root: sysctl -w user.max_user_namespaces=15000"
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "Allow user namespaces. As root: sysctl -w kernel.unprivileged_userns_clone=1"
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids user namespaces to programs without a profile. Install pyctr's profile "
            "(packaging/apparmor) or, as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0."
        )
    if number == errno.ENOSPC:
        return "All user namespaces are in use (lsns -t user): raise the sysctl user.max_user_namespaces."
    if number == errno.EINVAL:
        return "The kernel was built without user namespaces (CONFIG_USER_NS)."
    if in_container():
        return (
            "This is inside a container whose seccomp filter forbids it: start that one with "
            "--security-opt seccomp=unconfined, or privileged."
        )
    return "A security module or a seccomp filter forbids it: ask the administrator of this machine."


def why_no_id_map() -> str:
    """What newuidmap needs: itself, set-uid or with capabilities, and ranges."""
    for program in ("newuidmap", "newgidmap"):
        path = find_program(program)
        if path is None:
            return install(program)
        if not has_privilege(path):
            return (
                f"{path} has lost its privilege. As root: chmod u+s {path} "
                "(a file system mounted nosuid takes it away as well)."
            )
    for path in ("/etc/subuid", "/etc/subgid"):
        if not has_range(path):
            return f"There is no range of ids for you in {path}. As root: {SUBIDS.format(user=user_name())}"
    if in_container():
        return (
            "This is inside a container: its own user namespace must have the ids that /etc/subuid promises."
        )
    return "The ranges in /etc/subuid and /etc/subgid may overlap those of other users, or be too long."


def why_no_device(path: str) -> str:
    if not os.path.exists(path):
        module = os.path.basename(path)
        inside = " (this is a container: it must be given the device)" if in_container() else ""
        return f"{path} does not exist{inside}. As root: modprobe {module}"
    return f"You may not use {path}. As root: chmod 666 {path} (udev does that on most machines)."


def why_no_overlay(number: int | None) -> str:
    if kernel_version() < (5, 11):
        return "The kernel is older than 5.11. " + install("fuse-overlayfs")
    if number == errno.ENODEV:
        return "The kernel lacks the overlay file system. As root: modprobe overlay"
    if number in (errno.EINVAL, errno.EOPNOTSUPP):
        return "This file system cannot carry it (network storage, another overlay): choose one with --root."
    return "A security module forbids it. " + install("fuse-overlayfs")


def install(program: str) -> str:
    """The command that installs a program on this distribution."""
    packages = _PACKAGES[program]
    family = distribution_family()
    if family is None:
        return f"Install the package that has {program} ({packages[0]} on Debian, {packages[1]} on Fedora)."
    return f"As root: {_COMMANDS[family]} {packages[family]}"


def distribution_family() -> int | None:
    """The place in the lists above of the distribution that this one is like."""
    release = os_release()
    words = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}".replace("-", " ").split()
    for word in words:
        for place, family in enumerate(_FAMILIES):
            if word == family or word.startswith(f"open{family}"):
                return place
    return None


def os_release() -> dict[str, str]:
    """/etc/os-release as os-release(5) defines it; empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def read(path: str) -> str:
    """The text of a small file without blanks around it; empty when it cannot be read."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def find_program(name: str) -> str | None:
    from pyctr.rootless import processes

    return processes.find_executable(name)


def has_privilege(path: str) -> bool:
    """Whether a program is set-uid root or has file capabilities."""
    if os.stat(path).st_mode & 0o4000:
        return True
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def has_range(path: str) -> bool:
    """Whether the user has subordinate ids in /etc/subuid or /etc/subgid."""
    from pyctr.rootless import userns
    from pyctr.rootless.errors import PyctrError

    try:
        return bool(userns.subordinate_ranges(path, os.getuid()))
    except PyctrError:
        return False


def user_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def in_container() -> bool:
    """Whether this runs inside a container of Docker, Podman or a cluster."""
    return any([os.path.exists(path) for path in ("/.dockerenv", "/run/.containerenv")]) or bool(
        os.environ.get("KUBERNETES_SERVICE_HOST")
    )


def kernel_version() -> tuple[int, int]:
    """Major and minor number of the running kernel."""
    major, minor = platform.release().split(".")[:2]
    digits = "".join([digit for digit in minor if digit.isdigit()])
    return int(major), int(digits or 0)
