"""Names of containers."""

import concurrent.futures
import os
import pathlib

import pytest

from pyctr.engine import names
from pyctr.rootless.errors import InUse, PyctrError
from pyctr.storage import records
from pyctr.storage.paths import Store

ONE, TWO = "1" * 64, "2" * 64


def make_container(place: Store, container_id: str) -> None:
    os.makedirs(place.container(container_id))


@pytest.mark.parametrize("name", ["a", "web-1", "A.b_c", "0", "x" * 250])
def test_names_of_podman_are_accepted(name: str) -> None:
    assert names.check(name, "container") == name


@pytest.mark.parametrize(
    "name", ["", "-a", ".a", "_a", "a/b", "a b", "ä", "a\n", "..", "x" * 251, "a:b", "a\0"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(PyctrError, match="invalid container name"):
        names.check(name, "container")


def test_random_names_have_two_words_and_are_many() -> None:
    drawn = {names.random_name() for _ in range(100)}
    assert len(drawn) > 90
    assert all(names.check(name, "container").count("_") == 1 for name in drawn)


def test_a_name_belongs_to_one_container(place: Store) -> None:
    make_container(place, ONE)
    names.claim(place, "web", ONE)
    assert names.owner_of(place, "web") == ONE
    with pytest.raises(InUse, match=f"the container name 'web' is already in use by {ONE}"):
        names.claim(place, "web", TWO)
    assert os.listdir(place.container_names()) == ["web"]


def test_a_claim_of_a_container_that_is_gone_is_taken_over(place: Store) -> None:
    names.claim(place, "web", ONE)
    names.claim(place, "web", TWO)
    assert names.owner_of(place, "web") == TWO


def test_a_claim_of_a_container_that_is_being_built_holds(place: Store) -> None:
    draft = f"{place.containers()}/tmp.{ONE}"
    os.makedirs(draft)
    with records.lock(draft):
        names.claim(place, "web", ONE)
        with pytest.raises(InUse):
            names.claim(place, "web", TWO)
    names.claim(place, "web", TWO)
    assert names.owner_of(place, "web") == TWO


@pytest.mark.parametrize("content", ["", "..", "a/b", "x" * 300])
def test_a_claim_without_an_id_blocks_nobody(place: Store, content: str) -> None:
    os.makedirs(place.container_names())
    pathlib.Path(place.container_name("web")).write_text(content)
    names.claim(place, "web", ONE)
    assert names.owner_of(place, "web") == ONE


def test_only_the_owner_gives_a_name_back(place: Store) -> None:
    names.release(place, "web", ONE)
    make_container(place, ONE)
    names.claim(place, "web", ONE)
    names.release(place, "web", TWO)
    assert names.owner_of(place, "web") == ONE
    names.release(place, "web", ONE)
    assert names.owner_of(place, "web") is None


def test_one_of_many_gets_a_stale_name(place: Store) -> None:
    names.claim(place, "web", "0" * 64)
    ids = [f"{number:064x}" for number in range(1, 17)]
    for each in ids:
        make_container(place, each)
    with concurrent.futures.ProcessPoolExecutor(4) as pool:
        won = [
            each for each, got in zip(ids, pool.map(try_claim, [place] * len(ids), ids), strict=True) if got
        ]
    assert won == [names.owner_of(place, "web")]


def try_claim(place: Store, container_id: str) -> bool:
    try:
        names.claim(place, "web", container_id)
    except InUse:
        return False
    return True


def test_random_claims_differ(place: Store) -> None:
    ids = [f"{number:064x}" for number in range(50)]
    for each in ids:
        make_container(place, each)
    assert len({names.claim_random(place, each) for each in ids}) == len(ids)
