"""What configuration files say, kept parsed: `tomllib` and its `re` would take 10 ms of each command.

A cache is a JSON file that holds the parsed value with the stamps of the files that it came from. It may be
deleted at any time.
"""

import os

from pyctr.rootless import jsontext
from pyctr.rootless.errors import BrokenRecord, PyctrError
from pyctr.storage import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from pyctr.rootless.values import Value

    V = TypeVar("V", bound=Value)


def load(
    files: "Sequence[str]",
    cache: str,
    kind: "type[V]",
    version: int,
    parse: "Callable[[list[str]], V]",
) -> "V | None":
    """The value of `kind` that `parse` makes of those of the files that exist; None when there are none.

    `version` changes with the fields of `kind`. Raises what `parse` raises.
    """
    stamped = [(path, stamp) for path in files if (stamp := _stamp(path))]
    if not stamped:
        return None
    key = jsontext.dumps([version, stamped])
    try:
        kept = records.read_json(cache)
        if kept["key"] == key:
            return kind.from_json(kept["value"])
    except (OSError, PyctrError, TypeError, KeyError, ValueError):
        pass
    value = parse([path for path, _ in stamped])
    _keep(cache, {"key": key, "value": value.to_json()})
    return value


def _keep(path: str, content: "dict[str, Any]") -> None:
    try:
        records.make_folder(os.path.dirname(path))
        records.write_text(path, jsontext.dumps(content) + "\n", durable=False)
    except OSError:
        pass  # a cache


def _stamp(path: str) -> str:
    """What changes when a file does; empty when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}:{status.st_mtime_ns}:{status.st_size}"


def read_toml(path: str, manual: str) -> "dict[str, Any]":
    """The tables of a TOML file; none when it is gone. PyctrError names the file and its manual page."""
    import tomllib

    try:
        return tomllib.loads(records.read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, BrokenRecord) as error:
        raise PyctrError(
            f"cannot read {path}: {error}", f"Repair the file; {manual} describes it."
        ) from None
