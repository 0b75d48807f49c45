"""Manifests and configs: what is read, and what is refused."""

import json
from typing import Any

import pytest

from pyctr.image import manifest
from pyctr.image.manifest import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Index,
    Invalid,
    Manifest,
)

DIGEST = "sha256:" + "0123456789abcdef" * 4
LAYER = {"mediaType": f"{OCI_LAYER}+gzip", "digest": DIGEST, "size": 10}
CONFIG = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 20}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
ENTRY = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 30}
INDEX = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [ENTRY]}
SETTINGS = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [DIGEST]}}


def parse(document: object, announced: str = "") -> Manifest | Index:
    return manifest.parse(json.dumps(document).encode(), announced, "the thing")


def changed(document: dict[str, Any], **fields: object) -> dict[str, Any]:
    """A copy with other fields; those that are ... are left out."""
    return {key: value for key, value in {**document, **fields}.items() if value is not ...}


@pytest.mark.parametrize("announced", ["", OCI_MANIFEST, "text/plain"])
@pytest.mark.parametrize("inside", [OCI_MANIFEST, ...])
def test_an_oci_manifest_may_leave_out_its_type(announced: str, inside: object) -> None:
    found = parse(changed(IMAGE, mediaType=inside), announced)
    assert isinstance(found, Manifest)
    assert (found.config.size, found.layers[0].digest) == (20, DIGEST)


def test_an_index_is_read_with_its_platforms() -> None:
    platform = {"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1"}
    found = parse(changed(INDEX, manifests=[{**ENTRY, "platform": platform}, ENTRY]))
    assert isinstance(found, Index)
    assert [str(entry.platform) for entry in found.manifests] == ["linux/arm/v7", "None"]


