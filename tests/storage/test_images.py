"""Images, their names, and the layout that other tools read."""

import json
import os
import shutil
import subprocess
import time

import pytest

from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import blobs, images, layers, paths, records, sweep
from pyctr.storage.paths import Store
from tests.images import Layer
from tests.storage.building import put_image

A, B = "docker.io/library/a:1", "localhost/b:latest"


def tar(name: str) -> bytes:
    return Layer().file(name, name).tar()


def container(store: Store, image: images.Image, maps: IdMaps, name: str = "c1") -> None:
    """What of a container's spec matters here."""
    key, names = layers.ensure_layers(store, image, maps)
    spec = {"version": 1, "image": image.id, "rootfs": {"kind": "image", "key": key, "layers": list(names)}}
    os.makedirs(store.container(name))
    records.write_text(f"{store.container(name)}/{paths.SPEC}", json.dumps(spec), durable=False)


def found(store: Store, name: str) -> images.Image:
    """What a full name means."""
    record = images.read_name(store, name)
    assert record
    return images.image_of(store, record.image, name)


def test_an_image_comes_back_as_it_was(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A).replace(
        history=({"created_by": "tests", "empty_layer": True},)
    )
    images.put_image(own_store, image)
    assert images.read_image(own_store, image.id) == image == found(own_store, A)


def test_a_tag_moves(own_store: Store) -> None:
    old, new = put_image(own_store, tar("old"), name=A), put_image(own_store, tar("new"), name=A)
    assert found(own_store, A) == new
    assert {row.id: row.names for row in images.list_images(own_store)} == {old.id: (), new.id: (A,)}


