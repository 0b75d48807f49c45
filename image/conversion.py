"""Manifests in another format, or with layers that were compressed anew.

Sources: OCI image-spec (manifest.md, layer.md); the distribution project's "Image Manifest Version 2,
Schema 2". The config keeps its bytes in both formats, and so the image its id: OCI's config is a part of
docker's, and readers ignore what they do not know.
"""

from pyctr.image.manifest import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_MANIFEST,
    FOREIGN,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
)
from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

FORMATS = {"oci": OCI_MANIFEST, "v2s2": DOCKER_MANIFEST}


def is_foreign(media_type: str) -> bool:
    """Whether a layer is one that may not be distributed: it is never changed."""
    return media_type.startswith(FOREIGN)


def media_type_for(wanted: str, found: Manifest, kinds: "Sequence[str]") -> str:
    """The type of the manifest for the wanted format (oci, v2s2 or as it is) and its layers' compression.

    Raises PyctrError for zstd in a manifest of docker's, which has no type for it.
    """
    media_type = FORMATS[wanted] if wanted else found.media_type
    if media_type == DOCKER_MANIFEST and "zstd" in kinds:
        if wanted:
            raise PyctrError(
                "layers compressed with zstd cannot be in a manifest of the format v2s2",
                "Use --format oci, or --compression-format gzip.",
            )
        return OCI_MANIFEST
    return media_type


def layer_type(media_type: str, kind: str, manifest_type: str) -> str:
    """The type of a layer in a manifest of some type, compressed as `kind` (gzip, zstd or not at all)."""
    oci = manifest_type == OCI_MANIFEST
    if is_foreign(media_type):
        return f"{FOREIGN[0]}{'+' if kind else ''}{kind}" if oci else f"{FOREIGN[1]}.{kind or 'gzip'}"
    return f"{OCI_LAYER}{'+' if kind else ''}{kind}" if oci else f"{DOCKER_LAYER}{'.' if kind else ''}{kind}"


def converted(data: bytes, media_type: str, layers: "Sequence[Descriptor]") -> bytes:
    """The manifest in `data` as one of this type with these layers, which have their types already."""
    document: dict[str, Any] = jsontext.loads(data.decode())
    document["mediaType"] = media_type
    document["config"]["mediaType"] = OCI_CONFIG if media_type == OCI_MANIFEST else DOCKER_CONFIG
    rows = zip(document.get("layers") or [], layers, strict=True)
    document["layers"] = [_layer(entry, layer) for entry, layer in rows]
    if media_type == DOCKER_MANIFEST:
        _drop_annotations(document)
    return jsontext.dumps(document).encode()


def _layer(entry: "dict[str, Any]", layer: Descriptor) -> "dict[str, Any]":
    return {**entry, "mediaType": layer.media_type, "size": layer.size, "digest": layer.digest}


def _drop_annotations(document: "dict[str, Any]") -> None:
    """Docker's format has none."""
    for entry in (document, document["config"], *document["layers"]):
        entry.pop("annotations", None)
