"""Seccomp profiles of users: the JSON of Docker and podman, and the "seccomp" section of an OCI
configuration.

The fields are those of the OCI runtime specification (config-linux.md, "Seccomp"), and of Docker's format
the conditions `includes` and `excludes` (capabilities, architectures, kernel version), `archMap` and the
single `name`.
"""

import errno
import json
import os
from typing import Any

from pyctr.rootless import seccomp_bpf
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.seccomp_rules import (
    ALLOW,
    ERRNO,
    KILL_PROCESS,
    KILL_THREAD,
    LOG,
    TRACE,
    TRAP,
    Comparison,
    Profile,
    Rule,
    architectures,
    machine,
)

_ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
}

_OPERATORS = {
    "SCMP_CMP_NE": "ne",
    "SCMP_CMP_LT": "lt",
    "SCMP_CMP_LE": "le",
    "SCMP_CMP_EQ": "eq",
    "SCMP_CMP_GE": "ge",
    "SCMP_CMP_GT": "gt",
    "SCMP_CMP_MASKED_EQ": "masked_eq",
}

# Names of other architectures are skipped: no process of this machine can have them.
_ARCHITECTURES = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "x86",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
    "SCMP_ARCH_RISCV64": "riscv64",
    "SCMP_ARCH_LOONGARCH64": "loongarch64",
    "SCMP_ARCH_PPC64LE": "ppc64le",
    "SCMP_ARCH_S390X": "s390x",
}

# As `includes` and `excludes` name them.
_GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_Json = dict[str, Any]


def parse_profile(text: bytes, source: str, capabilities: tuple[str, ...]) -> Profile:
    """The profile for this machine and a container with this bounding set.

    PyctrError names `source` and what is wrong with it.
    """
    try:
        return _profile(json.loads(text), capabilities)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise PyctrError(
            f"bad seccomp profile {source}: {reason}",
            "The format is that of Docker's default.json or of the OCI runtime specification.",
        ) from None


def _profile(data: _Json, capabilities: tuple[str, ...]) -> Profile:
    if data.get("listenerPath"):
        raise ValueError("listenerPath (SCMP_ACT_NOTIFY) is not supported")
    default_errno = data.get("defaultErrnoRet", errno.EPERM)
    rules = [
        rule
        for entry in data.get("syscalls") or []
        if _applies(entry, capabilities)
        for rule in _rules(entry, default_errno)
    ]
    # libseccomp, which these profiles were written for, lets the more general rule win.
    rules.sort(key=lambda rule: bool(rule.comparisons))
    return Profile(_action(data["defaultAction"], default_errno), tuple(rules), _profile_architectures(data))


def _profile_architectures(data: _Json) -> tuple[str, ...]:
    """The machine's own, and what the profile lists beside it."""
    family = architectures(machine())
    own = [name for name, mapped in _ARCHITECTURES.items() if mapped == family[0]]
    listed = list(data.get("architectures") or [])
    for entry in data.get("archMap") or []:
        if entry["architecture"] in own:
            listed += entry.get("subArchitectures") or []
    known = [_ARCHITECTURES.get(name, "") for name in listed]
    return (family[0], *[name for name in family[1:] if name in known and name in seccomp_bpf.supported()])


def _applies(entry: _Json, capabilities: tuple[str, ...]) -> bool:
    includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
    own = architectures(machine())[0]
    names = (own, _GO_ARCHITECTURES.get(own, own))
    return (
        all(name in capabilities for name in includes.get("caps") or [])
        and (not includes.get("arches") or any(name in includes["arches"] for name in names))
        and (not includes.get("minKernel") or _release() >= _version(includes["minKernel"]))
        and not any(name in capabilities for name in excludes.get("caps") or [])
        and not any(name in (excludes.get("arches") or []) for name in names)
        and (not excludes.get("minKernel") or _release() < _version(excludes["minKernel"]))
    )


def _release() -> tuple[int, ...]:
    return _version(os.uname().release.partition("-")[0])


def _version(text: str) -> tuple[int, ...]:
    """The first two numbers of a version, as Docker compares them."""
    return tuple([int(part) for part in text.split(".")[:2]])


def _rules(entry: _Json, default_errno: int) -> list[Rule]:
    names = tuple(entry.get("names") or [entry["name"]])
    action = _action(entry["action"], entry.get("errnoRet", default_errno))
    comparisons = tuple([_comparison(argument) for argument in entry.get("args") or []])
    indexes = [comparison.index for comparison in comparisons]
    if len(set(indexes)) < len(indexes):  # alternatives of one argument, as runc and crun read it
        return [Rule(names, action, (comparison,)) for comparison in comparisons]
    return [Rule(names, action, comparisons)]


def _action(name: str, number: int | None) -> int:
    if name not in _ACTIONS:
        raise ValueError(f"unknown or unsupported action {name!r}")
    action = _ACTIONS[name]
    return action | (number or 0) & 0xFFFF if action in (ERRNO, TRACE) else action


def _comparison(argument: _Json) -> Comparison:
    operator = _OPERATORS.get(argument["op"])
    index, value = argument["index"], argument["value"]
    if operator is None or not 0 <= index < 6:
        raise ValueError(f"bad comparison {argument!r}")
    if operator == "masked_eq":  # `value` is the mask, `valueTwo` what the masked argument is compared with
        return Comparison(index, operator, argument.get("valueTwo", 0) & value, value)
    return Comparison(index, operator, value)
