"""Layers over each other, at the same time, and after a crash."""

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pyctr.rootless import syscalls, userns
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import images, layers, paths, records
from pyctr.storage.paths import Store
from tests.images import Layer
from tests.storage.building import layer_folder, look, merged, put_image, unpack

OPAQUE = {"user.overlay.opaque": b"y"}


def test_names_are_short_and_differ() -> None:
    names = {layers.layer_name(f"sha256:{number:064x}") for number in range(1 << 136, (1 << 139), 1 << 136)}
    assert len(names) == 7 and {len(name) for name in names} == {paths.LAYER_NAME_LENGTH}
    assert layers.layer_name("sha256:" + "f" * 64) == "7" * 24


def test_a_complete_layer_is_not_unpacked_again(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, Layer().file("a").tar(), Layer().file("b").tar())
    first = layers.ensure_layers(own_store, image, maps)
    before = [os.stat(layer_folder(own_store, image, maps, number)) for number in range(2)]
    assert layers.ensure_layers(own_store, image, maps) == first
    assert [os.stat(layer_folder(own_store, image, maps, number)) for number in range(2)] == before


def test_the_record_and_the_marker_have_the_whole_chain_id(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, Layer().file("a").tar())
    layers.ensure_layers(own_store, image, maps)
    folder = os.path.dirname(layer_folder(own_store, image, maps))
    record = records.read_record(f"{folder}/{paths.LAYER_RECORD}", layers.Layer, layers.LAYER_VERSION)
    assert (record.chain_id, record.diff_id) == (image.layers[0].chain_id, image.layers[0].diff_id)
    records.write_text(f"{folder}/{paths.LAYER_COMPLETE}", f"sha256:{'0' * 64}\n", durable=False)
    with pytest.raises(PyctrError, match=f"is sha256:0+, not {image.layers[0].chain_id}"):
        layers.ensure_layers(own_store, image, maps)


def test_a_layer_without_its_marker_is_named(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, Layer().file("a").tar())
    layers.ensure_layers(own_store, image, maps)
    folder = os.path.dirname(layer_folder(own_store, image, maps))
    os.unlink(f"{folder}/{paths.LAYER_COMPLETE}")
    with pytest.raises(PyctrError, match=f"layer {folder} has no mark that it is complete"):
        layers.ensure_layers(own_store, image, maps)


def test_a_missing_blob_is_named(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, Layer().file("a").tar())
    os.unlink(own_store.blob(image.layers[0].digest))
    with pytest.raises(NoSuchObject, match=f"no such blob: {image.layers[0].digest}"):
        layers.ensure_layers(own_store, image, maps)


@pytest.fixture(params=["overlay", "vfs"])
def any_store(request: pytest.FixtureRequest, own_store: Store) -> Store:
    """Stores whose layers are of each format."""
    return own_store.replace(drivers=(request.param,))


def test_parents_that_the_tar_lacks_are_those_of_the_layer_below(any_store: Store, maps: IdMaps) -> None:
    lower = Layer().folder("a", 0o750, uid=5, gid=6, pax_headers={"SCHILY.xattr.user.k": "v"})
    lower.folder("a/b", 0o700, uid=7, mtime=1000)
    middle = Layer().file("unrelated")
    seen = unpack(any_store, maps, lower.tar(), middle.tar(), Layer().file("a/b/c/d").tar())
    assert (seen["a"].mode, seen["a"].uid, seen["a"].gid, seen["a"].xattrs) == (
        0o750,
        5,
        6,
        {"user.k": b"v"},
    )
    assert (seen["a/b"].mode, seen["a/b"].uid, seen["a/b"].mtime) == (0o700, 7, 1000)
    assert (seen["a/b/c"].mode, seen["a/b/c"].uid) == (0o755, 0)


def test_the_root_folder_is_that_of_the_layer_below(any_store: Store, maps: IdMaps) -> None:
    tars = [Layer().folder("./", 0o711, uid=5, mtime=1000), Layer().file("a"), Layer().file("b")]
    assert unpack(any_store, maps, *[layer.tar() for layer in tars])["."][:5] == ("d", 0o711, 5, 0, 1000)


