"""Numbers as users write them: sizes with a unit, octal masks."""

from pyctr.rootless.errors import PyctrError

_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def parse_size(text: str, what: str) -> int:
    """Bytes of `64m`, `1g`, `0.5 GB`, `65536`; units are powers of 1024. `what` names the option."""
    lower = text.strip().lower()
    unit = lower.lstrip("0123456789.").strip()
    number = lower[: len(lower) - len(unit)].strip() if unit else lower
    factor = _UNITS.get(unit.removesuffix("ib") if unit.endswith("ib") else unit.removesuffix("b"))
    try:
        if factor is None or not number or number.count(".") > 1:
            raise ValueError(text)
        return int(number) * factor if "." not in number else int(float(number) * factor)
    except ValueError:
        raise PyctrError(
            f"invalid size {text!r} for {what}", "Write a number with b, k, m or g, as in 64m."
        ) from None


def parse_umask(text: str) -> int:
    """An octal umask of up to four digits."""
    if not 0 < len(text) <= 4 or text.strip("01234567") or int(text, 8) > 0o777:
        raise PyctrError(f"invalid umask {text!r}", "Write an octal number from 0000 to 0777.")
    return int(text, 8)
