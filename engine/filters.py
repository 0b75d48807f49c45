"""The filters of lists of containers: podman-ps(1), --filter.

Values of one key are alternatives, of `label` all must hold; different keys must all hold.
"""

from pyctr.engine import containers
from pyctr.engine.listing import BROKEN, Listed
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.storage.paths import Store

    Test = Callable[[Listed], bool]
    Maker = Callable[["Store", str], Test]

STATUSES = frozenset(
    (
        "created",
        "initialized",
        "running",
        "stopped",
        "exited",
        "stopping",
        "paused",
        "removing",
        "unknown",
        BROKEN,
    )
)
KNOWN_TO_PODMAN = frozenset(("health", "pod", "restart-policy", "should-start-on-boot"))


def select(
    store: "Store", found: list[Listed], filters: "tuple[str, ...]", known: "frozenset[str]" = frozenset()
) -> list[Listed]:
    """Those that pass all filters, each `key=value`. PyctrError for an unknown key or a wrong value.

    `known` names the keys that the command has; empty is all of them.
    """
    alternatives: dict[str, list[Test]] = {}
    for text in filters:
        key, test = parse(store, text, known)
        group = text if key.startswith("label") else key
        alternatives.setdefault(group, []).append(test)
    return [
        each for each in found if all([any([t(each) for t in tests]) for tests in alternatives.values()])
    ]


def parse(store: "Store", text: str, known: "frozenset[str]") -> "tuple[str, Test]":
    """The key and the test of one filter."""
    key, equals, value = text.partition("=")
    negated = key.endswith("!")
    name = key.rstrip("!").lower()
    if name in KNOWN_TO_PODMAN:
        raise PyctrError(f"the filter {name} is not supported yet", f"Supported are {supported(known)}.")
    if name not in MAKERS or (known and name not in known) or (negated and name != "label"):
        raise PyctrError(f"{key} is an invalid filter", f"Supported are {supported(known)}.")
    if not equals:
        raise PyctrError(f'invalid filter "{text}": it has no value', f"Write it as {name}=VALUE.")
    test = MAKERS[name](store, value)
    return name, (lambda each: not test(each)) if negated else test


def supported(known: "frozenset[str]") -> str:
    return ", ".join(sorted(known or MAKERS))


def matcher(pattern: str) -> "Callable[[str], bool]":
    """Whether a text contains what a regular expression describes; plain words need no `re`."""
    if pattern.replace("-", "").replace("_", "").isalnum():
        return lambda text: pattern in text
    import re

    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise PyctrError(f"the filter value {pattern!r} is no regular expression: {error}") from None
    return lambda text: expression.search(text) is not None


def by_id(_store: "Store", value: str) -> "Test":
    if all([letter in "0123456789abcdef" for letter in value]):
        return lambda each: each.id.startswith(value)
    matches = matcher(value)
    return lambda each: matches(each.id)


def by_name(_store: "Store", value: str) -> "Test":
    matches = matcher(value)
    return lambda each: matches(each.summary.name)


def by_label(_store: "Store", value: str) -> "Test":
    key, equals, wanted = value.partition("=")
    if not equals:
        return lambda each: key in each.summary.labels
    return lambda each: each.summary.labels.get(key) == wanted


def by_status(_store: "Store", value: str) -> "Test":
    if value not in STATUSES:
        raise PyctrError(f"unknown container state: {value}", f"Known are {', '.join(sorted(STATUSES))}.")
    wanted = "exited" if value == "stopped" else value
    return lambda each: each.status == wanted


def by_exit_code(_store: "Store", value: str) -> "Test":
    if not value.isdigit():
        raise PyctrError(f"the filter exited needs a number, not {value!r}")
    return lambda each: each.status == "exited" and each.state.exit_code == int(value)


def by_ancestor(_store: "Store", value: str) -> "Test":
    matches = matcher(value)

    def test(each: Listed) -> bool:
        image, name = each.summary.image, each.summary.image_name
        return bool(image) and (image.startswith(value.removeprefix("sha256:")) or matches(name))

    return test


def by_creation(*, earlier: bool) -> "Maker":
    def make(store: "Store", value: str) -> "Test":
        border = containers.birth(store, containers.find(store, value))
        if earlier:
            return lambda each: each.summary.created < border
        return lambda each: each.summary.created > border

    return make


def by_age(_store: "Store", value: str) -> "Test":
    from pyctr.engine import timestamps

    border = timestamps.parse(value, "--filter until")
    return lambda each: each.summary.created < border


def by_volume(_store: "Store", value: str) -> "Test":
    return lambda each: any([value in (mount.source, mount.target) for mount in each.summary.mounts])


def by_network(_store: "Store", value: str) -> "Test":
    return lambda each: each.summary.network.driver == value


def by_command(_store: "Store", value: str) -> "Test":
    matches = matcher(value)
    return lambda each: matches((*each.summary.entrypoint, *each.summary.command, "")[0])


MAKERS: "dict[str, Maker]" = {
    "ancestor": by_ancestor,
    "before": by_creation(earlier=True),
    "command": by_command,
    "exited": by_exit_code,
    "id": by_id,
    "label": by_label,
    "name": by_name,
    "network": by_network,
    "since": by_creation(earlier=False),
    "status": by_status,
    "until": by_age,
    "volume": by_volume,
}
PRUNE = frozenset(("label", "until"))
