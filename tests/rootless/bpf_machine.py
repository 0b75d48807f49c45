"""Runs a seccomp program on a made-up system call, as the kernel would (linux/bpf_common.h)."""

import struct
from collections.abc import Iterable

ARCHITECTURES = {"x86_64": 0xC000003E, "x86": 0x40000003, "aarch64": 0xC00000B7, "arm": 0x40000028}


def run(program: bytes, architecture: int, number: int, arguments: Iterable[int] = ()) -> int:
    """What the program returns: an action with its data."""
    words = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=IIQ6Q", number & 0xFFFFFFFF, architecture, 0, *words)
    instructions = list(struct.iter_unpack("=HBBI", program))
    accumulator = place = 0
    while True:
        code, true, false, constant = instructions[place]
        place += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("=I", data, constant)
            case 0x54:
                accumulator &= constant
            case 0x05:
                place += constant
            case 0x15:
                place += true if accumulator == constant else false
            case 0x25:
                place += true if accumulator > constant else false
            case 0x35:
                place += true if accumulator >= constant else false
            case 0x45:
                place += true if accumulator & constant else false
            case 0x06:
                return int(constant)
            case _:
                raise ValueError(f"instruction {code:#x} is not allowed in a seccomp program")
