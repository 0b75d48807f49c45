"""JSON text for our own records, on the C parts of `json` alone.

`import json` loads `re` and `enum` (5 to 9 ms of every call's start-up); its scanner and encoder in `_json`
do not. Where an interpreter lacks `_json`, the library is used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring, make_encoder, make_scanner
except ImportError:  # pragma: no cover - CPython always has it
    make_scanner = None  # type: ignore[assignment, misc]


class _Context:
    """What `make_scanner` reads its settings from."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}


def _not_plain(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no JSON form")


_BLANK = " \t\r\n"


def loads(text: str) -> "Any":
    """The value of a JSON text. Raises ValueError when it is not one."""
    if make_scanner is None:
        return _library_loads(text)
    text = text.strip(_BLANK)
    try:
        value, end = make_scanner(_Context)(text, 0)  # type: ignore[arg-type]
    except (StopIteration, SystemError, RecursionError):
        end = -1  # the scanner takes its error class from json.decoder, which is not loaded: SystemError
    if end != len(text):
        return _library_loads(text)
    return value


def _library_loads(text: str) -> "Any":
    import json

    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None


def dumps(value: object) -> str:
    """One line of JSON for plain dicts, lists, strings and numbers."""
    if make_scanner is None:
        import json

        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    encoder = make_encoder(None, _not_plain, encode_basestring, None, ":", ",", False, False, False)
    return "".join(encoder(value, 0))
