"""Names that are paths, from the command line, from archives and from registries: none becomes one."""

import gzip
import hashlib
import json
import os
import pathlib

import pytest

from pyctr.storage import paths
from pyctr.storage.paths import Store
from tests.commands import Cli
from tests.image.servers import Sample, serve
from tests.images import Layer, image_config, write_docker_archive

EVIL = (
    "../../evil",
    "/etc/passwd",
    "..",
    ".",
    "a/../../../evil",
    "a/./b",
    "localhost/..:x",
    "a:../../evil",
    "a:..",
    "a@../../evil",
    "a@sha256:../../../../../../../../../../../../../../../../../../../../evil",
    "sha256:../../evil",
    "a%2f..%2fevil",
    "a\\..\\evil",
    "~/evil",
    "-evil",
    "evil\n",
    "",
)


def tree(cli: Cli) -> list[str]:
    """All that is in the folder of the test, but what any call may write."""
    found = [str(path) for path in pathlib.Path(cli.folder).rglob("*")]
    return sorted([path for path in found if not path.endswith((".lock", "events.log", "conf.json"))])


@pytest.mark.parametrize(
    "words",
    [
        "tag IMAGE NAME",
        "commit -q box NAME",
        "import -q ARCHIVE NAME",
        "pull -q NAME",
        "push -q --tls-verify=false IMAGE NAME",
        "manifest create -- NAME",
        "manifest add list NAME",
        "untag IMAGE NAME",
        "rmi -- NAME",
        "run --rm NAME",
        "image inspect -- NAME",
        "history -- NAME",
        "save -q -o OUT -- NAME",
        "volume create -- NAME",
        "volume rm -- NAME",
        "create --name NAME IMAGE",
        "rm -- NAME",
        "search --list-tags -- NAME",
    ],
)
def test_no_command_takes_a_path_for_a_name(
    cli: Cli, busybox: str, busybox_archive: pathlib.Path, words: str
) -> None:
    cli("create", "--name", "box", busybox)
    cli("manifest", "create", "list")
    before = tree(cli)
    for evil in EVIL:
        if not evil and words.startswith(("import", "commit", "volume create", "create", "save")):
            continue  # no name at all
        given = {"NAME": evil, "IMAGE": busybox, "ARCHIVE": str(busybox_archive), "OUT": f"{cli.folder}/out"}
        done = cli(*[given.get(word, word) for word in words.split()], check=False)
        assert done.returncode in (1, 125), (evil, done.stdout, done.stderr)
        assert "unexpectedly" not in done.stderr and "Traceback" not in done.stderr
        assert tree(cli) == before, evil


@pytest.mark.parametrize("evil", [name for name in EVIL if name not in ("", "-evil", "evil\n")])
@pytest.mark.parametrize("kind", ["docker-archive", "oci", "containerd"])
def test_names_in_archives(cli: Cli, store: Store, tmp_path: pathlib.Path, kind: str, evil: str) -> None:
    if kind == "docker-archive":
        write_docker_archive(tmp_path / "x", [Layer().file("a").tar()], evil)
    else:
        write_layout(tmp_path / "x", evil, "org.opencontainers.image.ref.name" if kind == "oci" else
                     "io.containerd.image.name")  # fmt: skip
    done = cli("load", "-q", "-i", tmp_path / "x", check=False)
    assert done.returncode == 125 and str(tmp_path / "x") in done.stderr
    assert cli("images", "-aq").stdout == "" and not os.path.exists(f"{cli.folder}/evil")


def write_layout(folder: pathlib.Path, name: str, annotation: str) -> None:
    """An OCI layout of one image under this name."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    tar = Layer().file("a").tar()

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        kind = f"application/vnd.oci.image.{media_type}"
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    layer = put(gzip.compress(tar), "layer.v1.tar+gzip")
    config = put(json.dumps(image_config([hashlib.sha256(tar).hexdigest()], {})).encode(), "config.v1+json")
    document = {"schemaVersion": 2, "config": config, "layers": [layer]}
    manifest = put(json.dumps(document).encode(), "manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [{**manifest, "annotations": {annotation: name}}]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


@pytest.mark.parametrize("field", ["layer", "config"])
@pytest.mark.parametrize(
    "digest", ["sha256:../../../evil", "sha256:" + "../" * 21 + "e", "../evil:" + "0" * 64]
)
def test_digests_in_manifests(cli: Cli, field: str, digest: str) -> None:
    with serve() as scripted:
        sample = Sample(scripted)
        part = sample.manifest["layers"][0] if field == "layer" else sample.manifest["config"]
        part["digest"] = digest
        sample.serve_manifest()
        done = cli("pull", "-q", sample.reference, check=False)
        assert done.returncode == 125 and digest in done.stderr
        assert [path for path, _ in scripted.requests if "evil" in path or "%2e" in path.lower()] == []


def test_every_name_becomes_one_component_of_a_path() -> None:
    names = ["a/b", "..", ".", "a%2Fb", "%", "é", "a:b@c", "x" * 200, "A", "a", ".hidden", "%2e%2e"]
    quoted = [paths.quote_component(name) for name in names]
    assert len(set(quoted)) == len(names)
    assert not [text for text in quoted if "/" in text or text.startswith(".") or "\0" in text]
    assert [paths.unquote_component(text) for text in quoted] == names
