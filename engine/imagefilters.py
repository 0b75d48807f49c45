"""The filters of lists of images: podman-images(1), --filter.

Broken images pass none but `reference` and `id`. Every key may be negated: `key!=value`.
"""

from pyctr.engine import images as names
from pyctr.engine import timestamps
from pyctr.engine.criteria import Criteria, truth
from pyctr.image import lookup, reference
from pyctr.rootless.errors import PyctrError
from pyctr.storage import sweep
from pyctr.storage.images import Listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyctr.storage.images import Image
    from pyctr.storage.paths import Store

    Test = Callable[[Listed], bool]
    Maker = Callable[["Store", str], Test]


def created(image: "Image") -> int:
    """When an image was made, in nanoseconds since 1970; 0 when its config does not say."""
    try:
        return timestamps.parse(image.created, "created") if image.created else 0
    except PyctrError:
        return 0


def labels(image: "Image") -> "dict[str, Any]":
    """The labels of an image."""
    found = image.config.get("Labels")
    return found if type(found) is dict else {}


def matches(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern with `*` and `?`: the whole one or its end, with or without the tag."""
    import fnmatch

    repository, tag = names.split_name(name)
    parts = repository.split("/")
    for start in range(len(parts)):
        ending = "/".join(parts[start:])
        for text in (ending, f"{ending}:{tag}", name):
            if fnmatch.fnmatchcase(text, pattern):
                return True
    return False


def by_reference(_store: "Store", value: str) -> "Test":
    wanted = value
    if not set(value) & set("*?["):
        parsed = reference.parse(value)
        wanted = str(parsed) if parsed.tag or parsed.digest else parsed.repository
    return lambda row: any([matches(wanted, name) for name in row.names])


def by_id(_store: "Store", value: str) -> "Test":
    return lambda row: row.id.startswith(value.removeprefix("sha256:"))


def by_digest(_store: "Store", value: str) -> "Test":
    return lambda row: row.image is not None and row.image.manifest_digest.startswith(value)


def by_label(_store: "Store", value: str) -> "Test":
    key, equals, wanted = value.partition("=")

    def test(row: Listed) -> bool:
        found = labels(row.image) if row.image else {}
        return key in found and (not equals or found[key] == wanted)

    return test


def by_dangling(_store: "Store", value: str) -> "Test":
    wanted = truth("dangling", value)
    return lambda row: row.image is not None and (not row.names) == wanted


def by_containers(store: "Store", value: str) -> "Test":
    wanted = truth("containers", value)
    return lambda row: bool(sweep.users_of(store, row.id)) == wanted


def by_kind(_store: "Store", value: str) -> "Test":
    wanted = truth("manifest", value)
    return lambda row: row.is_list == wanted


def never(key: str) -> "Maker":
    """A property that no image here has: intermediate layers, read-only stores."""

    def make(_store: "Store", value: str) -> "Test":
        wanted = truth(key, value)
        return lambda _row: not wanted

    return make


def by_creation(*, earlier: bool) -> "Maker":
    def make(store: "Store", value: str) -> "Test":
        border = created(lookup.lookup(store, value))
        if earlier:
            return lambda row: row.image is not None and created(row.image) < border
        return lambda row: row.image is not None and created(row.image) > border

    return make


def by_age(_store: "Store", value: str) -> "Test":
    border = timestamps.parse(value, "--filter until")
    return lambda row: row.image is not None and created(row.image) < border


MAKERS: "dict[str, Maker]" = {
    "after": by_creation(earlier=False),
    "before": by_creation(earlier=True),
    "containers": by_containers,
    "dangling": by_dangling,
    "digest": by_digest,
    "id": by_id,
    "intermediate": never("intermediate"),
    "label": by_label,
    "manifest": by_kind,
    "readonly": never("readonly"),
    "reference": by_reference,
    "since": by_creation(earlier=False),
    "until": by_age,
}
select = Criteria(MAKERS, frozenset(MAKERS)).select
PRUNE = frozenset(("label", "until"))
