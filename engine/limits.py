"""--ulimit: resource limits of a container's processes, as setrlimit(2) names them."""

from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# Name in the option -> row of /proc/self/limits (proc_pid_limits(5)); `resource` would be a library more.
_ROWS = {
    "as": "Max address space",
    "core": "Max core file size",
    "cpu": "Max cpu time",
    "data": "Max data size",
    "fsize": "Max file size",
    "locks": "Max file locks",
    "memlock": "Max locked memory",
    "msgqueue": "Max msgqueue size",
    "nice": "Max nice priority",
    "nofile": "Max open files",
    "nproc": "Max processes",
    "rss": "Max resident set",
    "rtprio": "Max realtime priority",
    "rttime": "Max realtime timeout",
    "sigpending": "Max pending signals",
    "stack": "Max stack size",
}
_DEFAULT = 1 << 20  # of nofile and nproc, unless the user may have less
_DEFAULTED = ("nofile", "nproc")


def parse(words: "Iterable[str]") -> tuple[Limit, ...]:
    """The limits of `nofile=1024:2048`, ...; `host` keeps the caller's. The last word for a name counts.

    PyctrError for an unknown name, and for more than this user may have.
    """
    own = current()
    limits = {}
    for name in _DEFAULTED:
        hard = own[name][1]
        highest = _DEFAULT if hard == -1 else min(_DEFAULT, hard)
        limits[name] = Limit(name.upper(), highest, highest)
    for word in words:
        if word == "host":
            limits = {name: Limit(name.upper(), *values) for name, values in own.items()}
            continue
        name, soft, hard = _split(word)
        limits[name] = _checked(word, name, soft, hard, own[name][1])
    return tuple(limits.values())


def _split(word: str) -> tuple[str, int, int]:
    name, equals, values = word.partition("=")
    name = name.lower().removeprefix("rlimit_")
    soft, colon, hard = values.partition(":")
    try:
        numbers = int(soft), int(hard if colon else soft)
    except ValueError:
        numbers = -2, -2
    if not equals or min(numbers) < -1:
        raise PyctrError(f"invalid --ulimit {word!r}", "Write NAME=SOFT[:HARD], as in nofile=1024:2048.")
    if name not in _ROWS:
        raise PyctrError(
            f"invalid --ulimit {word!r}: unknown limit {name!r}", f"Known are {', '.join(_ROWS)}."
        )
    return name, *numbers


def _checked(word: str, name: str, soft: int, hard: int, allowed: int) -> Limit:
    """-1 asks for as much as the user may have."""
    soft = allowed if soft == -1 else soft
    hard = allowed if hard == -1 else hard
    if hard != -1 and (soft == -1 or soft > hard):
        raise PyctrError(f"invalid --ulimit {word!r}: the soft limit is above the hard limit")
    if allowed != -1 and (hard == -1 or hard > allowed):
        raise PyctrError(
            f"--ulimit {word}: the hard limit of this user is {allowed}",
            "Ask for less, or let the administrator raise it in /etc/security/limits.conf.",
        )
    return Limit(name.upper(), soft, hard)


def current() -> "dict[str, tuple[int, int]]":
    """The limits of this process, soft and hard; -1 is unlimited."""
    with open("/proc/self/limits") as file:
        rows = file.read().split("\n")
    found = {}
    for name, title in _ROWS.items():
        for row in rows:
            if row.startswith(title):
                soft, hard = row[len(title) :].split()[:2]
                found[name] = _number(soft), _number(hard)
    return found


def _number(text: str) -> int:
    return -1 if text == "unlimited" else int(text)
