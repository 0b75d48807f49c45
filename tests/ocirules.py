"""The rules of the OCI image-spec for the JSON documents of an image layout, as a checker.

Sources: descriptor.md, manifest.md, image-index.md, config.md, image-layout.md of the image-spec v1.1.
"""

import hashlib
import json
import pathlib
import re
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYERS = tuple(
    f"application/vnd.oci.image.layer.{kind}v1.tar{suffix}"
    for kind in ("", "nondistributable.")
    for suffix in ("", "+gzip", "+zstd")
)
_MEDIA_TYPE = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_DIGEST = r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
_REF_NAME = r"[A-Za-z0-9]+([-._:@/+]|--)?([A-Za-z0-9]+([-._:@/+]|--)?)*"
_MAGIC = {"+gzip": b"\x1f\x8b", "+zstd": b"\x28\xb5\x2f\xfd"}
_SETTINGS = {
    **{name: str for name in ("User", "WorkingDir", "StopSignal")},
    **{name: list for name in ("Env", "Entrypoint", "Cmd")},
    **{name: dict for name in ("ExposedPorts", "Volumes", "Labels")},
}


def check_layout(folder: pathlib.Path) -> list[dict[str, Any]]:
    """Every rule, for all that index.json reaches; AssertionError names the broken one. The entries."""
    assert json.loads((folder / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((folder / "index.json").read_text())
    _check_index(folder, index)
    entries: list[dict[str, Any]] = index["manifests"]
    return entries


def _check_index(folder: pathlib.Path, index: dict[str, Any]) -> None:
    assert index["schemaVersion"] == 2
    assert index.get("mediaType", INDEX) == INDEX
    for entry in index["manifests"]:
        data = _blob(folder, entry)
        if name := entry.get("annotations", {}).get("org.opencontainers.image.ref.name"):
            assert re.fullmatch(_REF_NAME, name), name
        if platform := entry.get("platform"):
            assert platform["architecture"] and platform["os"]
        assert entry["mediaType"] in (INDEX, MANIFEST), entry
        if entry["mediaType"] == INDEX:
            _check_index(folder, json.loads(data))
        else:
            _check_manifest(folder, json.loads(data))


def _check_manifest(folder: pathlib.Path, manifest: dict[str, Any]) -> None:
    assert manifest["schemaVersion"] == 2
    assert manifest.get("mediaType", MANIFEST) == MANIFEST
    assert manifest["config"]["mediaType"] == CONFIG
    _check_annotations(manifest)
    for layer in manifest["layers"]:
        assert layer["mediaType"] in LAYERS, layer
        _check_compression(layer["mediaType"], _blob(folder, layer)[:4])
    check_config(json.loads(_blob(folder, manifest["config"])), len(manifest["layers"]))


def _check_compression(media_type: str, start: bytes) -> None:
    suffix = media_type.rpartition("tar")[2]
    for kind, magic in _MAGIC.items():
        assert start.startswith(magic) == (kind == suffix), (media_type, start)


def check_config(config: dict[str, Any], layers: int) -> None:
    """config.md, for an image of so many layers."""
    assert config["architecture"] and config["os"]
    assert re.fullmatch(_TIME, config.get("created", "2000-01-01T00:00:00Z")), config["created"]
    assert config["rootfs"]["type"] == "layers"
    assert len(config["rootfs"]["diff_ids"]) == layers
    assert all(re.fullmatch(_DIGEST, each) for each in config["rootfs"]["diff_ids"])
    for name, kind in _SETTINGS.items():
        assert type(config.get("config", {}).get(name, kind())) is kind, name
    for variable in config.get("config", {}).get("Env", []):
        assert re.fullmatch(r"[^=]+=.*", variable, re.DOTALL), variable
    for port in config.get("config", {}).get("ExposedPorts", {}):
        assert re.fullmatch(r"\d+(/(tcp|udp|sctp))?", port), port
    if history := config.get("history"):
        assert len([entry for entry in history if not entry.get("empty_layer")]) == layers
        for entry in history:
            assert re.fullmatch(_TIME, entry.get("created", "2000-01-01T00:00:00Z"))
            for name in ("author", "created_by", "comment"):
                assert type(entry.get(name, "")) is str


def _check_annotations(document: dict[str, Any]) -> None:
    for key, value in document.get("annotations", {}).items():
        assert key and type(value) is str


def _blob(folder: pathlib.Path, descriptor: dict[str, Any]) -> bytes:
    assert re.fullmatch(_MEDIA_TYPE, descriptor["mediaType"])
    assert re.fullmatch(_DIGEST, descriptor["digest"])
    assert type(descriptor["size"]) is int
    _check_annotations(descriptor)
    algorithm, _, value = descriptor["digest"].partition(":")
    data: bytes = (folder / "blobs" / algorithm / value).read_bytes()
    assert len(data) == descriptor["size"]
    assert hashlib.new(algorithm, data).hexdigest() == value
    return data
