"""What a tar becomes on disk."""

import io
import os
import pathlib
import subprocess
import tarfile

import pytest

from pyctr.rootless import userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import layers
from pyctr.storage.paths import Store
from pyctr.storage.unpack import clamp, clean
from tests.images import Layer
from tests.storage.building import layer_folder, look, put_image, unpack

MTIME = 1_700_000_000
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep, revision 2
NOW_ROOTED = bytes.fromhex(
    "010000030004000000000000000000000000000005000000"
)  # the same for a namespace of uid 5


def xattrs(**named: bytes) -> dict[str, str]:
    return {
        f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in named.items()
    }


def test_owner_mode_time_and_content_are_those_of_the_tar(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().folder("d", 0o2750, uid=5, gid=65535).file("d/f", "text", 0o4711, uid=65535, gid=7)
    seen = unpack(own_store, maps, layer.tar())
    assert seen["d"][:5] == ("d", 0o2750, 5, 65535, MTIME)
    assert seen["d/f"][:6] == ("-", 0o4711, 65535, 7, MTIME, b"text")


def test_files_in_a_setgid_folder_keep_their_own_group(own_store: Store, maps: IdMaps) -> None:
    seen = unpack(own_store, maps, Layer().folder("d", 0o2775, gid=50).file("d/f").folder("d/e").tar())
    assert (seen["d/f"].gid, seen["d/e"].gid, seen["d/e"].mode) == (0, 0, 0o755)


def test_the_root_folder_is_0755_unless_the_tar_says_otherwise(own_store: Store, maps: IdMaps) -> None:
    assert unpack(own_store, maps, Layer().file("a").tar())["."][:4] == ("d", 0o755, 0, 0)
    seen = unpack(own_store, maps, Layer().folder("./", 0o700, uid=3).file("./a").tar())
    assert seen["."][:5] == ("d", 0o700, 3, 0, MTIME)


def test_links_and_fifos(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().file("a", "x", uid=4).hardlink("b", "a").symlink("c", "/a", uid=6)
    layer.add("pipe", type=tarfile.FIFOTYPE, mode=0o620, gid=9)
    image = put_image(own_store, layer.tar())
    layers.ensure_layers(own_store, image, maps)
    folder = layer_folder(own_store, image, maps)
    seen = look(folder, maps)
    assert os.stat(f"{folder}/a").st_ino == os.stat(f"{folder}/b").st_ino
    assert seen["c"][:6] == ("l", 0o777, 6, 0, MTIME, b"/a")
    assert seen["pipe"][:5] == ("p", 0o620, 0, 9, MTIME)


def test_device_nodes_are_left_out_as_podman_does(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().file("dev/null", "x")
    for name, numbers in (("dev/null", (1, 3)), ("dev/whiteout", (0, 0))):
        layer.add(name, type=tarfile.CHRTYPE, devmajor=numbers[0], devminor=numbers[1])
    layer.add("dev/sda", type=tarfile.BLKTYPE, devmajor=8)
    assert sorted(unpack(own_store, maps, layer.tar())) == [".", "dev"]


def test_capabilities_and_user_attributes_are_stored(own_store: Store, maps: IdMaps) -> None:
    named = {"security.capability": CAPABILITY, "user.note": b"n"}
    layer = Layer().file("ping", "#!", 0o755, uid=3, pax_headers=xattrs(**named))
    layer.folder("d", pax_headers=xattrs(**{"user.dir": b"d"}))
    seen = unpack(own_store, maps, layer.tar())
    assert seen["ping"].xattrs == {"security.capability": CAPABILITY, "user.note": b"n"}
    assert seen["d"].xattrs == {"user.dir": b"d"}


def test_capabilities_of_another_namespace_become_those_of_ours(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().file("ping", pax_headers=xattrs(**{"security.capability": NOW_ROOTED}))
    assert unpack(own_store, maps, layer.tar())["ping"].xattrs == {"security.capability": CAPABILITY}


def test_getcap_sees_the_capability(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().file("ping", pax_headers=xattrs(**{"security.capability": CAPABILITY}))
    image = put_image(own_store, layer.tar())
    layers.ensure_layers(own_store, image, maps)
    command = ["/sbin/getcap", "-n", f"{layer_folder(own_store, image, maps)}/ping"]
    if not os.access(command[0], os.X_OK):
        pytest.skip("getcap is not installed")
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cap_net_bind_service=ep" in shown and f"[rootid={os.getuid()}]" in shown


def test_an_owner_outside_of_the_map_is_named(own_store: Store, maps: IdMaps) -> None:
    with pytest.raises(
        PyctrError, match=r"'usr/x' belongs to user 65537, but this user has only 65537"
    ) as failed:
        unpack(own_store, maps, Layer().file("usr/x", uid=65537).tar())
    assert "/etc/subuid" in (failed.value.hint or "")


def test_later_entries_replace_earlier_ones(own_store: Store, maps: IdMaps) -> None:
    layer = Layer().file("a", "1").file("a", "2").folder("b").file("b/x").file("b", "file")
    layer.file("c").folder("c").file("c/y").symlink("d", "a").file("d", "not through it").folder("e", uid=1)
    layer.file("e/z").folder("e", 0o700, uid=2)
    seen = unpack(own_store, maps, layer.tar())
    kinds = {name: row.kind for name, row in seen.items()}
    assert kinds == {".": "d", "a": "-", "b": "-", "c": "d", "c/y": "-", "d": "-", "e": "d", "e/z": "-"}
    assert (seen["a"].content, seen["d"].content) == (b"2", b"not through it")
    assert (seen["e"].mode, seen["e"].uid) == (0o700, 2)


def test_links_to_folders_of_the_layer_are_followed(own_store: Store, maps: IdMaps) -> None:
    layer = (
        Layer()
        .folder("usr/lib")
        .symlink("lib", "usr/lib")
        .file("lib/x")
        .symlink("abs", "/usr")
        .file("abs/y")
    )
    layer.symlink("dangling", "new/place").file("dangling/z")
    assert {"usr/lib/x", "usr/y", "new/place/z"} < set(unpack(own_store, maps, layer.tar()))


def test_whiteouts(own_store: Store, maps: IdMaps) -> None:
    layer = (
        Layer().whiteout("gone").folder("d").opaque("d").file("d/new").whiteout("both").file("both", "here")
    )
    layer.whiteout("dir").file("dir/f").folder("late").whiteout("late")
    seen = unpack(own_store, maps, layer.tar())
    opaque = {"user.overlay.opaque": b"y"}
    assert seen["gone"].kind == "c"
    assert (seen["both"].kind, seen["both"].content) == ("-", b"here")
    assert seen["d"].xattrs == seen["dir"].xattrs == seen["late"].xattrs == opaque


def test_zeros_take_no_disk(own_store: Store, maps: IdMaps) -> None:
    image = put_image(own_store, Layer().file("z", bytes(50 << 20) + b"end").tar())
    layers.ensure_layers(own_store, image, maps)
    path = f"{layer_folder(own_store, image, maps)}/z"
    assert os.stat(path).st_blocks * 512 < 1 << 20
    with open(path, "rb") as file:
        assert file.read() == bytes(50 << 20) + b"end"


@pytest.mark.parametrize("options", (["--format=gnu"], ["--format=posix", "--xattrs"], ["--format=ustar"]))
def test_gnu_tar_and_pyctr_unpack_alike(
    options: list[str], own_store: Store, maps: IdMaps, tmp_path: pathlib.Path
) -> None:
    source, theirs = tmp_path / "source", tmp_path / "theirs"
    fill(source, long_names="--format=ustar" not in options)
    theirs.mkdir()
    tar = userns.call_mapped(maps, tar_of, str(source), options)
    userns.call_mapped(maps, untar, str(theirs), tar)
    assert unpack(own_store, maps, tar) == look(str(theirs), maps)


@pytest.mark.parametrize("version", ("0.0", "0.1", "1.0", "gnu"))
def test_sparse_files_of_gnu_tar(
    version: str, own_store: Store, maps: IdMaps, tmp_path: pathlib.Path
) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        for offset in range(0, 60 << 20, 1 << 20):
            file.seek(offset + 4096)
            file.write(b"data" * 2000)
        file.truncate(61 << 20)
    options = ["--format=gnu"] if version == "gnu" else ["--format=posix", f"--sparse-version={version}"]
    tar = tar_of(str(tmp_path), ["--sparse", *options])
    assert len(tar) < 2 << 20
    assert unpack(own_store, maps, tar)["sparse"].content == (tmp_path / "sparse").read_bytes()


def fill(source: pathlib.Path, *, long_names: bool) -> None:
    name = "a long name " * 12 if long_names else "ä"
    (source / name / ("deep " * 30 if long_names else "deep")).mkdir(parents=True)
    (source / name / "file").write_bytes(os.urandom(700_000))
    (source / "empty").touch()
    (source / "exact").write_bytes(b"x" * 512)
    (source / "hard").hardlink_to(source / "exact")
    (source / "soft").symlink_to("x" * (200 if long_names else 90))
    os.mkfifo(source / "pipe")
    os.setxattr(source / "exact", "user.k", b"v")
    os.chmod(source / "empty", 0o6751)
    for path in source.iterdir():
        os.utime(path, (MTIME, MTIME), follow_symlinks=False)


def tar_of(folder: str, options: list[str]) -> bytes:
    return subprocess.run(["tar", "-C", folder, *options, "-c", "."], stdout=-1, check=True).stdout


def untar(folder: str, tar: bytes) -> None:
    subprocess.run(["tar", "-C", folder, "--xattrs", "-xp"], input=tar, check=True)


def test_trailing_bytes_after_the_end_count_for_the_diff_id(own_store: Store, maps: IdMaps) -> None:
    assert "a" in unpack(own_store, maps, Layer().file("a").tar() + b"trailing" * 1000)


def test_an_empty_layer(own_store: Store, maps: IdMaps) -> None:
    assert list(unpack(own_store, maps, b"")) == ["."]


def test_global_headers_are_passed_over(own_store: Store, maps: IdMaps) -> None:
    file = io.BytesIO()
    with tarfile.open(
        fileobj=file, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "c"}
    ) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    assert sorted(unpack(own_store, maps, file.getvalue())) == [".", "a"]


@pytest.mark.parametrize(
    ("name", "cleaned"),
    ((b"/a/b", b"a/b"), (b"./a//b/", b"a/b"), (b"a/../b", b"b"), (b"./", b""), (b"", b"")),
)
def test_names_are_cleaned(name: bytes, cleaned: bytes) -> None:
    assert clean(name) == cleaned


def test_links_stop_at_the_root() -> None:
    assert clamp(b"a/../../../b/./c") == b"b/c"
