"""Archives that were made to do harm.

Nothing outside of the layer changes, and the message names the entry.
"""

import gzip
import hashlib
import os
import pathlib
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator

import pytest

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import layerbuild, layers
from pyctr.storage.paths import Store
from pyctr.storage.tarstream import Source, TarReader
from pyctr.storage.unpack import Limits
from tests.images import Layer
from tests.storage.building import layer_folder, look, put_image, unpack

SECRET = "not to be touched"


@pytest.fixture(params=["overlay", "vfs"])
def own_store(own_store: Store, request: pytest.FixtureRequest) -> Store:
    """Stores whose layers are of each format."""
    return own_store.replace(drivers=(request.param,))


@pytest.fixture
def outside(disk: str) -> pathlib.Path:
    """A folder beside the store, which every attack aims at."""
    folder = pathlib.Path(disk, "outside")
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


@pytest.fixture(autouse=True)
def untouched(outside: pathlib.Path, maps: IdMaps) -> Iterator[None]:
    before = look(str(outside), maps)
    yield
    assert look(str(outside), maps) == before


def is_clean(store: Store, maps: IdMaps) -> bool:
    """Whether a failed unpack has left nothing."""
    return os.listdir(store.layers(layers.layer_key(store, maps))) == []


def climb(outside: pathlib.Path) -> str:
    return "../" * 20 + str(outside)


@pytest.mark.parametrize("name", ("../x", "a/../../x", "/../x", "./../x", "a/../.."))
def test_names_that_climb_out_are_refused(name: str, own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match=r"layer sha256:\w+: '.*' climbs out of the layer"):
        unpack(own_store, maps, Layer().folder("a").file(name).tar())
    assert is_clean(own_store, maps)


