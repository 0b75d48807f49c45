"""Archives and folders that pyctr writes: read by podman, skopeo, umoci and by pyctr itself."""

import gzip
import json
import os
import pathlib
import subprocess
import tarfile
from typing import Any

import pytest

from pyctr.image import load, lookup, places, saving
from pyctr.image.places import Place
from pyctr.image.rendering import Wishes
from pyctr.rootless.errors import PyctrError
from pyctr.storage import images
from pyctr.storage.paths import Store
from tests import ocirules
from tests.commands import Cli
from tests.conftest import needs
from tests.image.test_load import LAYER, docker_archive
from tests.images import Layer, image_config, write_docker_archive
from tests.peers import Podman

NAME = "example.com/a:1"
SECOND = Layer().whiteout("etc/data").file("etc/more", "more").tar()
FORMATS = ("docker-archive", "oci-archive", "oci-dir", "docker-dir")
every_format = pytest.mark.parametrize("kind", FORMATS)


@pytest.fixture
def image(own_store: Store, tmp_path: pathlib.Path) -> images.Image:
    """Two layers, one of them compressed."""
    import hashlib

    digests = [hashlib.sha256(layer).hexdigest() for layer in (LAYER, SECOND)]
    changes: dict[str, object] = {
        "config.json": json.dumps(image_config(digests, {"Cmd": ["cat", "/etc/more"]})),
        "m/layer.tar": gzip.compress(SECOND, mtime=0),
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": [NAME], "Layers": ["l/layer.tar", "m/layer.tar"]}]
        ),
    }
    load.load(own_store, str(docker_archive(tmp_path / "a.tar", **changes)))
    return lookup.lookup(own_store, NAME)


def save(store: Store, image: images.Image, kind: str, path: pathlib.Path, **wishes: Any) -> str:
    formats = {"docker-archive": "", "oci-archive": "oci", "oci-dir": "oci", "docker-dir": "v2s2"}
    asked = Wishes(format=formats[kind], **wishes)
    return saving.save(store, [saving.Chosen(image, (NAME,))], saving.place_of(kind, str(path)), asked)


