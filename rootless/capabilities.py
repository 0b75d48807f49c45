"""Capabilities: their names, the sets a container gets, and the order in which a process gives up the rest.

The rules are those of capabilities(7); which set holds what for which user was read off podman's containers.
"""

from pyctr.rootless import syscalls
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# In the order of linux/capability.h: the place in the list is the number.
NAMES = (
    "CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID "
    "CAP_SETPCAP CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW "
    "CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT "
    "CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD "
    "CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG "
    "CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE"
).split(" ")
CAPABILITIES = {name: number for number, name in enumerate(NAMES)}

DEFAULT = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)


class CapabilitySets(Value):
    """Bit masks; capability number n is bit n. The effective set is the permitted one."""

    bounding: int
    permitted: int
    inheritable: int = 0
    ambient: int = 0


def parse(names: "Iterable[str]") -> int:
    """The mask of some capabilities, named in full. PyctrError for an unknown one."""
    mask = 0
    for name in names:
        number = CAPABILITIES.get(name)
        if number is None:
            raise _unknown(name)
        mask |= 1 << number
    return mask


def normalize(name: str) -> str:
    """The full name of a capability as users write it (`net_raw`, `CAP_NET_RAW`); ALL stays ALL."""
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in CAPABILITIES:
        raise _unknown(name)
    return full


def _unknown(name: str) -> PyctrError:
    return PyctrError(
        f"unknown capability: {name}", "capabilities(7) lists them; ALL stands for all of them."
    )


def held() -> tuple[str, ...]:
    """Every capability that a container can hold: all that this kernel knows.

    A new user namespace starts with all of them, also where the bounding set of this process lacks some.
    """
    return tuple(NAMES[: last_capability() + 1])


def last_capability() -> int:
    """The highest number that this kernel knows (asked of the kernel: /proc may be hidden by then)."""
    number = len(NAMES) - 1
    while number and not _is_known(number):
        number -= 1
    while _is_known(number + 1):
        number += 1
    return number


def _is_known(number: int) -> bool:
    try:
        syscalls.prctl(syscalls.PR_CAPBSET_READ, number)
    except OSError:
        return False
    return True


def merge(base: tuple[str, ...], add: "Iterable[str]", drop: "Iterable[str]") -> tuple[str, ...]:
    """`base` with --cap-add and --cap-drop applied, sorted (podman-run(1)).

    Dropping ALL leaves what is added by name; adding ALL leaves what is not dropped by name.
    """
    added, dropped = [normalize(name) for name in add], [normalize(name) for name in drop]
    if "ALL" in dropped:
        if "ALL" in added:
            raise PyctrError(
                "cannot both add and drop all capabilities", "Give --cap-add all or --cap-drop all."
            )
        return tuple(sorted(set(added)))
    if "ALL" in added:
        base, added = held(), []
    for name in added:
        if name in dropped:
            raise PyctrError(f"capability {name} is both added and dropped", "Give it once.")
    return tuple(sorted({*base, *added} - set(dropped)))


def ambient_of(add: "Iterable[str]") -> tuple[str, ...]:
    """What a process that is not root keeps: only what was asked for with --cap-add."""
    return merge((), add, ())


def sets_for(bounding: "Iterable[str]", ambient: "Iterable[str]", *, is_root: bool) -> CapabilitySets:
    """The sets of a container's process.

    Root's inheritable set stays empty (CVE-2022-27649: file capabilities would come back for other users).
    """
    limit = parse(bounding)
    if is_root:
        return CapabilitySets(limit, limit)
    kept = parse(ambient) & limit
    return CapabilitySets(limit, kept, kept, kept)


def give_up(
    sets: CapabilitySets, become: "Callable[[], None]", load_filter: "Callable[[], None] | None" = None
) -> None:
    """Turns a process with all capabilities into one with `sets`; `become` sets its groups and ids.

    The seccomp filter is loaded while CAP_SYS_ADMIN is held (EACCES otherwise) and as late as possible: what
    follows it, and the execve, is all that a profile of the user's must allow.
    """
    drop_bounding(sets.bounding)
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    become()
    if load_filter is not None:
        raise_permitted()
        load_filter()
    settle(sets)


def drop_bounding(keep: int) -> None:
    """Removes all but `keep` from the bounding set; needs CAP_SETPCAP."""
    for number in range(last_capability() + 1):
        if not keep >> number & 1:
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)


def raise_permitted() -> None:
    """Makes every permitted capability effective again: a change of uid clears the effective set."""
    permitted = syscalls.capget()[1]
    syscalls.capset(permitted, permitted, 0)


def settle(sets: CapabilitySets) -> None:
    """Sets the permitted, effective, inheritable and ambient set of this process."""
    syscalls.capset(sets.permitted, sets.permitted, sets.inheritable)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(sets.ambient.bit_length()):
        if sets.ambient >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
