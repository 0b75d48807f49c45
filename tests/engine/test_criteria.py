"""--filter of images and of volumes: the same words mean the same of both."""

import pytest

from pyctr.engine import imagefilters, volumefilters
from pyctr.engine import volumes as engine_volumes
from pyctr.rootless.errors import PyctrError
from pyctr.storage import images, volumes
from pyctr.storage.paths import Store
from tests.engine.images import make_image

LABELS = {"a": {"x": "1"}, "b": {"y": "1"}, "c": {"x": "1", "y": "2"}, "d": {}}
CASES = {
    "label=x": "ac",
    "label=x label=y": "c",
    "label=x=2": "",
    "label!=x": "bd",
    "label!=x label!=y": "d",
    "label!=y=1 label=x": "ac",
    "label!=y label=x": "a",
}


@pytest.mark.parametrize("words", CASES)
def test_of_labels_all_must_hold(place: Store, words: str) -> None:
    """podman-volume-ls(1): values of one key are alternatives, but for labels."""
    rows = []
    for name, labels in LABELS.items():
        volumes.create(place, name, labels=labels)
        rows.append(images.Listed(name, (), make_image({"Labels": labels})))
    filters = tuple(words.split())
    found = volumefilters.select(place, engine_volumes.list_volumes(place), filters)
    assert "".join([row.name for row in found]) == CASES[words]
    assert "".join([row.id for row in imagefilters.select(place, rows, filters)]) == CASES[words]


def test_values_of_another_key_are_alternatives(place: Store) -> None:
    rows = [images.Listed(name, (), make_image()) for name in LABELS]
    assert [row.id for row in imagefilters.select(place, rows, ("id=a", "id=b"))] == ["a", "b"]
    assert [row.id for row in imagefilters.select(place, rows, ("id!=a",))] == ["b", "c", "d"]


@pytest.mark.parametrize("text", ["x=1", "label", "driver!=local", "dangling=x"])
def test_other_words_are_refused(place: Store, text: str) -> None:
    with pytest.raises(PyctrError):
        volumefilters.select(place, [], (text,))