@pytest.mark.parametrize(
    ("document", "announced", "words"),
    [
        (IMAGE, OCI_INDEX, "announced as"),
        (INDEX, OCI_MANIFEST, "announced as"),
        (IMAGE, DOCKER_MANIFEST, "announced as"),
        (changed(IMAGE, manifests=[]), "", "another kind"),
        (changed(INDEX, layers=[]), "", "another kind"),
        (changed(INDEX, config=CONFIG), "", "another kind"),
        (changed(INDEX, mediaType=...), OCI_MANIFEST, "another kind"),
        (changed(IMAGE, fsLayers=[]), "", "another kind"),
        (changed(IMAGE, schemaVersion=1), "", "schema 1"),
        ({"schemaVersion": 1, "fsLayers": []}, "", "schema 1"),
        ({}, manifest.SCHEMA1[0], "schema 1"),
        ({}, manifest.SCHEMA1[1], "schema 1"),
        ({}, "", "not an image"),
        (changed(IMAGE, mediaType="application/x"), "", "not an image"),
        (changed(IMAGE, schemaVersion=3), "", "schemaVersion"),
        (changed(IMAGE, schemaVersion="2"), "", "schemaVersion"),
        (changed(IMAGE, schemaVersion=...), "", "schemaVersion"),
        (changed(IMAGE, mediaType=7), "", "not text"),
        (changed(IMAGE, config=...), OCI_MANIFEST, "lacks the field 'config'"),
        (changed(IMAGE, config=[]), "", "not an object"),
        (changed(IMAGE, config=changed(CONFIG, mediaType="application/x")), "", "not a container image"),
        (changed(IMAGE, config=changed(CONFIG, size=1 << 40)), "", "config of"),
        (changed(IMAGE, layers={}), "", "not a list"),
        (changed(IMAGE, layers=[7]), "", "not an object"),
        (changed(IMAGE, layers=[LAYER] * 1001), "", "1001 layers"),
        (changed(IMAGE, layers=[changed(LAYER, mediaType="text/html")]), "", "unknown type"),
        (changed(IMAGE, layers=[changed(LAYER, size=-1)]), "", "-1 bytes"),
        (changed(IMAGE, layers=[changed(LAYER, size="10")]), "", "not a number"),
        (changed(IMAGE, layers=[changed(LAYER, size=True)]), "", "not a number"),
        (changed(IMAGE, layers=[changed(LAYER, size=1.5)]), "", "not a number"),
        (changed(IMAGE, layers=[changed(LAYER, digest="sha256:../../x")]), "", "which is none"),
        (changed(IMAGE, layers=[changed(LAYER, digest=...)]), "", "which is none"),
        (changed(IMAGE, annotations={"a": 1}), "", "not text"),
        (changed(INDEX, manifests=[{**ENTRY, "platform": "linux"}]), "", "not an object"),
    ],
)
def test_what_could_be_misread_is_refused(document: object, announced: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(document, announced)
    assert words in caught.value.message
    assert "the thing" in caught.value.message


@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
def test_both_kinds_of_index_are_read(media_type: str) -> None:
    assert isinstance(parse(changed(INDEX, mediaType=media_type)), Index)


def test_a_docker_manifest_is_read() -> None:
    config = changed(CONFIG, mediaType=DOCKER_CONFIG)
    layers = [changed(LAYER, mediaType=f"{manifest.DOCKER_LAYER}.gzip")]
    assert isinstance(
        parse(changed(IMAGE, mediaType=DOCKER_MANIFEST, config=config, layers=layers)), Manifest
    )


def test_null_counts_as_missing() -> None:
    assert isinstance(parse(changed(IMAGE, annotations=None, mediaType=None)), Manifest)


def read_config(document: object) -> manifest.Config:
    return manifest.parse_config(json.dumps(document).encode(), "the config")


def test_empty_settings_are_left_out() -> None:
    settings: dict[str, object] = {
        "Env": ["A=b"],
        "Cmd": None,
        "User": "",
        "Labels": {},
        "Tty": False,
        "ArgsEscaped": True,
    }
    found = read_config(changed(SETTINGS, config=settings, created=None))
    assert found.config == {"Env": ["A=b"], "Tty": False, "ArgsEscaped": True}
    assert (found.created, found.diff_ids) == ("", (DIGEST,))


@pytest.mark.parametrize(
    "document",
    [
        changed(SETTINGS, os=...),
        changed(SETTINGS, architecture=7),
        changed(SETTINGS, rootfs=...),
        changed(SETTINGS, rootfs={"type": "tree", "diff_ids": []}),
        changed(SETTINGS, rootfs={"type": "layers", "diff_ids": ["x"]}),
        changed(SETTINGS, rootfs={"type": "layers", "diff_ids": "x"}),
        changed(SETTINGS, config=[]),
        changed(SETTINGS, config={"Env": "A=b"}),
        changed(SETTINGS, config={"Env": [1]}),
        changed(SETTINGS, config={"Cmd": "sh"}),
        changed(SETTINGS, config={"Entrypoint": [None]}),
        changed(SETTINGS, config={"User": 1000}),
        changed(SETTINGS, config={"Labels": {"a": 1}}),
        changed(SETTINGS, config={"Labels": ["a"]}),
        changed(SETTINGS, config={"Volumes": ["/data"]}),
        changed(SETTINGS, config={"ExposedPorts": "80"}),
        changed(SETTINGS, config={"StopSignal": 9}),
        changed(SETTINGS, config={"Healthcheck": "true"}),
        changed(SETTINGS, history=["x"]),
        changed(SETTINGS, created=7),
    ],
)
def test_a_config_of_wrong_types_is_refused(document: object) -> None:
    with pytest.raises(Invalid, match="the config"):
        read_config(document)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b"[]",
        b"[7]",
        b'[{"Config": 7, "Layers": []}]',
        b'[{"Layers": []}]',
        b'[{"Config": "x", "Layers": "y"}]',
        b'[{"Config": "x", "Layers": [1]}]',
        b'[{"Config": "x", "RepoTags": [null]}]',
        b"x",
    ],
)
def test_a_wrong_docker_archive_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match="manifest.json"):
        manifest.parse_archive(data, "manifest.json")
