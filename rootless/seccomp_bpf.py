"""Compiles a seccomp profile to a classic BPF program (seccomp(2), linux/bpf_common.h).

Neighbouring call numbers with the same answer become one range, and the ranges of an architecture a
balanced tree: a call costs about eight comparisons, and the kernel, which runs every number through a new
filter when it is loaded, is done in a fraction of the time that one comparison per call takes.
"""

import struct
import sys

from pyctr.rootless import syscall_numbers
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.seccomp_rules import KILL_PROCESS, Comparison, Profile

MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS

# AUDIT_ARCH_* of linux/audit.h, and the table of numbers.
_ARCHITECTURES = {
    "x86_64": (0xC000003E, "x86_64"),
    "x86": (0x40000003, "x86"),
    "x32": (0xC000003E, "x32"),
    "aarch64": (0xC00000B7, "generic"),
    "arm": (0x40000028, "arm"),
    "riscv64": (0xC00000F3, "generic"),
    "loongarch64": (0xC0000102, "generic"),
    "ppc64le": (0xC0000015, "ppc64"),
    "s390x": (0x80000016, "s390x"),
}

# Instructions of linux/bpf_common.h.
_LOAD = 0x20
_AND = 0x54
_JUMP = 0x05
_JUMP_EQ = 0x15
_JUMP_GT = 0x25
_JUMP_GE = 0x35
_RETURN = 0x06

# struct seccomp_data: nr, arch, instruction pointer, six arguments of 64 bits.
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENTS = 16
_LOW_OFFSET, _HIGH_OFFSET = (0, 4) if sys.byteorder == "little" else (4, 0)

Instruction = tuple[int, int | str, int | str, int]  # code, jump if true, jump if false, constant
Decision = tuple[tuple[tuple[Comparison, ...], int], ...]  # alternatives, then the default applies


def supported() -> tuple[str, ...]:
    """Names of the architectures that can be compiled for."""
    return tuple(_ARCHITECTURES)


def known_calls(architectures: tuple[str, ...]) -> tuple[str, ...]:
    """Every system call that one of these architectures has, or had when this was written."""
    tables = {_ARCHITECTURES[name][1] for name in architectures}
    return tuple(sorted({call for table in tables for call in syscall_numbers.numbers(table)}))


def compile_profile(profile: Profile) -> bytes:
    """The program, 8 bytes an instruction. PyctrError when it is longer than the kernel takes."""
    sections: dict[int, dict[int, Decision]] = {}
    for name in profile.architectures:
        token, table = _ARCHITECTURES[name]
        sections.setdefault(token, {}).update(_decisions(profile, syscall_numbers.numbers(table)))
    program: list[Instruction] = [(_LOAD, 0, 0, _ARCHITECTURE)]
    for token, decisions in sections.items():
        section = [(_LOAD, 0, 0, _NUMBER), *_tree(_ranges(decisions), profile.default)]
        program += [(_JUMP_EQ, 1, 0, token), (_JUMP, 0, 0, len(section)), *section]
    program.append((_RETURN, 0, 0, KILL_PROCESS))
    if len(program) > MAX_INSTRUCTIONS:
        raise PyctrError(
            f"the seccomp profile needs {len(program)} instructions, the kernel takes {MAX_INSTRUCTIONS}",
            "Use fewer rules with arguments.",
        )
    return b"".join([struct.pack("=HBBI", *instruction) for instruction in program])


def _decisions(profile: Profile, numbers: dict[str, int]) -> dict[int, Decision]:
    """The alternatives of each number that some rule names."""
    found: dict[int, Decision] = {}
    for rule in profile.rules:
        for name in rule.names:
            number = numbers.get(name)
            if number is not None:
                found[number] = _add(found.get(number, ()), rule.comparisons, rule.action)
    return found


def _add(decision: Decision, comparisons: tuple[Comparison, ...], action: int) -> Decision:
    if decision and not decision[-1][0]:
        return decision  # already decided whatever the arguments are
    return (*decision, (comparisons, action))


def _ranges(decisions: dict[int, Decision]) -> list[tuple[int, Decision]]:
    """(first number, decision) of each range, from 0 on; an empty decision is the default."""
    ranges: list[tuple[int, Decision]] = [(0, ())]
    for number in sorted(decisions):
        if ranges[-1][0] == number:
            ranges.pop()
        if not ranges or ranges[-1][1] != decisions[number]:
            ranges.append((number, decisions[number]))
        ranges.append((number + 1, ()))
    return _without_repeats(ranges)