def skopeo(*words: str) -> str:
    needs("skopeo")
    done = subprocess.run(["skopeo", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@every_format
def test_what_is_saved_is_loaded_again(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path, kind: str
) -> None:
    save(own_store, image, kind, tmp_path / "saved")
    other = own_store.replace(root=f"{own_store.root}-2")
    try:
        [name] = load.load(other, str(tmp_path / "saved"))
        again = lookup.lookup(other, name)
        assert again.id == image.id
        assert [each.diff_id for each in again.layers] == [each.diff_id for each in image.layers]
        assert name == NAME or kind == "docker-dir"
    finally:
        from pyctr.storage import trees

        trees.remove(other.root)


@every_format
def test_podman_runs_the_same_image_under_the_same_digest(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path, podman: Podman, kind: str
) -> None:
    digest = save(own_store, image, kind, tmp_path / "saved")
    loaded = podman("load", "-q", "-i", tmp_path / "saved").stdout.split(": ")[1].strip()
    seen = podman("image", "inspect", "-f", "{{.Id}} {{.Digest}} {{.RootFS.Layers}}", loaded).stdout.split()
    layers = [each.diff_id for each in image.layers]
    assert [seen[0], *" ".join(seen[2:]).strip("[]").split()] == [image.id, *layers]
    assert seen[1] == digest
    podman("rmi", "-f", loaded)


@every_format
def test_skopeo_reads_it(own_store: Store, image: images.Image, tmp_path: pathlib.Path, kind: str) -> None:
    transport = places.FORMATS[kind]
    digest = save(own_store, image, kind, tmp_path / "saved")
    seen = json.loads(skopeo("inspect", f"{transport}:{tmp_path}/saved"))
    assert len(seen["Layers"]) == 2
    if kind != "docker-archive":  # skopeo makes up a manifest of its own for that
        assert seen["Digest"] == digest


@pytest.mark.parametrize("transport", ["oci-archive", "oci", "dir", "docker-archive"])
def test_what_skopeo_writes_is_read(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path, transport: str
) -> None:
    save(own_store, image, "oci-dir", tmp_path / "layout")
    tail = "" if transport == "dir" else ":example.com/b:2"
    skopeo("copy", "-q", f"oci:{tmp_path}/layout", f"{transport}:{tmp_path}/copied{tail}")
    place = places.parse(f"{transport}:{tmp_path}/copied")
    assert place
    [name] = load.load(own_store, place.path, wanted=place.name)
    assert lookup.lookup(own_store, name).config == image.config


def test_umoci_unpacks_it(own_store: Store, image: images.Image, tmp_path: pathlib.Path) -> None:
    needs("umoci")
    place = Place("oci", str(tmp_path / "layout"), "1")
    saving.save(own_store, [saving.Chosen(image)], place)
    words = ["umoci", "unpack", "--rootless", "--image", f"{place.path}:1", str(tmp_path / "bundle")]
    subprocess.run(words, check=True, capture_output=True)
    assert (tmp_path / "bundle/rootfs/etc/more").read_text() == "more"
    assert not (tmp_path / "bundle/rootfs/etc/data").exists()


def test_umoci_and_skopeo_take_the_store_for_a_layout(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path
) -> None:
    needs("umoci")
    digest = save(own_store, image, "oci-dir", tmp_path / "layout")
    load.load(own_store, str(tmp_path / "layout"))
    source = f"oci:{own_store.root}:{NAME}"
    assert json.loads(skopeo("inspect", source))["Digest"] == digest
    ocirules.check_layout(pathlib.Path(own_store.root))
    words = ["umoci", "unpack", "--rootless", "--image", source[4:], str(tmp_path / "bundle")]
    subprocess.run(words, check=True, capture_output=True)
    listed = subprocess.run(
        ["umoci", "list", "--layout", own_store.root], check=True, capture_output=True, text=True
    )
    assert listed.stdout.split() == [NAME]


@pytest.mark.parametrize("compress", [True, False])
def test_layouts_keep_the_rules(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path, compress: bool
) -> None:
    digest = save(own_store, image, "oci-dir", tmp_path / "saved", compress=compress)
    [entry] = ocirules.check_layout(tmp_path / "saved")
    assert entry["digest"] == digest
    types = json.loads((tmp_path / f"saved/blobs/sha256/{digest[7:]}").read_text())["layers"]
    plain = [layer["mediaType"].endswith(".tar") for layer in types]
    assert plain == [not compress, False]


def test_a_layout_gets_more_images_and_newer_ones(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path
) -> None:
    for name in ("1", "2", "1"):
        place = Place("oci", str(tmp_path / "layout"), name)
        saving.save(own_store, [saving.Chosen(image)], place)
    entries = ocirules.check_layout(tmp_path / "layout")
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in entries]
    assert sorted(names) == ["1", "2"]
    assert load.load(own_store, str(tmp_path / "layout"), wanted="2") == ["localhost/2:latest"]
    with pytest.raises(PyctrError, match="no image of the name 3"):
        load.load(own_store, str(tmp_path / "layout"), wanted="3")


def test_a_folder_that_is_no_layout_stays_as_it_is(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(PyctrError, match="index.json"):
        save(own_store, image, "oci-dir", tmp_path)
    assert (tmp_path / "index.json").read_text() == "[]"
    assert not (tmp_path / "blobs").exists()


def test_a_damaged_blob_is_not_saved(own_store: Store, image: images.Image, tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(own_store.blob(image.layers[1].digest))
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    (tmp_path / "saved").write_text("older")
    for kind in ("docker-archive", "oci-archive"):
        with pytest.raises(PyctrError, match=r"damaged|checksum"):
            save(own_store, image, kind, tmp_path / "saved")
    assert (tmp_path / "saved").read_text() == "older"
    assert sorted(os.listdir(tmp_path)) == ["a.tar", "saved"]


def test_archives_are_the_same_bytes_every_time(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path
) -> None:
    for kind in ("docker-archive", "oci-archive"):
        for name in ("one", "two"):
            save(own_store, image, kind, tmp_path / name)
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("docker-archive:/x/a.tar", Place("docker-archive", "/x/a.tar")),
        ("docker-archive:a.tar:quay.io/b:1", Place("docker-archive", "a.tar", "quay.io/b:1")),
        ("oci:folder:1.0", Place("oci", "folder", "1.0")),
        ("oci-archive:a", Place("oci-archive", "a")),
        ("dir:/a:b", Place("dir", "/a:b")),
        ("docker://alpine", None),
        ("alpine:oci", None),
        ("oci", None),
    ],
)
def test_places_are_parsed(text: str, found: Place | None) -> None:
    assert places.parse(text) == found


# The command line.


def test_save_goes_through_a_pipe(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    with (tmp_path / "a.tar").open("wb") as file:
        cli("save", "-q", busybox, stdout=file)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert "manifest.json" in archive.getnames()
    cli("rmi", busybox)
    assert cli("load", "-q", "-i", tmp_path / "a.tar").stdout == f"Loaded image: {busybox}\n"


def test_more_words_are_names_or_images(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    other = tmp_path / "other.tar"
    write_docker_archive(other, [LAYER], "localhost/other:1")
    cli("load", "-q", "-i", other)
    cli("save", "-q", "-o", tmp_path / "a.tar", busybox, "more:2")
    assert entries(tmp_path / "a.tar")[0]["RepoTags"] == [busybox, "localhost/more:2"]
    cli("save", "-q", "-m", "-o", tmp_path / "b.tar", busybox, "other:1", busybox)
    tags = [each["RepoTags"] for each in entries(tmp_path / "b.tar")]
    assert tags == [[busybox], ["localhost/other:1"]]


def entries(path: pathlib.Path) -> list[dict[str, Any]]:
    with tarfile.open(path) as archive:
        file = archive.extractfile("manifest.json")
        assert file
        found: list[dict[str, Any]] = json.load(file)
    return found


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--format oci-dir", "needs a name"),
        ("--compress -o x", "docker-dir only"),
        ("--uncompressed -o x", "oci-archive"),
        ("-m --format oci-archive -o x", "docker-archive only"),
        ("-o /nonexistent/x", "cannot save to /nonexistent/x"),
    ],
)
def test_save_says_what_is_wrong(cli: Cli, busybox: str, words: str, complaint: str) -> None:
    done = cli("save", *words.split(), busybox, check=False)
    assert done.returncode == 125
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("foo", "docker.io/library/foo:latest"),
        ("team/foo:2", "docker.io/team/foo:2"),
        ("localhost/foo", "localhost/foo:latest"),
        ("example.com:5000/foo:2", "example.com:5000/foo:2"),
    ],
)
def test_a_name_in_an_archive_is_whole(
    cli: Cli, busybox: str, podman: Podman, tmp_path: pathlib.Path, given: str, kept: str
) -> None:
    cli("push", "-q", busybox, f"docker-archive:{tmp_path}/a.tar:{given}")
    assert entries(tmp_path / "a.tar")[0]["RepoTags"] == [kept]
    assert podman("load", "-q", "-i", tmp_path / "a.tar").stdout == f"Loaded image: {kept}\n"
    podman("rmi", "-f", kept)


