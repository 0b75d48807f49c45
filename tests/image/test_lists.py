"""Records of manifest lists: their ids, their names, those of an older pyctr."""

import os
import pathlib

import pytest

from pyctr.engine import images as engine
from pyctr.image import lookup, manifestlist
from pyctr.rootless.errors import PyctrError
from pyctr.storage import images, manifestlists
from pyctr.storage.paths import Store


def test_a_list_of_the_first_version_gets_its_name(own_store: Store) -> None:
    old = '{"version": 1, "id": "%s", "name": "localhost/old:1", "entries": [], "annotations": {"a": "b"}}'
    os.makedirs(own_store.manifest_lists())
    path = pathlib.Path(own_store.manifest_lists(), "localhost%2Fold:1")
    path.write_text(old % ("ab" * 32))
    broken = path.with_name("localhost%2Fbroken:1")
    broken.write_text("{")
    assert manifestlist.find(own_store, "localhost/old:1").annotations == {"a": "b"}
    assert not path.exists() and broken.exists()
    assert sorted(manifestlists.ids(own_store)) == ["ab" * 32, broken.name]
    assert [row.error != "" for row in engine.everything(own_store)] == [False, True]
    engine.remove_list(own_store, broken.name)
    assert manifestlists.ids(own_store) == ["ab" * 32]


def test_an_id_may_be_that_of_a_list_or_an_image(own_store: Store) -> None:
    made = manifestlist.create(own_store, "one")
    assert lookup.meant(own_store, made.id[:20]) == lookup.Meant(made.id, is_list=True)
    with images.making(own_store):
        record = engine.everything(own_store)[0].image
        assert record
        images.put_image(own_store, record.replace(id=made.id[:63] + "z"))
    with pytest.raises(PyctrError, match="ambiguous: it fits 2"):
        lookup.meant(own_store, made.id[:20])
