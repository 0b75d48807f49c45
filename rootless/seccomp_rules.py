"""Seccomp profiles as values: which system call, compared with what, gets which answer.

The words follow the "seccomp" section of the OCI runtime specification (config-linux.md) and seccomp(2).
"""

import os

from pyctr.rootless.values import Value

# What a filter returns, of linux/seccomp.h. The low 16 bits are an errno or a message to a tracer.
ALLOW = 0x7FFF0000
LOG = 0x7FFC0000
TRACE = 0x7FF00000
ERRNO = 0x00050000
TRAP = 0x00030000
KILL_THREAD = 0x00000000
KILL_PROCESS = 0x80000000

# Which tables of system calls a machine's processes can use, its own first.
_FAMILIES = {
    "x86_64": ("x86_64", "x86", "x32"),
    "i686": ("x86", "x86_64", "x32"),
    "aarch64": ("aarch64", "arm"),
    "armv7l": ("arm", "aarch64"),
    "armv8l": ("arm", "aarch64"),
}
_OTHER_NAMES = {"i386": "i686", "i586": "i686", "armv6l": "armv7l"}


class Comparison(Value):
    """Of one argument with a 64-bit unsigned number. `operator`: eq, ne, lt, le, gt, ge, masked_eq.

    masked_eq compares the argument's bits in `mask`.
    """

    index: int
    operator: str
    value: int
    mask: int = 0xFFFF_FFFF_FFFF_FFFF


class Rule(Value):
    """The answer to some calls when all comparisons hold. Names that an architecture lacks are skipped."""

    names: tuple[str, ...]
    action: int
    comparisons: tuple[Comparison, ...] = ()


class Profile(Value):
    """For each call the first rule that holds decides, else `default`.

    A call of an architecture that is not listed ends the process.
    """

    default: int
    rules: tuple[Rule, ...]
    architectures: tuple[str, ...]


def errno_action(number: int) -> int:
    """The answer "fail with this errno"."""
    return ERRNO | number & 0xFFFF


def machine() -> str:
    """This machine, under one name for each family."""
    name = os.uname().machine
    return _OTHER_NAMES.get(name, name)


def architectures(machine: str) -> tuple[str, ...]:
    """The machine's own architecture and those of older or smaller programs that its kernel may run."""
    return _FAMILIES.get(machine, (machine,))
