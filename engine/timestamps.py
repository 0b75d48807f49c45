"""Times as users type them (--since, --until, filters) and as people read them ("3 minutes ago").

podman-logs(1): Unix seconds, RFC 3339 with or without parts, or a Go duration before now such as 10m or
1h30m.
"""

import time

from pyctr.rootless.errors import PyctrError

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}


def parse(text: str, option: str, now: int | None = None) -> int:
    """Nanoseconds since 1970. PyctrError that names the option."""
    for reader in (_unix, _ago, _date):
        found = reader(text.strip(), time.time_ns() if now is None else now)
        if found is not None:
            return found
    raise PyctrError(
        f'parsing {option} "{text}": unable to interpret time value',
        "Give seconds since 1970, a date such as 2026-01-31T12:00:00Z, or a duration such as 10m.",
    )


def duration(text: str) -> int | None:
    """Nanoseconds of a Go duration such as 1h30m, 1.5s or -20ms; None when it is none."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = 0
    while rest:
        digits = _leading(rest, "0123456789.")
        unit = _leading(rest[len(digits) :], "nuµμsmh")
        # "1h30m" gives the unit "h"; "5ms" gives "ms", never "m" and "s".
        if not digits or digits.count(".") > 1 or digits == "." or unit not in _UNITS:
            return None
        total += int(float(digits) * _UNITS[unit]) if "." in digits else int(digits) * _UNITS[unit]
        rest = rest[len(digits) + len(unit) :]
    return sign * total if text.strip("+-") else None


def _leading(text: str, letters: str) -> str:
    return text[: len(text) - len(text.lstrip(letters))]


def _unix(text: str, _now: int) -> int | None:
    seconds, point, fraction = text.partition(".")
    if not seconds.isdigit() or (point and not fraction.isdigit()):
        return None
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0") if fraction else 0)


def _ago(text: str, now: int) -> int | None:
    span = duration(text)
    return None if span is None else now - span


def _date(text: str, _now: int) -> int | None:
    """RFC 3339, in local time when it names no zone."""
    day, clock, zone = _split_date(text)
    clock, _, fraction = clock.partition(".")
    if fraction and not fraction.isdigit():
        return None
    try:
        fields = time.strptime(f"{day}T{clock or '00:00:00'}", "%Y-%m-%dT%H:%M:%S")
        seconds = int(time.mktime(fields)) if zone is None else _utc(fields) - zone
    except (ValueError, OverflowError):
        return None
    return seconds * 10**9 + int(fraction[:9].ljust(9, "0") if fraction else 0)


def _utc(fields: time.struct_time) -> int:
    import calendar

    return calendar.timegm(fields)


def _split_date(text: str) -> tuple[str, str, int | None]:
    """The date, the time of day, and the seconds that its zone is ahead of UTC (None: local time)."""
    day, rest = text[:10], text[10:]
    if rest[:1] in ("T", "t", " "):
        rest = rest[1:]
    for sign, factor in (("+", 1), ("-", -1)):
        clock, found, zone = rest.rpartition(sign)
        if found:
            hours, _, minutes = zone.partition(":")
            if hours.isdigit() and (minutes.isdigit() or not minutes):
                return day, clock.rstrip("Zz"), factor * (int(hours) * 3600 + int(minutes or 0) * 60)
    if rest[-1:] in ("Z", "z"):
        return day, rest[:-1], 0
    return day, rest, None


def human(seconds: float) -> str:
    """A span of time as Docker and Podman word it: "Less than a second", "About a minute", "3 hours"."""
    if seconds < 60:
        return "Less than a second" if seconds < 1 else _count(int(seconds), "second")
    minutes = int(seconds / 60)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, size, unit in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if hours < limit * 24:
            return f"{hours // 24 // size} {unit}"
    return f"{int(seconds / 3600) // 24 // 365} years"


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def ago(then: int, now: int) -> str:
    """How long before `now` (both in nanoseconds) something was: "3 minutes ago"."""
    return f"{human(max(0, now - then) / 1e9)} ago"


def rfc3339(moment: int) -> str:
    """A moment in nanoseconds in UTC as inspect prints it, without trailing zeros; 0 is Go's zero time."""
    if not moment:
        return "0001-01-01T00:00:00Z"
    seconds, nanoseconds = divmod(moment, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def go_text(moment: int) -> str:
    """A moment as Go prints it: 2026-11-24 07:45:52.175079923 +0000 UTC, in local time."""
    seconds, nanoseconds = divmod(moment, 10**9)
    local = time.localtime(seconds)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}{fraction} {time.strftime('%z %Z', local)}"
