"""Which storage driver works here, remembered until the next boot. On the path of `run`.

The answer is for one root folder, one list of candidates and their options: a file under the runtime folder,
which may vanish at any time.
"""

import os

from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers, records
from pyctr.storage.paths import Store

CACHE = "storage-driver.json"
_BOOT = "/proc/sys/kernel/random/boot_id"
_known: "dict[tuple[Store, tuple[str, ...]], str]" = {}  # what this process has found


def first_working(store: Store, candidates: tuple[str, ...]) -> str:
    """The first driver that works in the folder of the store. PyctrError with the reasons when none does."""
    if (store, candidates) not in _known:
        _known[store, candidates] = _remembered(store, candidates)
    return _known[store, candidates]


def _remembered(store: Store, candidates: tuple[str, ...]) -> str:
    key = [_boot(), store.root, list(candidates), list(store.options)]
    path = f"{store.runroot}/{CACHE}"
    try:
        kept = records.read_json(path)
        if kept["key"] == key and _is_still_best(kept["driver"], kept["at_hand"], store, candidates):
            return str(kept["driver"])
    except (OSError, PyctrError, TypeError, KeyError):
        pass
    from pyctr.storage import trial

    driver = trial.find(store, candidates)
    _keep(path, jsontext.dumps({"key": key, "driver": driver, "at_hand": _at_hand(store, candidates)}))
    return driver


def _is_still_best(driver: str, at_hand: "list[str]", store: Store, candidates: tuple[str, ...]) -> bool:
    """Whether an earlier answer holds: a program may have been installed since, or removed."""
    return driver == candidates[0] or (driver in candidates and at_hand == _at_hand(store, candidates))


def _at_hand(store: Store, candidates: tuple[str, ...]) -> "list[str]":
    """The drivers that lack nothing that can be seen without trying."""
    found = []
    for name in candidates:
        try:
            drivers.by_name(name).check(drivers.options_of(name, store.options))
        except PyctrError:
            continue
        found.append(name)
    return found


def _boot() -> str:
    try:
        return records.read_text(_BOOT).strip()
    except OSError:
        return ""


def _keep(path: str, text: str) -> None:
    try:
        records.make_folder(os.path.dirname(path))
        records.write_text(path, text + "\n", durable=False)
    except OSError:
        pass  # it is found out again