@pytest.mark.parametrize("kind", (tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE))
def test_climbing_names_of_every_kind(
    kind: bytes, own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    with pytest.raises(PyctrError, match="climbs out"):
        unpack(own_store, maps, Layer().add(climb(outside) + "/new", type=kind, linkname="x").tar())


def test_absolute_names_stay_inside(own_store: Store, maps: IdMaps, outside: pathlib.Path) -> None:
    seen = unpack(own_store, maps, Layer().file(f"{outside}/secret", "overwritten").tar())
    assert seen[f"{outside}/secret"[1:]].content == b"overwritten"


@pytest.mark.parametrize("make_target", (str, climb), ids=("absolute", "climbing"))
def test_writing_through_a_link_stays_inside(
    make_target: Callable[[pathlib.Path], str], own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    layer = Layer().symlink("out", make_target(outside)).file("out/secret", "overwritten").file("out/new")
    layer.folder("out/folder", 0o777).symlink("out/link", "/").whiteout("out/secret2").opaque("out")
    seen = unpack(own_store, maps, layer.tar())
    assert seen[f"{outside}/secret"[1:]].content == b"overwritten"


def test_writing_through_chains_of_links(own_store: Store, maps: IdMaps, outside: pathlib.Path) -> None:
    layer = (
        Layer()
        .symlink("a", "..")
        .symlink("b", "a/../..")
        .symlink("c", f"b/{climb(outside)}")
        .file("c/secret", "x")
    )
    assert unpack(own_store, maps, layer.tar())[f"{outside}/secret"[1:]].content == b"x"


def test_a_loop_of_links_is_an_error(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match="'a/x' cannot be unpacked: Too many levels of symbolic links"):
        unpack(own_store, maps, Layer().symlink("a", "b").symlink("b", "a").file("a/x").tar())


def test_a_file_over_a_link_replaces_the_link(own_store: Store, maps: IdMaps, outside: pathlib.Path) -> None:
    layer = Layer().symlink("out", f"{outside}/secret").file("out", "overwritten", 0o777)
    assert unpack(own_store, maps, layer.tar())["out"].kind == "-"


def test_metadata_of_a_folder_does_not_go_through_a_link(
    own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    layer = Layer().symlink("out", str(outside)).folder("out", 0o777)
    assert unpack(own_store, maps, layer.tar())["out"].kind == "d"


@pytest.mark.parametrize("target", ("../secret", "/etc/passwd", "../../../../etc/passwd", "link/secret", ""))
def test_hard_links_out_are_refused(
    target: str, own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    layer = Layer().symlink("link", str(outside)).hardlink("stolen", target)
    with pytest.raises(PyctrError, match="climbs out|no layer has the target|a hard link to a folder"):
        unpack(own_store, maps, layer.tar())
    assert is_clean(own_store, maps)


def test_a_hard_link_to_a_link_does_not_follow_it(
    own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    layer = Layer().symlink("link", f"{outside}/secret").hardlink("copy", "link").file("copy", "overwritten")
    seen = unpack(own_store, maps, layer.tar())
    assert (seen["copy"].kind, seen["link"].kind) == ("-", "l")


def test_a_hard_link_into_a_lower_layer_does_not_follow_its_links(
    own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    lower = Layer().symlink("out", str(outside)).symlink("file", f"{outside}/secret")
    with pytest.raises(PyctrError, match="no layer has the target"):
        unpack(own_store, maps, lower.tar(), Layer().hardlink("stolen", "out/secret").tar())
    seen = unpack(own_store, maps, lower.tar(), Layer().hardlink("stolen", "file").tar())
    assert (seen["stolen"].kind, seen["stolen"].content) == ("l", os.fsencode(outside / "secret"))


@pytest.mark.parametrize("name", (".wh.", ".wh..", ".wh...", "a/.wh..."))
def test_whiteouts_of_no_name_are_refused(name: str, own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match="hides no name"):
        unpack(own_store, maps, Layer().file(name).tar())


def test_a_whiteout_through_a_link_stays_inside(
    own_store: Store, maps: IdMaps, outside: pathlib.Path
) -> None:
    layer = Layer().symlink("out", str(outside)).whiteout("out/secret").opaque("out")
    seen = unpack(own_store, maps, layer.tar())
    if own_store.drivers == ("vfs",):
        assert f"{outside}/.wh.secret"[1:] in seen
    else:
        assert seen[f"{outside}/secret"[1:]].kind == "c"


@pytest.mark.parametrize(
    "name",
    (
        "user.overlay.opaque",
        "user.overlay.redirect",
        "user.overlay.metacopy",
        "user.overlay.whiteout",
        "trusted.overlay.opaque",
        "user.fuseoverlayfs.opaque",
        "user.overlay.origin",
        "user.overlay.upper",
        "trusted.overlay.redirect",
        "user.containers.override_stat",
        "security.selinux",
        "security.ima",
    ),
)
def test_attributes_that_an_overlay_obeys_are_not_stored(name: str, own_store: Store, maps: IdMaps) -> None:
    headers = {f"SCHILY.xattr.{name}": "y", "SCHILY.xattr.user.kept": "k"}
    seen = unpack(
        own_store, maps, Layer().folder("d", pax_headers=headers).file("f", pax_headers=headers).tar()
    )
    assert seen["d"].xattrs == seen["f"].xattrs == {"user.kept": b"k"}


def test_names_beneath_a_file_are_refused(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match="'a/b/c' cannot be unpacked: its parent is not a folder"):
        unpack(own_store, maps, Layer().file("a").file("a/b/c").tar())


def test_a_root_that_is_no_folder_is_refused(own_store: Store, maps: IdMaps, outside: pathlib.Path) -> None:
    with pytest.raises(PyctrError, match="would replace the root folder"):
        unpack(own_store, maps, Layer().symlink("./", str(outside)).tar())


def test_a_fifo_that_is_then_written_to_does_not_hang(own_store: Store, maps: IdMaps) -> None:
    layer = (
        Layer().add("pipe", type=tarfile.FIFOTYPE).file("pipe", "data").add("pipe2", type=tarfile.FIFOTYPE)
    )
    seen = unpack(own_store, maps, layer.hardlink("pipe3", "pipe2").folder("pipe3").tar())
    assert (seen["pipe"].content, seen["pipe2"].kind, seen["pipe3"].kind) == (b"data", "p", "d")


def test_names_with_zero_bytes_are_refused(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match="zero byte"):
        unpack(own_store, maps, Layer().file("a", pax_headers={"path": "a\0b"}).tar())


def test_terminal_sequences_in_names_are_shown_harmless(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError) as failed:
        unpack(own_store, maps, Layer().file("\x1b]0;title\x07/../../x").tar())
    assert "\x1b" not in failed.value.message


def test_a_huge_pax_header_is_refused(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().file("a", pax_headers={"comment": "x" * (2 << 20)})
    with pytest.raises(PyctrError, match="an extended header of .* beyond the limit"):
        unpack(own_store, maps, layer.tar())


@pytest.mark.parametrize(
    "headers",
    (
        {"path": "../x"},
        {"path": "a/../../x"},
        {"path": "/../../x"},
        {"GNU.sparse.map": "0,1", "GNU.sparse.realsize": "1", "GNU.sparse.name": "../../x"},
    ),
)
def test_names_of_extended_headers_climb_no_further(
    headers: dict[str, str], own_store: Store, maps: IdMaps
) -> None:
    with pytest.raises(PyctrError, match="climbs out"):
        unpack(own_store, maps, Layer().file("a", "x", pax_headers=headers).tar())
    assert is_clean(own_store, maps)


@pytest.mark.parametrize("kind", (b"L", b"K"))
def test_long_names_of_gnu_tar_climb_no_further(kind: bytes, own_store: Store, maps: IdMaps) -> None:
    long = tarfile.TarInfo("../" * 40 + "x")
    if kind == b"K":
        long = tarfile.TarInfo("a")
        long.type, long.linkname = tarfile.LNKTYPE, "../" * 40 + "x"
    with pytest.raises(PyctrError, match="climbs out"):
        unpack(own_store, maps, long.tobuf(format=tarfile.GNU_FORMAT) + bytes(1024))


@pytest.mark.parametrize(
    ("headers", "words"),
    (
        ({"size": "-1"}, "damaged number"),
        ({"size": "1e3"}, "damaged number"),
        ({"size": str(1 << 63)}, "a size of"),
        ({"size": "9" * 5000}, "damaged number"),
        ({"size": "99999"}, "ends in the middle of an entry"),
        ({"uid": "root"}, "damaged number"),
        ({"uid": str(1 << 62)}, "belongs to user"),
        ({"mtime": "nan"}, "damaged number"),
        ({"mtime": "inf"}, "damaged number"),
        ({"path": ""}, "would replace the root folder"),
        ({"GNU.sparse.map": "0,1,0,1", "GNU.sparse.realsize": "9"}, "not in order"),
        ({"GNU.sparse.map": "0,2,1,2", "GNU.sparse.realsize": "9"}, "not in order"),
        ({"GNU.sparse.map": "0,4", "GNU.sparse.realsize": "2"}, "does not fit"),
        ({"GNU.sparse.map": "0,9", "GNU.sparse.realsize": "9"}, "does not fit"),
        ({"GNU.sparse.map": f"{1 << 62},4", "GNU.sparse.realsize": str(1 << 63)}, "a size of"),
        ({"GNU.sparse.map": "-1,4", "GNU.sparse.realsize": "9"}, "damaged number"),
        (
            {"GNU.sparse.map": f"0,4,{(1 << 63) - 1},0", "GNU.sparse.realsize": str((1 << 63) - 1)},
            "too large",
        ),
        ({"GNU.sparse.major": "1", "GNU.sparse.realsize": "9"}, "does not end"),
    ),
)
def test_numbers_of_extended_headers_that_lie(
    headers: dict[str, str], words: str, own_store: Store, maps: IdMaps
) -> None:
    with pytest.raises(PyctrError, match=rf"(?i){words}"):
        unpack(own_store, maps, Layer().file("a", "data", pax_headers=headers).tar())
    assert is_clean(own_store, maps)


def test_global_headers_name_no_file(own_store: Store, maps: IdMaps) -> None:
    """What holds for all entries that follow would give them all one name, or one size."""
    said = {"path": "../../x", "linkpath": "/x", "size": "99", "uid": "70000", "SCHILY.xattr.user.x": "y"}
    head = tarfile.TarInfo.create_pax_global_header(said)
    seen = unpack(own_store, maps, head + Layer().file("a", "data").symlink("b", "a").tar())
    assert (seen["a"].content, seen["a"].uid, seen["a"].xattrs, seen["b"].content) == (b"data", 0, {}, b"a")


def test_a_sparse_giant_takes_no_disk(own_store: Store, maps: IdMaps) -> None:
    headers = {"GNU.sparse.map": f"{1 << 42},4", "GNU.sparse.realsize": str((1 << 42) + 4)}
    image = put_image(own_store, Layer().file("giant", "data", pax_headers=headers).tar())
    layers.ensure_layers(own_store, image, maps)
    status = os.stat(f"{layer_folder(own_store, image, maps)}/giant")
    assert status.st_size == (1 << 42) + 4 and status.st_blocks < 100


def test_a_long_sparse_map_is_read_in_time_that_grows_with_it(own_store: Store, maps: IdMaps) -> None:
    """One megabyte in blocks of 512 bytes, which is not read from its start for each of them."""
    text = str(1 << 18) + "\n" + "0\n" * ((1 << 19) - 8)
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "10"}
    before = time.process_time()
    with pytest.raises(PyctrError, match="a sparse map that does not end"):
        list(reader_of(Layer().file("a", text, pax_headers=headers).tar()))
    assert time.process_time() - before < 1


def reader_of(tar: bytes) -> TarReader:
    return TarReader(Source(iter([tar]), hashlib.sha256(), 1 << 40))


def test_an_owner_that_is_no_id_is_refused(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match="'a' belongs to group -2"):
        unpack(own_store, maps, negative_group())


def negative_group() -> bytes:
    info = tarfile.TarInfo("a")
    info.gid = -2
    return info.tobuf(format=tarfile.GNU_FORMAT) + bytes(1024)


@pytest.mark.parametrize("cut", (100, 1000, -9))
def test_a_truncated_layer_is_refused(cut: int, own_store: Store, maps: IdMaps) -> None:
    tar = Layer().file("a", os.urandom(10_000)).tar()
    image = put_image(own_store, tar, compress=lambda data: gzip.compress(data)[:cut])
    with pytest.raises(PyctrError, match=r"layer sha256:\w+: the compressed data ends too early"):
        layers.ensure_layers(own_store, image, maps)
    assert is_clean(own_store, maps)


def test_a_damaged_layer_is_refused(own_store: Store, maps: IdMaps) -> None:
    def damage(data: bytes) -> bytes:
        packed = bytearray(gzip.compress(data))
        packed[len(packed) // 2] ^= 0xFF
        return bytes(packed)

    image = put_image(own_store, Layer().file("a", os.urandom(10_000)).tar(), compress=damage)
    with pytest.raises(PyctrError, match="damaged|diff id"):
        layers.ensure_layers(own_store, image, maps)


def test_a_wrong_diff_id_is_refused(own_store: Store, maps: IdMaps) -> None:
    wrong = f"sha256:{hashlib.sha256(b'other').hexdigest()}"
    image = put_image(own_store, Layer().file("a").tar(), diff_ids=[wrong])
    with pytest.raises(PyctrError, match=f"has the diff id sha256:.*, the image names {wrong}"):
        layers.ensure_layers(own_store, image, maps)
    assert is_clean(own_store, maps)


def test_one_bad_layer_of_many_leaves_none(own_store: Store, maps: IdMaps) -> None:
    tars = [Layer().file(f"f{number}", os.urandom(100_000)).tar() for number in range(5)]
    tars[3] = Layer().file("../x").tar()
    with pytest.raises(PyctrError, match="climbs out"):
        unpack(own_store, maps, *tars)
    assert is_clean(own_store, maps)


def test_something_that_is_no_tar_is_refused(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(PyctrError, match="not a tar"):
        unpack(own_store, maps, b"<html>" * 1000)


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, check=True, capture_output=True).stdout


@pytest.mark.parametrize("compress", (gzip.compress, zstd))
@pytest.mark.parametrize(
    ("limits", "message"),
    (
        (Limits(unpacked=1 << 20, ratio=20), r"unpacks to more than \d+ bytes"),
        (Limits(entries=10), "more than 10 entries"),
        (Limits(names=1000), "its names need more memory"),
    ),
)
def test_a_layer_beyond_all_reason_is_refused(
    limits: Limits, message: str, compress: Callable[[bytes], bytes], own_store: Store, maps: IdMaps
) -> None:
    layer = Layer().file("zeros", bytes(10 << 20))
    for number in range(20):
        layer.folder(f"{number}")
    image = put_image(own_store, layer.tar(), compress=compress)
    with pytest.raises(PyctrError, match=message):
        layerbuild.build(own_store, image, maps, limits=limits)
    assert is_clean(own_store, maps)