@pytest.mark.parametrize("hide", (lambda layer: layer.whiteout("a"), lambda layer: layer.file("a")))
def test_parents_do_not_look_through_what_hides_them(hide: "object", any_store: Store, maps: IdMaps) -> None:
    lower = Layer().folder("a", 0o700).folder("a/b", 0o700)
    middle = hide(Layer())  # type: ignore[operator]
    assert (
        unpack(any_store, maps, lower.tar(), middle.tar(), Layer().file("a/b/c").tar())["a/b"].mode == 0o755
    )


def test_parents_do_not_look_through_opaque_folders(any_store: Store, maps: IdMaps) -> None:
    tars = [Layer().folder("a/b", 0o700), Layer().folder("a").opaque("a"), Layer().file("a/b/c")]
    assert unpack(any_store, maps, *[layer.tar() for layer in tars])["a/b"].mode == 0o755


def test_a_parent_whose_entry_comes_late_is_as_the_entry_says(any_store: Store, maps: IdMaps) -> None:
    lower = Layer().folder("a", 0o700, uid=5)
    seen = unpack(any_store, maps, lower.tar(), Layer().file("a/f").folder("a", 0o711, uid=8).tar())
    assert (seen["a"].mode, seen["a"].uid) == (0o711, 8)


def test_a_hard_link_into_a_lower_layer_is_a_copy(any_store: Store, maps: IdMaps) -> None:
    lower = Layer().file("bin/su", "program", 0o4755, uid=9, gid=8, mtime=1000)
    upper = (
        Layer().folder("d", mtime=2000).hardlink("d/x", "bin/su").hardlink("y", "bin/su").hardlink("z", "y")
    )
    image = put_image(any_store, lower.tar(), upper.tar())
    layers.ensure_layers(any_store, image, maps)
    folder = layer_folder(any_store, image, maps)
    seen = look(folder, maps)
    assert seen["d/x"][:6] == ("-", 0o4755, 9, 8, 1000, b"program")
    assert seen["d"].mtime == 2000
    assert len({os.stat(f"{folder}/{name}").st_ino for name in ("d/x", "y", "z")}) == 1


def test_a_later_entry_wins_over_a_hard_link_into_a_lower_layer(any_store: Store, maps: IdMaps) -> None:
    upper = Layer().hardlink("x", "a").file("x", "later")
    assert unpack(any_store, maps, Layer().file("a", "lower").tar(), upper.tar())["x"].content == b"later"


def test_an_opaque_root_hides_all_layers_below(any_store: Store, maps: IdMaps, disk: str) -> None:
    lower = Layer().file("gone").file("d/gone").file("both", "lower")
    upper = Layer().file(".wh..wh..opq").file("d/new").file("both", "upper")
    image = put_image(any_store, lower.tar(), upper.tar())
    seen = merged(any_store, image, maps, disk)
    assert sorted(seen) == [".", "both", "d", "d/new"] and seen["both"].content == b"upper"


def test_the_overlay_shows_what_the_layers_say(any_store: Store, maps: IdMaps, disk: str) -> None:
    lower = Layer().file("etc/passwd", "1").folder("opt").file("opt/old").folder("var").file("var/keep")
    middle = Layer().whiteout("etc/passwd").folder("opt").opaque("opt").file("opt/new").whiteout("var")
    upper = Layer().file("etc/passwd", "2").folder("var").file("var/new")
    image = put_image(any_store, lower.tar(), middle.tar(), upper.tar())
    seen = merged(any_store, image, maps, disk)
    assert sorted(seen) == [".", "etc", "etc/passwd", "opt", "opt/new", "var", "var/new"]
    assert seen["etc/passwd"].content == b"2"


def test_an_image_of_127_layers_mounts(any_store: Store, maps: IdMaps, disk: str) -> None:
    tars = [Layer().file(f"f{number}").tar() for number in range(127)]
    seen = merged(any_store, put_image(any_store, *tars), maps, disk)
    assert len(seen) == 128


