"""Finding local images by names, digests and ids."""

import pytest

from pyctr.image import lookup
from pyctr.image.lookup import NoSuchImage
from pyctr.rootless.errors import PyctrError
from pyctr.storage import images
from pyctr.storage.images import Image
from pyctr.storage.paths import Store

INDEX = "sha256:" + "e" * 64


def put(store: Store, start: str, *names: str) -> Image:
    """A record alone: an id and manifest digest that begin alike."""
    image_id = start.ljust(64, "0")
    image = Image(1, image_id, f"sha256:{start.ljust(64, '1')}", "", "", "amd64", "linux", 1, (), {})
    with images.making(store):
        images.put_image(store, image)
        for name in names:
            images.add_name(store, name, image_id, INDEX)
    return image


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "localhost/busybox:latest"),
        ("busybox:latest", "localhost/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("docker.io/busybox:1", "docker.io/library/busybox:1"),
        ("library/busybox:1", "docker.io/library/busybox:1"),
        ("only", "quay.io/some/only:latest"),
        ("some/only", "quay.io/some/only:latest"),
        ("quay.io/some/only", "quay.io/some/only:latest"),
        (f"quay.io/some/only@{INDEX}", "quay.io/some/only:latest"),
        (f"quay.io/some/only@sha256:{'b' * 2 + '1' * 62}", "quay.io/some/only:latest"),
        (f"quay.io/some/only:other@{INDEX}", "quay.io/some/only:latest"),
        ("bb", ""),
        ("sha256:bb", ""),
        ("b" * 2 + "0" * 62, ""),
        ("sha256:" + "b" * 2 + "0" * 62, ""),
    ],
)
def test_a_name_leads_to_its_image(own_store: Store, name: str, full: str) -> None:
    put(own_store, "aa", "localhost/busybox:latest", "docker.io/library/busybox:1")
    put(own_store, "bb", "quay.io/some/only:latest")
    found = lookup.find(own_store, name)
    assert found.name == full
    assert found.image.id.startswith("aa" if "busybox" in full else "bb")


@pytest.mark.parametrize(
    "name",
    [
        "absent",
        "busybox:2",
        "quay.io/busybox",
        "cc",
        "sha256:cc",
        "f" * 64,
        f"busybox@sha256:{'f' * 64}",
        "nly",
    ],
)
def test_what_is_not_there_is_not_known(own_store: Store, name: str) -> None:
    put(own_store, "aa", "localhost/busybox:latest", "quay.io/some/only:latest")
    with pytest.raises(NoSuchImage) as caught:
        lookup.lookup(own_store, name)
    assert caught.value.message == f"{name}: image not known"
    assert not lookup.exists(own_store, name)


def test_an_empty_store_knows_nothing(own_store: Store) -> None:
    assert not lookup.exists(own_store, "busybox")


def test_a_name_goes_before_an_id(own_store: Store) -> None:
    put(own_store, "abc")
    put(own_store, "def", "localhost/abc:latest")
    assert lookup.lookup(own_store, "abc").id.startswith("def")


def test_an_ambiguous_id_is_refused(own_store: Store) -> None:
    put(own_store, "ab1")
    put(own_store, "ab2")
    with pytest.raises(PyctrError, match="ambiguous"):
        lookup.lookup(own_store, "ab")


def test_an_ambiguous_ending_is_refused_with_the_names(own_store: Store) -> None:
    put(own_store, "a", "quay.io/x:latest")
    put(own_store, "b", "ghcr.io/x:latest")
    with pytest.raises(PyctrError, match="ghcr.io/x:latest, quay.io/x:latest"):
        lookup.lookup(own_store, "x")


def test_a_wrong_name_is_refused_as_such(own_store: Store) -> None:
    with pytest.raises(PyctrError, match="lower case"):
        lookup.lookup(own_store, "Busybox")


def test_a_broken_name_of_another_image_does_not_matter(own_store: Store) -> None:
    put(own_store, "aa", "quay.io/some/broken:latest")
    put(own_store, "bb", "quay.io/some/whole:latest")
    with open(own_store.image_name("quay.io/some/broken:latest"), "w") as file:
        file.write("{")
    for name in (f"quay.io/some/whole@{INDEX}", INDEX):
        assert lookup.lookup(own_store, name).id.startswith("bb")
    with pytest.raises(NoSuchImage):
        lookup.lookup(own_store, f"docker.io/other@{INDEX}")
