"""Images and the containers made from them; pulls that are killed or run side by side."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from pyctr.engine import images as engine
from pyctr.image import lookup, manifestlist
from pyctr.rootless.errors import InUse, PyctrError
from pyctr.storage import images, manifestlists, records, sweep
from pyctr.storage.manifestlists import Entry, ManifestList
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.engine.images import make_image, put_image
from tests.image.servers import Sample, serve, stalling


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("docker.io/library/x:1", ("docker.io/library/x", "1")),
        ("127.0.0.1:5000/x:y", ("127.0.0.1:5000/x", "y")),
        ("quay.io/x@sha256:ab", ("quay.io/x", "<none>")),
    ],
)
def test_a_kept_name_has_a_repository_and_a_tag(name: str, parts: tuple[str, str]) -> None:
    assert engine.split_name(name) == parts


def test_an_image_of_a_container_stays(cli: Cli, busybox: str, store: Store) -> None:
    container = cli("create", busybox, "true").stdout.strip()
    done = cli("rmi", busybox, check=False)
    assert done.returncode == 2 and container in done.stderr
    with pytest.raises(InUse):
        engine.remove(store, busybox)
    assert engine.prune(store, every=True).ids == ()
    assert lookup.lookup(store, busybox).id


def test_force_removes_the_containers_first(cli: Cli, busybox: str, store: Store) -> None:
    cli("create", busybox, "true")
    running = cli("run", "-d", busybox, "sleep", "1000").stdout.strip()
    cli("rmi", "-f", busybox)
    assert cli("ps", "-aq").stdout == ""
    assert running and images.image_ids(store) == []


def test_another_name_of_a_used_image_can_be_taken(cli: Cli, busybox: str, store: Store) -> None:
    cli("create", busybox, "true")
    engine.tag(store, busybox, ("other",))
    assert engine.remove(store, "other").deleted == ""


def test_a_container_keeps_running_when_its_image_moves_on(cli: Cli, busybox: str, store: Store) -> None:
    container = cli("create", busybox, "cat", "/www/index.html").stdout.strip()
    cli("untag", busybox)
    sweep.sweep(store)
    assert "hello" in cli("start", "-a", container).stdout


DIGEST = make_image().manifest_digest
LISTED = Entry(DIGEST, make_image().manifest_media_type, 1)
LIST = ManifestList(manifestlists.VERSION, "0" * 64, "2024-01-01T00:00:00Z", (LISTED,))
CHANGES = manifestlist.Changes(variant="v9")
WRITERS: dict[str, Callable[[Store], object]] = {
    "create": lambda store: manifestlist.create(store, "new"),
    "annotate": lambda store: manifestlist.annotate(store, LIST, DIGEST, CHANGES),
    "annotate --index": lambda store: manifestlist.annotate_index(store, LIST, {"a": "b"}),
    "remove": lambda store: manifestlist.remove_entry(store, LIST, DIGEST),
    "untag": lambda store: engine.untag(store, "localhost/one:1", ()),
    "rmi": lambda store: engine.remove(store, "localhost/two:1"),
}


@pytest.mark.parametrize("name", WRITERS)
def test_no_sweep_takes_the_half_of_a_record_that_is_replaced(
    place: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    image = put_image(place)
    engine.tag(place, image.id, ("localhost/one:1", "localhost/two:1"))
    with manifestlists.lock(place):
        manifestlists.write(place, LIST)
    replace, written = records.write_text, []

    def watched(path: str, text: str, **options: Any) -> None:
        with pytest.raises(BlockingIOError):
            records.lock_file(place.store_lock(), wait=False).release()
        written.append(path)
        replace(path, text, **options)

    monkeypatch.setattr(records, "write_text", watched)
    WRITERS[name](place)
    assert written


def test_a_sweep_passes_over_halves_that_got_their_names_meanwhile(
    place: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_image(place)
    monkeypatch.setattr(sweep, "halves", lambda store: [f"{store.images()}/.gone.1"])
    assert sweep.sweep(place).kept == ""


def test_run_pulls_what_is_missing(cli: Cli, store: Store) -> None:
    with serve() as scripted:
        sample = Sample(scripted)
        done = cli("create", "--pull", "missing", sample.reference, "sh")
        assert "Trying to pull" in done.stderr
        assert cli("create", "--pull", "never", sample.reference, "sh").stderr == ""
    assert images.image_names(store) == [sample.reference]


@pytest.mark.parametrize("argv", [["create"], ["run", "--rm"]])
def test_an_image_that_cannot_be_had_is_told_by_name(cli: Cli, argv: list[str]) -> None:
    with serve() as scripted:
        name = f"{scripted.address}/absent:latest"
        done = cli(*argv, name, check=False)
    assert done.returncode == 125 and name in done.stderr


def test_a_killed_pull_leaves_nothing_that_counts(cli: Cli, store: Store) -> None:
    with serve() as scripted:
        sample = Sample(scripted)
        whole = scripted.answers[sample.blob(sample.layer_digest)]
        sample.answer(sample.blob(sample.layer_digest), stalling(scripted, sample.layer, 100_000))
        pull = cli.start("pull", sample.reference)
        assert scripted.stalled.wait(30)
        pull.kill()
        assert pull.wait() == -signal.SIGKILL
        assert cli("images", "-q").stdout == ""
        sample.answer(sample.blob(sample.layer_digest), whole)
        cli("pull", "-q", sample.reference)
    sweep.sweep(store)
    left = [name for _, _, names in os.walk(store.blobs()) for name in names if name.startswith("tmp.")]
    assert left == []
    assert lookup.lookup(store, sample.reference)


def test_pulls_side_by_side_get_along(cli: Cli, store: Store) -> None:
    with serve() as scripted:
        sample = Sample(scripted)
        pulls = [cli.start("pull", "-q", sample.reference) for _ in range(4)]
        assert [pull.wait(60) for pull in pulls] == [0, 0, 0, 0]
        assert scripted.count(sample.blob(sample.layer_digest)) == 1
    assert images.image_names(store) == [sample.reference]


def test_a_digest_cannot_be_given_to_an_image(cli: Cli, busybox: str, store: Store) -> None:
    with pytest.raises(PyctrError, match="digest"):
        engine.tag(store, busybox, (f"x@sha256:{'0' * 64}",))


def test_prune_spares_an_image_that_gets_a_name_meanwhile(
    busybox: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_id = lookup.lookup(store, busybox).id
    engine.untag(store, busybox, ())
    seen = images.list_images(store)
    engine.tag(store, image_id, (busybox,))
    monkeypatch.setattr(images, "list_images", lambda _store: seen)
    assert engine.prune(store).ids == ()
    assert lookup.lookup(store, busybox).id == image_id


def test_removals_and_pulls_side_by_side_lose_no_name(cli: Cli, busybox: str, store: Store) -> None:
    """Each rmi takes one of two names or the image: never a dangling image, never a name too many."""
    for _ in range(3):
        cli("tag", busybox, "one", "two")
        removals = [cli.start("rmi", name) for name in ("one", "two")]
        assert [removal.wait(60) for removal in removals] == [0, 0]
        assert images.image_names(store) == [busybox]