def test_layers_of_another_map_are_kept_apart(own_store: Store, maps: IdMaps) -> None:
    other = IdMaps(*[(ranges[0], ranges[1].replace(length=100)) for ranges in (maps.uid, maps.gid)])
    image = put_image(own_store, Layer().file("a").tar())
    keys = {layers.ensure_layers(own_store, image, each)[0] for each in (maps, other)}
    assert len(keys) == 2 == len(os.listdir(f"{own_store.root}/layers"))


# Several processes. They are forked from a fresh interpreter, since pytest-xdist has threads.

ENSURE = """
import sys
from pyctr.rootless import userns
from pyctr.storage import images, layers, paths
store = paths.Store(root=sys.argv[1], runroot=sys.argv[1])
image = images.read_image(store, sys.argv[2])
print(*layers.ensure_layers(store, image, userns.default_maps())[1], flush=True)
"""


def ensure(store: Store, image: images.Image) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ENSURE, store.root, image.id]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_unpack_the_same_layers_at_once_all_succeed(own_store: Store, maps: IdMaps) -> None:
    tars = [Layer().file(f"f{number}", os.urandom(1 << 20)).tar() for number in range(4)]
    pulled = [put_image(own_store, *tars[:count], name=f"i{count}") for count in (4, 2, 3, 4)]
    started = [ensure(own_store, image) for image in pulled]
    for child, image in zip(started, pulled, strict=True):
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err
        assert len(out.split()) == len(image.layers)
    names = [layers.layer_name(layer.chain_id) for layer in pulled[0].layers]
    assert sorted(os.listdir(own_store.layers(layers.layer_key(own_store, maps)))) == sorted(names)


@pytest.fixture
def stuck(own_store: Store) -> Iterator[tuple[images.Image, bytes, int]]:
    """An image whose blob is a FIFO, so that its unpacking stops half way.

    The rest of the blob, and its write end.
    """
    tar = Layer().folder("d", 0o700, uid=5).file("d/f", os.urandom(1 << 20), uid=5).tar()
    image = put_image(own_store, tar)
    blob = own_store.blob(image.layers[0].digest)
    os.unlink(blob)
    os.mkfifo(blob)
    write = os.open(blob, os.O_RDWR)
    yield image, gzip.compress(tar), write
    os.close(write)


