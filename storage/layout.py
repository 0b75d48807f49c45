"""oci-layout and index.json, which make the store readable as an OCI image layout.

Source: OCI image-spec, image-layout.md. Both are derived from names and images; pyctr never reads them.
"""

import os

from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, images, paths, records

_VERSION = '{"imageLayoutVersion":"1.0.0"}\n'
_OCI = "application/vnd.oci.image.manifest.v1+json"
_REF_NAME = "org.opencontainers.image.ref.name"


def refresh(store: paths.Store) -> None:
    """Writes index.json anew. Derived: a failure to write it loses nothing and is passed over."""
    try:
        _write(store)
    except OSError:
        pass


def _write(store: paths.Store) -> None:
    with records.lock_file(f"{store.oci_index()}.lock"):
        if not os.path.exists(store.oci_layout()):
            records.write_text(store.oci_layout(), _VERSION, durable=False)
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
        text = jsontext.dumps({**index, "manifests": _descriptors(store)})
        records.write_text(store.oci_index(), text + "\n", durable=False)


def _descriptors(store: paths.Store) -> list[dict[str, object]]:
    found = []
    for row in images.list_images(store):
        if row.image is None:
            continue
        descriptor = _descriptor(store, row.image)
        if descriptor is not None:
            names = [{"annotations": {_REF_NAME: name}} for name in row.names] or [{}]
            found += [{**descriptor, **annotations} for annotations in names]
    return found


def _descriptor(store: paths.Store, image: images.Image) -> dict[str, object] | None:
    digest = image.oci_digest or image.manifest_digest
    try:
        size = blobs.blob_size(store, digest)
    except PyctrError:
        return None
    return {
        "mediaType": _OCI if image.oci_digest else image.manifest_media_type,
        "digest": digest,
        "size": size,
    }
