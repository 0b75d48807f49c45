"""Finding containers by what a user types."""

import os
import pathlib

import pytest

from pyctr.engine import containers
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import PyctrError
from pyctr.storage import paths, records
from pyctr.storage.paths import Store
from tests import samples

ONE, TWO, OTHER = samples.identifier(0xAB1), samples.identifier(0xAB2), samples.identifier(0xC)


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    found = Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))
    samples.make(found, ONE, "web", created=1)
    samples.make(found, TWO, "c", created=3)
    samples.make(found, OTHER, "db", created=2)
    return found


@pytest.mark.parametrize(
    "word, found",
    [("web", ONE), (ONE, ONE), ("ab1", ONE), ("ab2", TWO), ("c", TWO), ("c0", OTHER), ("db", OTHER)],
    ids=["name", "whole id", "prefix", "other prefix", "name before prefix", "prefix of one", "name of one"],
)
def test_a_container_is_found(store: Store, word: str, found: str) -> None:
    assert containers.find(store, word) == found


@pytest.mark.parametrize("word", ["nope", "", ".", "..", "../web", "a\0b", "x" * 300, "0" * 64])
def test_what_does_not_exist_is_told_in_podmans_words(store: Store, word: str) -> None:
    with pytest.raises(NoSuchContainer) as caught:
        containers.find(store, word)
    assert caught.value.message == f'no container with name or ID "{word}" found: no such container'


def test_an_ambiguous_prefix_names_the_candidates(store: Store) -> None:
    with pytest.raises(PyctrError, match=f"{ONE}, {TWO}"):
        containers.find(store, "ab")


def test_the_name_of_a_container_that_is_gone_means_nothing(store: Store) -> None:
    records.write_text(store.container_name("ghost"), samples.identifier(0xDEAD), durable=False)
    with pytest.raises(NoSuchContainer):
        containers.find(store, "ghost")


def test_half_made_containers_are_not_found(store: Store) -> None:
    os.rename(store.container(ONE), f"{store.containers()}/{paths.TEMPORARY}{ONE}")
    with pytest.raises(NoSuchContainer):
        containers.find(store, "ab1")
    assert sorted(containers.all_ids(store)) == [TWO, OTHER]


def test_the_latest_is_the_one_made_last(store: Store) -> None:
    assert containers.latest(store) == TWO


def test_there_is_no_latest_in_an_empty_store(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PyctrError, match="no containers found"):
        containers.latest(Store(root=str(tmp_path / "none"), runroot=str(tmp_path)))


def test_a_broken_container_is_found_by_name_and_id(store: Store) -> None:
    pathlib.Path(store.container(ONE), paths.SPEC).write_text("{")
    assert containers.find(store, "web") == containers.find(store, "ab1") == ONE
    assert containers.latest(store) == TWO