def half_way(store: Store, image: images.Image, data: bytes, write: int) -> "subprocess.Popen[str]":
    """A process that has unpacked half of the layer, and hangs."""
    child = ensure(store, image)
    feeder = threading.Thread(target=records.write_all, args=(write, data[: len(data) // 2]))
    feeder.start()
    feeder.join(30)
    assert not feeder.is_alive()
    return child


def whole_again(store: Store, image: images.Image, data: bytes) -> None:
    os.unlink(store.blob(image.layers[0].digest))
    with open(store.blob(image.layers[0].digest), "wb") as file:
        file.write(data)


def test_kill_in_the_middle_leaves_nothing_complete(
    stuck: tuple[images.Image, bytes, int], own_store: Store, maps: IdMaps
) -> None:
    image, data, write = stuck
    child = half_way(own_store, image, data, write)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    folder = own_store.layers(layers.layer_key(own_store, maps))
    assert [name[:4] for name in os.listdir(folder)] == [paths.TEMPORARY]
    whole_again(own_store, image, data)
    layers.ensure_layers(own_store, image, maps)
    assert os.listdir(folder) == [layers.layer_name(image.layers[0].chain_id)]
    assert look(layer_folder(own_store, image, maps), maps)["d/f"].uid == 5


def test_what_a_killed_pull_left_is_swept_by_a_pull_of_another_image(
    stuck: tuple[images.Image, bytes, int], own_store: Store, maps: IdMaps
) -> None:
    image, data, write = stuck
    child = half_way(own_store, image, data, write)
    child.kill()
    child.communicate()
    left = f"{paths.TEMPORARY}{layers.layer_name(image.layers[0].chain_id)}"
    records.lock(
        f"{own_store.layers(layers.layer_key(own_store, maps))}/{left}"
    ).release()  # its workers have died too
    other = put_image(own_store, Layer().file("other").tar())
    layers.ensure_layers(own_store, other, maps)
    assert len(os.listdir(own_store.layers(layers.layer_key(own_store, maps)))) == 1


def test_who_waits_for_a_killed_process_takes_over(
    stuck: tuple[images.Image, bytes, int], own_store: Store, maps: IdMaps
) -> None:
    image, data, write = stuck
    first = half_way(own_store, image, data, write)
    second = ensure(own_store, image)
    whole_again(own_store, image, data)
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=60)
    assert (second.returncode, err) == (0, "")
    assert layers.ensure_layers(own_store, image, maps)[1] == tuple(out.split())


FAST = """
import sys
from pyctr.rootless.idmap import IdMaps, IdRange
from pyctr.storage import images, layers, paths, trees
store = paths.Store(sys.argv[1], sys.argv[4])
ranges = tuple([IdRange(*map(int, part.split("."))) for part in sys.argv[3].split()])
image = images.image_of(store, images.read_name(store, sys.argv[2]).image)
layers.ensure_layers(store, image, IdMaps(ranges, ranges))
print(*sorted(sys.modules))
"""
BUDGET = {
    "re",
    "enum",
    "typing",
    "json",
    "hashlib",
    "dataclasses",
    "signal",
    "subprocess",
    "contextlib",
    "tarfile",
}


def test_an_image_that_is_unpacked_costs_a_run_no_imports(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, Layer().file("a").tar(), name="localhost/x:1")
    layers.ensure_layers(own_store, image, maps)
    ranges = " ".join([f"{part.inside}.{part.outside}.{part.length}" for part in maps.uid])
    source = f"import sys; sys.path[:0] = {[p for p in sys.path if p.endswith('src')]!r}\n{FAST}"
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        source,
        own_store.root,
        "localhost/x:1",
        ranges,
        own_store.runroot,
    ]
    loaded = set(subprocess.run(command, check=True, stdout=-1, text=True).stdout.split())
    assert not loaded & (
        BUDGET | {"pyctr.storage.layerbuild", "pyctr.storage.blobs", "pyctr.rootless.userns"}
    )


def small_disk(folder: str, size: int, tar: bytes) -> str:
    """The error of unpacking a layer on a full disk.

    Runs inside a user namespace, as `pyctr unshare` would have it.
    """
    syscalls.mount("tmpfs", folder, "tmpfs", 0, f"size={size}")
    store = Store(root=f"{folder}/root", runroot=f"{folder}/run")
    image = put_image(store, tar)
    try:
        layers.ensure_layers(store, image, userns.default_maps())
    except PyctrError as error:
        left = os.listdir(store.layers(layers.layer_key(store, userns.default_maps())))
        return f"{error.message} {left}"
    return "no error"


def test_a_full_disk_is_an_error_that_leaves_nothing(disk: str, maps: IdMaps) -> None:
    tar = Layer().file("small").file("big", b"not zero" * (1 << 18)).tar()
    message = userns.call_mapped(maps, small_disk, disk, 1 << 20, tar)
    assert "'big' cannot be unpacked: No space left on device []" in message
    assert userns.call_mapped(maps, small_disk, disk, 16 << 20, tar) == "no error"


def test_garbage_that_cannot_be_removed_holds_nothing_up(own_store: Store, maps: IdMaps) -> None:
    """Here a mount point, which nobody can remove while it is one."""
    image = put_image(own_store, Layer().file("x", "y").tar())
    assert userns.call_mapped(maps, _unpack_beside_busy_garbage, own_store.root, image.id) == 1


def _unpack_beside_busy_garbage(root: str, image_id: str) -> int:
    store, maps = Store(root=root, runroot=root), userns.default_maps()
    busy = f"{store.layers(layers.layer_key(store, maps))}/{paths.TEMPORARY}left/busy"
    os.makedirs(busy)
    syscalls.mount("none", busy, "tmpfs", 0, "")
    return len(layers.ensure_layers(store, images.read_image(store, image_id), maps)[1])
