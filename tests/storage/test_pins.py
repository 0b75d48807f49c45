"""What a call at work needs stays, whoever sweeps; what a killed one needed goes."""

import os
import pathlib
import signal

from pyctr.rootless import userns
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import blobs, checks, layers, pins, records, sweep
from pyctr.storage.paths import Store
from pyctr.storage.pins import Pin
from tests.images import Layer
from tests.storage import building


def killed_pin(store: Store, digest: str) -> None:
    """A call that keeps a blob, killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with Pin(store) as pin:
            pin.add([digest])
            os.write(writing, b"x")
            signal.pause()
    assert os.read(reading, 1) == b"x"
    sweep.sweep(store)
    assert blobs.has_blob(store, digest)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)


def test_a_pinned_blob_stays_until_its_call_has_ended(own_store: Store) -> None:
    with Pin(own_store) as pin:
        digest = pin.put_blob(b"kept")
        other = blobs.put_blob(own_store, b"not kept")
        sweep.sweep(own_store)
        assert blobs.has_blob(own_store, digest) and not blobs.has_blob(own_store, other)
        assert checks.leftovers(own_store) == []
    sweep.sweep(own_store)
    assert not blobs.has_blob(own_store, digest)


def test_a_killed_call_keeps_nothing(own_store: Store) -> None:
    digest = blobs.put_blob(own_store, b"content")
    killed_pin(own_store, digest)
    assert len(checks.leftovers(own_store)) == 2  # the blob, and the pin
    sweep.sweep(own_store)
    assert not blobs.has_blob(own_store, digest)
    assert records.names_in(own_store.pins()) == []


def test_a_blob_of_unknown_digest_is_kept_before_it_has_its_name(own_store: Store) -> None:
    with Pin(own_store) as pin, pin.writer() as blob:
        blob.write(b"content")
        sweep.sweep(own_store)
    with Pin(own_store) as pin:
        with pin.writer() as blob:
            blob.write(b"content")
        sweep.sweep(own_store)
        assert blobs.read_blob(own_store, blob.digest) == b"content"


def test_a_blob_that_is_written_in_a_user_namespace_is_kept(own_store: Store, maps: IdMaps) -> None:
    with Pin(own_store) as pin:
        digest = userns.call_mapped(maps, lambda: pin.put_blob(b"content"))
        sweep.sweep(own_store)
        assert blobs.has_blob(own_store, digest)


def test_pinned_layers_stay_unpacked(own_store: Store, maps: IdMaps) -> None:
    image = building.put_image(own_store, Layer().file("a", "content").tar())
    layers.ensure_layers(own_store, image, maps)
    with Pin(own_store) as pin:
        pin.add_layers(image)
        sweep.remove_image(own_store, image.id)
        assert pathlib.Path(building.layer_folder(own_store, image, maps)).is_dir()
        assert blobs.has_blob(own_store, image.layers[0].digest)
    sweep.sweep(own_store)
    assert not pathlib.Path(building.layer_folder(own_store, image, maps)).exists()


def test_a_part_of_a_blob_stays_for_the_pull_that_needs_it(own_store: Store) -> None:
    digests = [f"sha256:{letter * 64}" for letter in "ab"]
    for digest in digests:
        try:
            with blobs.writer(own_store, digest, resume=True) as blob:
                blob.write(b"a part")
                raise InterruptedError
        except InterruptedError:
            pass
    folder = f"{own_store.blobs()}/sha256"
    with Pin(own_store) as pin:
        pin.add(digests[:1])
        sweep.sweep(own_store)
        assert os.listdir(folder) == [f"tmp.{'a' * 64}"]
    sweep.sweep(own_store)
    assert os.listdir(folder) == []


def test_only_living_calls_are_at_work(own_store: Store) -> None:
    digest = blobs.put_blob(own_store, b"content")
    killed_pin(own_store, digest)
    assert list(pins.living(own_store)) == []
    with Pin(own_store) as pin:
        assert list(pins.living(own_store)) == [pin.path]
