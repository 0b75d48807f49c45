"""The filters of lists of volumes: podman-volume-ls(1) and podman-volume-prune(1), --filter.

A volume whose record cannot be read passes `name` and `dangling` only.
"""

from pyctr.engine import filters as container_filters
from pyctr.engine import timestamps
from pyctr.engine import volumes as engine
from pyctr.engine.criteria import Criteria, truth
from pyctr.engine.volumes import Listed
from pyctr.storage import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.storage.paths import Store
    from pyctr.storage.volumes import Volume

    Test = Callable[[Listed], bool]
    Maker = Callable[["Store", str], Test]


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
select = Criteria(MAKERS, frozenset(("label",)), "volume filter").select
PRUNE = frozenset(("after", "all", "anonymous", "label", "since", "until"))
LIST = frozenset(MAKERS) - {"all"}
