"""--security-opt, and which paths of /proc and /sys a container does not see or cannot change.

The defaults are those of podman-run(1), --security-opt unmask.
"""

import os

from pyctr.engine.request import Security
from pyctr.rootless import capabilities
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MASKED = (
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/dev/block",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
READ_ONLY = (
    "/proc/asound",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/sys/fs/cgroup",
)
_TRUE = ("", "true", "1", "t", "True", "TRUE", "T")
_FALSE = ("false", "0", "f", "False", "FALSE", "F")


def parse(
    words: tuple[str, ...],
    added: tuple[str, ...],
    dropped: tuple[str, ...],
    *,
    privileged: bool = False,
    base: tuple[str, ...] = (),
    profile: str = "",
) -> Security:
    """The security of a container; `base` capabilities and seccomp `profile` come from containers.conf.

    PyctrError for what is unknown or cannot be honoured.
    """
    base = tuple([capabilities.normalize(name) for name in base])
    capabilities.merge(base or capabilities.DEFAULT, added, dropped)
    security = Security(base, added, dropped, privileged, seccomp=profile, words=words)
    for word in words:
        security = _apply(security, word)
    return security


def _apply(security: Security, word: str) -> Security:
    """`name=value`; the colon of older docker versions is understood as well."""
    name, separator, value = word.partition("=" if "=" in word else ":")
    if name == "no-new-privileges":
        if value not in _TRUE and value not in _FALSE:
            raise _invalid(word)
        return security.replace(no_new_privileges=value in _TRUE)
    if not separator or not value:
        raise _invalid(word)
    if name == "seccomp":
        return security.replace(seccomp=_seccomp(value))
    if name == "mask":
        return security.replace(masked=security.masked + _paths(value))
    if name == "unmask":
        return security.replace(unmasked=security.unmasked + _paths(value))
    if word == "systempaths=unconfined":  # docker's word for unmask=ALL
        return security.replace(unmasked=(*security.unmasked, "ALL"))
    if (name, value) in (("label", "disable"), ("apparmor", "unconfined")):
        return security  # nothing is ever labelled or confined by a profile here
    raise _invalid(word)


def _invalid(word: str) -> PyctrError:
    return PyctrError(
        f"--security-opt {word} is not supported",
        "Known are no-new-privileges, seccomp=unconfined, seccomp=FILE, mask=PATHS, unmask=PATHS, "
        "unmask=ALL, label=disable and apparmor=unconfined.",
    )


def _seccomp(value: str) -> str:
    """unconfined, or the absolute path of a profile."""
    if value == "unconfined":
        return value
    path = os.path.abspath(value)
    if not os.path.isfile(path):
        raise PyctrError(
            f"seccomp profile {value} is not a file", "Give the path of a JSON profile, or unconfined."
        )
    return path


def _paths(value: str) -> tuple[str, ...]:
    paths = tuple([path if path.upper() != "ALL" else "ALL" for path in value.split(":") if path])
    for path in paths:
        if path != "ALL" and not path.startswith("/"):
            raise PyctrError(f"{path!r} in --security-opt must be an absolute path")
    return paths


def capability_sets(security: Security) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The bounding set, and the ambient set of a process that is not root."""
    base, added = security.capabilities or capabilities.DEFAULT, security.capabilities_added
    if security.privileged:
        return capabilities.held(), capabilities.ambient_of(added) if added else ()
    if not added and not security.capabilities_dropped:
        return base, ()
    bounding = capabilities.merge(base, added, security.capabilities_dropped)
    return bounding, tuple([name for name in capabilities.ambient_of(added) if name in bounding])


def masked_paths(security: Security) -> tuple[str, ...]:
    """What the container cannot read."""
    if security.privileged:
        return security.masked
    return (*[path for path in MASKED if not _is_unmasked(path, security.unmasked)], *security.masked)


def read_only_paths(security: Security) -> tuple[str, ...]:
    """What the container can read but not change."""
    if security.privileged:
        return ()
    return tuple([path for path in READ_ONLY if not _is_unmasked(path, security.unmasked)])


def _is_unmasked(path: str, patterns: "Iterable[str]") -> bool:
    return any([pattern == "ALL" or _matches(path, pattern.rstrip("/")) for pattern in patterns])


def _matches(path: str, pattern: str) -> bool:
    """As path.Match of Go: a `*` stays within one component."""
    if path == pattern or not any([sign in pattern for sign in "*?["]):
        return path == pattern
    from fnmatch import fnmatchcase

    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(
        [fnmatchcase(*pair) for pair in zip(parts, wanted, strict=True)]
    )