def test_names_come_and_go(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    images.add_name(own_store, B, image.id, image.manifest_digest)
    assert images.names_of(own_store, image.id) == (A, B)
    images.remove_name(own_store, A)
    assert images.names_of(own_store, image.id) == (B,)
    with pytest.raises(NoSuchObject):
        images.remove_name(own_store, A)


@pytest.mark.parametrize("text", ("{", "[]", "{}", '{"version": 99}', '{"version": 1, "id": 5}', "\xff"))
def test_a_broken_image_is_shown_kept_and_never_swept(text: str, own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    with open(own_store.image(image.id), "w", encoding="latin-1") as file:
        file.write(text)
    (row,) = images.list_images(own_store)
    assert (row.id, row.names, row.image) == (image.id, (A,), None) and own_store.image(
        image.id
    ) in row.error
    with pytest.raises(BrokenRecord):
        found(own_store, A)
    swept = sweep.sweep(own_store)
    assert own_store.image(image.id) in swept.kept and swept.blobs == 0
    assert blobs.has_blob(own_store, image.layers[0].digest)
    sweep.remove_image(own_store, image.id)
    assert images.list_images(own_store) == []


def test_a_name_without_its_image_is_shown_as_broken(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    os.unlink(own_store.image(image.id))
    (row,) = images.list_images(own_store)
    assert (row.id, row.names, row.image) == (image.id, (A,), None) and "is missing" in row.error
    with pytest.raises(BrokenRecord, match=f"image {A} has no record"):
        found(own_store, A)


def test_removal_takes_names_blobs_and_layers_that_only_it_needed(own_store: Store, maps: IdMaps) -> None:
    shared = Layer().folder("private", 0o700, uid=5).file("private/f", uid=5).tar()
    kept = put_image(own_store, shared, tar("kept"), name=A)
    gone = put_image(own_store, shared, tar("gone"), name=B)
    for image in (kept, gone):
        layers.ensure_layers(own_store, image, maps)
    assert sweep.remove_image(own_store, gone.id)[0] == (B,)
    assert [row.id for row in images.list_images(own_store)] == [kept.id]
    assert not blobs.has_blob(own_store, gone.layers[1].digest)
    assert len(os.listdir(own_store.layers(layers.layer_key(own_store, maps)))) == 2
    layers.ensure_layers(own_store, kept, maps)
    assert sweep.remove_image(own_store, kept.id)[0] == (A,)
    assert os.listdir(own_store.layers(layers.layer_key(own_store, maps))) == []
    assert os.listdir(f"{own_store.blobs()}/sha256") == []
    with pytest.raises(NoSuchObject):
        sweep.remove_image(own_store, kept.id)


def test_an_image_in_use_stays(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, tar("x"), name=A)
    container(own_store, image, maps)
    with pytest.raises(InUse, match=f"image {image.id[:12]} is in use by the following container") as failed:
        sweep.remove_image(own_store, image.id)
    assert failed.value.exit_code == 2
    assert found(own_store, A) == image


def test_layers_of_a_container_outlive_its_image(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, tar("x"), name=A)
    container(own_store, image, maps)
    sweep.remove_image(own_store, image.id, ignore_users=True)
    assert len(os.listdir(own_store.layers(layers.layer_key(own_store, maps)))) == 1
    assert not blobs.has_blob(own_store, image.layers[0].digest)
    shutil.rmtree(own_store.container("c1"))
    assert sweep.sweep(own_store).layers == 1


def test_a_broken_container_keeps_everything(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, tar("x"), name=A)
    container(own_store, image, maps)
    records.write_text(f"{own_store.container('c1')}/{paths.SPEC}", '{"version": 1}', durable=False)
    sweep.remove_image(own_store, image.id)
    assert len(os.listdir(own_store.layers(layers.layer_key(own_store, maps)))) == 1
    assert paths.SPEC in sweep.sweep(own_store).kept


def test_a_sweep_takes_what_interrupted_calls_left(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    with pytest.raises(ConnectionError), blobs.writer(own_store, f"sha256:{'0' * 64}", resume=True) as blob:
        blob.write(b"half")
        raise ConnectionError
    left = [f"{own_store.images()}/.{image.id}.json.123", f"{own_store.image_names()}/.x.123"]
    for path in left:
        open(path, "w").close()
    before = len(os.listdir(f"{own_store.blobs()}/sha256"))
    sweep.sweep(own_store)
    assert len(os.listdir(f"{own_store.blobs()}/sha256")) == before - 1
    assert not any([os.path.exists(path) for path in left])
    assert found(own_store, A) == image


def test_a_sweep_leaves_what_is_being_written(own_store: Store) -> None:
    with blobs.writer(own_store) as blob:
        sweep.sweep(own_store)
        blob.write(b"x")
    assert blobs.has_blob(own_store, blob.digest)


def test_blobs_of_a_manifest_that_only_a_name_has_are_kept(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    layer = blobs.put_blob(own_store, b"the same layer, packed otherwise")
    manifest = blobs.put_blob(own_store, json.dumps({"layers": [{"digest": layer}]}).encode())
    index = blobs.put_blob(own_store, json.dumps({"manifests": [{"digest": manifest}]}).encode())
    images.add_name(own_store, A, image.id, index)
    sweep.sweep(own_store)
    assert all([blobs.has_blob(own_store, digest) for digest in (layer, manifest, index)])


def test_chain_ids_are_those_of_the_specification() -> None:
    """The vector is computed with coreutils: printf '%s %s' sha256:... sha256:... | sha256sum."""
    first, second = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    made = subprocess.run(["sha256sum"], input=f"{first} {second}", text=True, stdout=-1, check=True).stdout
    assert images.chain_ids([first, second]) == (first, f"sha256:{made.split()[0]}")
    assert images.chain_ids([]) == ()


def test_the_index_follows_the_names(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    (row,) = json.loads(open(own_store.oci_index()).read())["manifests"]
    assert row["digest"] == image.manifest_digest
    assert row["annotations"] == {"org.opencontainers.image.ref.name": A}
    images.remove_name(own_store, A)
    (row,) = json.loads(open(own_store.oci_index()).read())["manifests"]
    assert "annotations" not in row
    sweep.remove_image(own_store, image.id)
    assert json.loads(open(own_store.oci_index()).read())["manifests"] == []


def test_skopeo_reads_the_store_as_an_oci_layout(own_store: Store) -> None:
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    image = put_image(own_store, tar("x"), name=A)
    command = ["skopeo", "inspect", "--raw", f"oci:{own_store.root}:{A}"]
    raw = subprocess.run(command, stdout=-1, check=True).stdout
    assert raw == blobs.read_blob(own_store, image.manifest_digest)


def test_an_index_that_repeats_itself_is_read_once(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    digest = image.manifest_digest
    for _ in range(3):
        text = json.dumps({"manifests": [{"digest": digest}] * 500})
        digest = blobs.put_blob(own_store, text.encode())
    images.add_name(own_store, B, image.id, digest)
    before = time.process_time()
    sweep.sweep(own_store)
    assert time.process_time() - before < 5
    assert blobs.has_blob(own_store, digest)


def test_a_removal_takes_what_interrupted_calls_left_in_the_root(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    left = [
        f"{own_store.oci_index()}".replace("index", ".index") + ".123",
        f"{own_store.root}/tmp.1.{'ab' * 8}",
    ]
    left.append(f"{own_store.blobs()}/sha256/tmp.{'0' * 64}")
    for path in left:
        open(path, "w").close()
    sweep.remove_image(own_store, image.id)
    assert not any([os.path.exists(path) for path in left])


def test_a_name_that_moved_meanwhile_is_not_taken_from_the_new_image(own_store: Store) -> None:
    old, new = put_image(own_store, tar("old"), name=A), put_image(own_store, tar("new"), name=A)
    images.add_name(own_store, B, old.id, old.manifest_digest)
    assert not images.take_name(own_store, A, old.id)
    assert found(own_store, A) == new


def test_the_last_name_is_not_taken(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    images.add_name(own_store, B, image.id, image.manifest_digest)
    assert images.take_name(own_store, A, image.id)
    assert not images.take_name(own_store, B, image.id)


def test_an_image_that_got_a_name_meanwhile_is_not_removed(own_store: Store) -> None:
    image = put_image(own_store, tar("x"), name=A)
    with pytest.raises(sweep.Renamed):
        sweep.remove_image(own_store, image.id, expected=())
    assert found(own_store, A) == image