def _without_repeats(ranges: list[tuple[int, Decision]]) -> list[tuple[int, Decision]]:
    kept = ranges[:1]
    for start, decision in ranges[1:]:
        if decision != kept[-1][1]:
            kept.append((start, decision))
    return kept


def _tree(ranges: list[tuple[int, Decision]], default: int) -> list[Instruction]:
    """Finds the range of the loaded number by halving."""
    if len(ranges) == 1:
        return _leaf(ranges[0][1], default)
    middle = len(ranges) // 2
    low, high = _tree(ranges[:middle], default), _tree(ranges[middle:], default)
    start = ranges[middle][0]
    if len(low) < 256:  # a conditional jump has 8 bits
        return [(_JUMP_GE, len(low), 0, start), *low, *high]
    return [(_JUMP_GE, 0, 1, start), (_JUMP, 0, 0, len(low)), *low, *high]


def _leaf(decision: Decision, default: int) -> list[Instruction]:
    code: list[Instruction] = []
    for comparisons, action in decision:
        code += _alternative(comparisons, action)
        if not comparisons:
            return code
    return [*code, (_RETURN, 0, 0, default)]


def _alternative(comparisons: tuple[Comparison, ...], action: int) -> list[Instruction]:
    """Returns `action` when all comparisons hold, else runs into what follows."""
    code: list[Instruction] = []
    for comparison in comparisons:
        part = _comparison(comparison)
        code += [
            _resolve(instruction, "hold", len(part) - place - 1) for place, instruction in enumerate(part)
        ]
    code.append((_RETURN, 0, 0, action))
    return [_resolve(instruction, "fail", len(code) - place - 1) for place, instruction in enumerate(code)]


def _resolve(instruction: Instruction, label: str, distance: int) -> Instruction:
    code, true, false, constant = instruction
    return code, distance if true == label else true, distance if false == label else false, constant


def _comparison(comparison: Comparison) -> list[Instruction]:
    """Looks at both words of a 64-bit argument, the high one first.

    "hold" jumps to the end, "fail" to the next alternative.
    """
    low = _ARGUMENTS + 8 * comparison.index + _LOW_OFFSET
    high = _ARGUMENTS + 8 * comparison.index + _HIGH_OFFSET
    value_low, value_high = comparison.value & 0xFFFFFFFF, comparison.value >> 32
    mask_low, mask_high = comparison.mask & 0xFFFFFFFF, comparison.mask >> 32
    match comparison.operator:
        case "eq":
            first, last = _jump(0, "fail", value_high), _jump(0, "fail", value_low)
        case "masked_eq":
            return [
                *((_LOAD, 0, 0, high), (_AND, 0, 0, mask_high), _jump(0, "fail", value_high)),
                *((_LOAD, 0, 0, low), (_AND, 0, 0, mask_low), _jump(0, "fail", value_low)),
            ]
        case "ne":
            first, last = _jump(0, "hold", value_high), _jump("fail", 0, value_low)
        case _:
            return _order(comparison.operator, (low, high), (value_low, value_high))
    return [(_LOAD, 0, 0, high), first, (_LOAD, 0, 0, low), last]


def _jump(equal: int | str, different: int | str, value: int) -> Instruction:
    return _JUMP_EQ, equal, different, value


def _order(operator: str, words: tuple[int, int], value: tuple[int, int]) -> list[Instruction]:
    """gt and ge hold with a greater high word; lt and le are their opposites, with the labels exchanged."""
    code, negated = {
        "gt": (_JUMP_GT, False),
        "ge": (_JUMP_GE, False),
        "lt": (_JUMP_GE, True),
        "le": (_JUMP_GT, True),
    }[operator]
    greater, smaller = ("fail", "hold") if negated else ("hold", "fail")
    last: Instruction = (code, "fail", 0, value[0]) if negated else (code, 0, "fail", value[0])
    return [
        (_LOAD, 0, 0, words[1]),
        (_JUMP_GT, greater, 0, value[1]),
        (_JUMP_EQ, 0, smaller, value[1]),
        (_LOAD, 0, 0, words[0]),
        last,
    ]
