"""The functions of Go templates, and how Go prints values."""

from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class TemplateError(PyctrError):
    """The template is wrong or asks for what is not there."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(f"--format: {message}", hint)


class _NoValue:
    """What an absent key of a map is."""

    def __bool__(self) -> bool:
        return False


NO_VALUE = _NoValue()


class Heading(str):
    """The heading of a column, in place of a value: every field of it is the heading of that field."""

    names: "dict[str, str]"

    def field(self, name: str) -> "Heading":
        heading = Heading(self.names.get(name) or spaced(name))
        heading.names = self.names
        return heading


def spaced(name: str) -> str:
    """CreatedAt -> CREATED AT"""
    words = ""
    for at, letter in enumerate(name):
        if at and letter.isupper() and name[at - 1].islower():
            words += " "
        words += letter
    return words.upper()


def go_text(value: "Any") -> str:
    """A value as `{{.}}` prints it."""
    if isinstance(value, str):
        return value
    if value is NO_VALUE:
        return "<no value>"
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join([go_text(item) for item in value]) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join([f"{key}:{go_text(value[key])}" for key in sorted(value)]) + "]"
    return str(value)


def truth(value: "Any") -> bool:
    """Whether `if` takes a value for true: not when it is empty or zero."""
    return bool(value)


def entries(value: "Any") -> "list[tuple[Any, Any]]":
    """What `range` visits: index and item, or key and value in the order of the keys."""
    if isinstance(value, Heading):
        return [(0, value)]
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(at, at) for at in range(value)]
    if not value:
        return []
    raise TemplateError(f"range cannot visit {go_text(value)!r}")


def index(value: "Any", *keys: "Any") -> "Any":
    """Item by item; an absent key of a map is empty."""
    for key in keys:
        if isinstance(value, Heading):
            return value
        if isinstance(value, dict):
            value = value.get(key, "")
        elif value is None:
            value = ""
        elif not 0 <= key < len(value):
            raise IndexError(f"index out of range: {key}")
        else:
            value = value[key]
    return value


def compare(least: int, most: int) -> "Any":
    """lt, le, gt, ge from the order of two values."""
    return lambda a, b: least <= (a > b) - (a < b) <= most


def equal(first: "Any", *others: "Any") -> bool:
    """Whether `first` equals one of the others."""
    return any([type(first) is type(other) and first == other for other in others])


def either(*values: "Any") -> "Any":
    """The first value that is not empty, else the last."""
    for value in values:
        if truth(value):
            return value
    return values[-1]


def every(*values: "Any") -> "Any":
    """The first value that is empty, else the last."""
    for value in values:
        if not truth(value):
            return value
    return values[-1]


def join(items: "Any", separator: str) -> str:
    if isinstance(items, str) or not items:
        return items or ""
    return separator.join([go_text(item) for item in items])


def json(value: "Any") -> str:
    return jsontext.dumps(None if value is NO_VALUE else value)


def printing(*values: "Any") -> str:
    """Go puts a blank between operands when neither is a string."""
    text = ""
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            text += " "
        text += go_text(value)
    return text


def printing_line(*values: "Any") -> str:
    return " ".join([go_text(value) for value in values]) + "\n"


def formatting(pattern: str, *values: "Any") -> str:
    """printf with the verbs s v d q t x f and flags, width and precision."""
    rest, text = list(values), ""
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter != "%":
            text += letter
            continue
        start = at
        while at < len(pattern) and pattern[at] in "-+# 0123456789.":
            at += 1
        verb, flags = pattern[at : at + 1], pattern[start:at]
        at += 1
        text += "%" if verb == "%" else one_verb(verb, flags, rest)
    return text + (f"%!(EXTRA {', '.join(map(go_text, rest))})" if rest else "")


def one_verb(verb: str, flags: str, rest: "list[Any]") -> str:
    if not rest:
        return f"%!{verb}(MISSING)"
    value = rest.pop(0)
    if verb in ("d", "x", "X", "o", "c", "f", "e", "g") and isinstance(value, (int, float)):
        return f"%{flags}{verb}" % value
    if verb == "x" and isinstance(value, str):
        return value.encode().hex()
    if verb == "q":
        return f"%{flags}s" % jsontext.dumps(go_text(value))
    return f"%{flags}s" % go_text(value)


def cut(value: "Any", *bounds: int) -> "Any":
    """slice: from the first bound to the second."""
    return value[bounds[0] if bounds else 0 : bounds[1] if len(bounds) > 1 else len(value)]


FUNCTIONS: "dict[str, Any]" = {
    "and": every,
    "eq": equal,
    "ge": compare(0, 1),
    "gt": compare(1, 1),
    "index": index,
    "join": join,
    "json": json,
    "le": compare(-1, 0),
    "len": len,
    "lower": lambda text: go_text(text).lower(),
    "lt": compare(-1, -1),
    "ne": lambda first, second: not equal(first, second),
    "not": lambda value: not truth(value),
    "or": either,
    "pad": lambda text, before, after: " " * before + text + " " * after if text else "",
    "print": printing,
    "printf": formatting,
    "println": printing_line,
    "slice": cut,
    "split": lambda text, separator: text.split(separator) if separator else list(text),
    "title": lambda text: text.title(),
    "truncate": lambda text, length: text[:length],
    "upper": lambda text: go_text(text).upper(),
}
KNOWN = "Functions: " + ", ".join(FUNCTIONS)
