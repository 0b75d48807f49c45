"""The cache of what layers became: it may be wrong in any way but in what it says."""

import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from pyctr.storage import blobs, variants
from pyctr.storage.paths import Store
from pyctr.storage.variants import Variant

MADE = f"sha256:{'1' * 64}"


def test_what_was_made_is_found_again(own_store: Store) -> None:
    digest = blobs.put_blob(own_store, b"layer")
    assert variants.find(own_store, digest, "gzip") is None
    variants.remember(own_store, digest, "gzip", MADE, 7)
    assert variants.find(own_store, digest, "gzip") == Variant(1, MADE, 7)
    assert variants.find(own_store, digest, "gzip-9") is None


def test_entries_of_layers_that_are_gone_are_dropped(own_store: Store) -> None:
    first, second = [blobs.put_blob(own_store, data) for data in (b"one", b"two")]
    variants.remember(own_store, first, "gzip", MADE, 7)
    os.unlink(own_store.blob(first))
    variants.remember(own_store, second, "zstd-9", MADE, 7)
    assert os.listdir(own_store.variants()) == [f"{second.partition(':')[2]}.zstd-9"]


def test_threads_do_not_hinder_each_other(own_store: Store) -> None:
    digests = [blobs.put_blob(own_store, str(number).encode()) for number in range(8)]

    def write(digest: str) -> None:
        for number in range(30):
            variants.remember(own_store, digest, "gzip", MADE, number)
            variants.remember_holder(own_store, digest, f"example.com/{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, digests))
    for digest in digests:
        assert variants.find(own_store, digest, "gzip") == Variant(1, MADE, 29)
        assert variants.holders(own_store, digest)[0] == "example.com/29"


def test_the_last_holders_are_kept(own_store: Store) -> None:
    digest = blobs.put_blob(own_store, b"layer")
    assert variants.holders(own_store, digest) == ()
    for number in (*range(20), 15):
        variants.remember_holder(own_store, digest, f"example.com/{number}")
    assert variants.holders(own_store, digest)[:2] == ("example.com/15", "example.com/19")
    assert len(variants.holders(own_store, digest)) == 8


def test_what_is_not_here_is_not_kept_without_end(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "_LAST", 5)
    for number in range(20):
        variants.remember_holder(own_store, f"sha256:{number:064x}", "example.com/x")
    assert len(os.listdir(own_store.variants())) <= 6


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "digest": 7}'])
def test_a_broken_entry_is_none(own_store: Store, text: str) -> None:
    digest = blobs.put_blob(own_store, b"layer")
    variants.remember(own_store, digest, "gzip", MADE, 7)
    path = pathlib.Path(own_store.variants(), f"{digest.partition(':')[2]}.gzip")
    path.write_text(text)
    assert variants.find(own_store, digest, "gzip") is None


def test_a_cache_that_cannot_be_written_is_no_error(own_store: Store) -> None:
    digest = blobs.put_blob(own_store, b"layer")
    pathlib.Path(own_store.cache()).write_text("in the way")
    variants.remember(own_store, digest, "gzip", MADE, 7)
    assert variants.find(own_store, digest, "gzip") is None
