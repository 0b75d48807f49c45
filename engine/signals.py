"""Signals by name or number."""

import _signal

from pyctr.rootless.errors import PyctrError

_HIGHEST = 64


def parse_signal(text: str) -> int:
    """The number of TERM, SIGTERM, sigterm, 15 or RTMIN+3. PyctrError for anything else."""
    if text.isascii() and text.isdigit():
        number = int(text)
    else:
        number = _by_name(text.upper().removeprefix("SIG"))
    if not 1 <= number <= _HIGHEST:
        raise PyctrError(f"invalid signal: {text}", "Give a name such as SIGTERM or a number from 1 to 64.")
    return number


def _by_name(name: str) -> int:
    base, plus, offset = name.partition("+")
    if not plus:
        base, plus, offset = name.partition("-")
        sign = -1
    else:
        sign = 1
    if plus and (base not in ("RTMIN", "RTMAX") or not offset.isdigit()):
        return 0
    number = getattr(_signal, f"SIG{base}", 0)
    if not isinstance(number, int) or not base.isalnum():
        return 0
    return number + sign * int(offset or 0)