@pytest.mark.parametrize("name", ["Foo", "foo:", "-", "a b", "foo:$x", f"foo@sha256:{'0' * 64}", "@0"])
def test_what_is_no_name_of_an_archive_is_refused(
    cli: Cli, busybox: str, tmp_path: pathlib.Path, name: str
) -> None:
    done = cli("push", "-q", busybox, f"docker-archive:{tmp_path}/a.tar:{name}", check=False)
    assert done.returncode == 125 and name in done.stderr
    assert os.listdir(tmp_path) == []


def test_a_link_to_an_archive_stays_one(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/a.tar").write_text("older")
    (tmp_path / "link").symlink_to("there/a.tar")
    (tmp_path / "new").symlink_to("there/b.tar")
    for name in ("link", "new"):
        cli("save", "-q", "-o", tmp_path / name, busybox)
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "there/a.tar").read_bytes() == (tmp_path / "there/b.tar").read_bytes()
    assert sorted(os.listdir(tmp_path / "there")) == ["a.tar", "b.tar"]


def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path
) -> None:
    (tmp_path / f".saved.{os.getpid()}").write_text("left")
    save(own_store, image, "docker-archive", tmp_path / "saved")
    assert sorted(os.listdir(tmp_path)) == [f".saved.{os.getpid()}", "a.tar", "saved"]


def test_an_older_archive_goes_when_the_new_one_is_on_disk(
    own_store: Store, image: images.Image, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saved").write_text("older")
    synced: list[tuple[int, str]] = []

    def sync(fd: int) -> None:
        synced.append((os.fstat(fd).st_size, (tmp_path / "saved").read_text()))

    monkeypatch.setattr("os.fsync", sync)
    save(own_store, image, "docker-archive", tmp_path / "saved")
    monkeypatch.undo()
    assert synced == [((tmp_path / "saved").stat().st_size, "older")]


@pytest.mark.parametrize("place", ["oci:{}/x:1", "oci-archive:{}/x:1", "docker-archive:{}/x", "dir:{}/x"])
def test_push_and_pull_reach_archives(cli: Cli, busybox: str, tmp_path: pathlib.Path, place: str) -> None:
    to = place.format(tmp_path)
    cli("push", "-q", busybox, to)
    image_id = cli("images", "-q", "--no-trunc").stdout.strip()
    cli("rmi", busybox)
    assert f"sha256:{cli('pull', '-q', to).stdout.strip()}" == image_id
