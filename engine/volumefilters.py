"""The filters of lists of volumes: podman-volume-ls(1) and podman-volume-prune(1), --filter.

Values of one key are alternatives, of `label` all must hold; different keys must all hold. A volume whose
record cannot be read passes `name` and `dangling` only.
"""

from pyctr.engine import filters as container_filters
from pyctr.engine import timestamps
from pyctr.engine import volumes as engine
from pyctr.engine.imagefilters import truth
from pyctr.engine.volumes import Listed
from pyctr.rootless.errors import PyctrError
from pyctr.storage import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.storage.paths import Store
    from pyctr.storage.volumes import Volume

    Test = Callable[[Listed], bool]
    Maker = Callable[["Store", str], Test]


def select(
    store: "Store", found: list[Listed], filters: "tuple[str, ...]", known: "frozenset[str]" = frozenset()
) -> list[Listed]:
    """Those that pass all filters, each `key=value`. PyctrError for an unknown key or a wrong value."""
    alternatives: dict[str, list[Test]] = {}
    for text in filters:
        key, test = parse(store, text, known or frozenset(MAKERS))
        alternatives.setdefault(text if key.startswith("label") else key, []).append(test)
    return [row for row in found if all([any([t(row) for t in tests]) for tests in alternatives.values()])]


def parse(store: "Store", text: str, known: "frozenset[str]") -> "tuple[str, Test]":
    """The key and the test of one filter."""
    key, equals, value = text.partition("=")
    negated = key.endswith("!")
    name = key.rstrip("!").lower()
    if name not in known or (negated and name != "label"):
        raise PyctrError(f"{key} is an invalid volume filter", f"Supported are {', '.join(sorted(known))}.")
    if not equals:
        raise PyctrError(f'invalid filter "{text}": it has no value', f"Write it as {name}=VALUE.")
    test = MAKERS[name](store, value)
    return name, (lambda row: not test(row)) if negated else test


def wants_named(filters: "tuple[str, ...]") -> bool:
    """Whether the filters of a prune speak of volumes with a name too: all=true, anonymous=..."""
    for text in filters:
        key, _, value = text.partition("=")
        if key == "anonymous" or (key == "all" and truth(key, value)):
            return True
    return False


def of_volume(test: "Callable[[Volume], bool]") -> "Test":
    """A test of what the record says."""
    return lambda row: row.volume is not None and test(row.volume)


def by_all(_store: "Store", value: str) -> "Test":
    truth("all", value)
    return lambda _row: True


def by_anonymous(_store: "Store", value: str) -> "Test":
    wanted = truth("anonymous", value)
    return of_volume(lambda volume: volume.anonymous == wanted)


def by_dangling(store: "Store", value: str) -> "Test":
    wanted = truth("dangling", value)
    return lambda row: (not volumes.users(store, row.name)) == wanted


def by_driver(_store: "Store", value: str) -> "Test":
    return of_volume(lambda volume: volume.driver == value)


def by_label(_store: "Store", value: str) -> "Test":
    key, equals, wanted = value.partition("=")
    return of_volume(lambda volume: key in volume.labels and (not equals or volume.labels[key] == wanted))


def by_name(_store: "Store", value: str) -> "Test":
    matches = container_filters.matcher(value)
    return lambda row: matches(row.name)


def by_option(_store: "Store", value: str) -> "Test":
    key, equals, wanted = value.partition("=")
    return of_volume(lambda volume: key in volume.options and (not equals or volume.options[key] == wanted))


def by_scope(_store: "Store", value: str) -> "Test":
    return lambda _row: value == "local"


def by_age(_store: "Store", value: str) -> "Test":
    border = timestamps.parse(value, "--filter until")
    return of_volume(lambda volume: volume.created < border)


def since(store: "Store", value: str) -> "Test":
    border = volumes.read(store, engine.find(store, value)).created
    return of_volume(lambda volume: volume.created > border)


MAKERS: "dict[str, Maker]" = {
    "after": since,
    "anonymous": by_anonymous,
    "dangling": by_dangling,
    "driver": by_driver,
    "label": by_label,
    "name": by_name,
    "opt": by_option,
    "scope": by_scope,
    "since": since,
    "until": by_age,
    "all": by_all,
}
PRUNE = frozenset(("after", "all", "anonymous", "label", "since", "until"))
LIST = frozenset(MAKERS) - {"all"}
