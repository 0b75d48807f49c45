"""The OCI manifest of an image whose own is Docker's: a second one in the store, which index.json names.

Readers of OCI image layouts know no other (image-layout.md and manifest.md of the OCI image-spec). It names
the same blobs; what is pushed and saved is the image's own manifest.
"""

from pyctr.image import conversion, rendering
from pyctr.image.manifest import OCI_MANIFEST, Descriptor
from pyctr.image.rendering import KINDS
from pyctr.storage import blobs, paths
from pyctr.storage.compression import kind_of
from pyctr.storage.images import Image
from pyctr.storage.pins import Pin


def put(pin: Pin, image: Image) -> Image:
    """Stores the OCI manifest of an image whose blobs are stored; the record that names it. PyctrError."""
    source = rendering.source_of(pin.store, image)
    layers = [_as_oci(pin.store, layer) for layer in source.manifest.layers]
    data = conversion.converted(source.data, OCI_MANIFEST, layers)
    return image.replace(oci_digest=pin.put_blob(data))


def _as_oci(store: paths.Store, layer: Descriptor) -> Descriptor:
    """By its content: a layer loaded without compression has Docker's type for gzip, as in podman."""
    with blobs.open_blob(store, layer.digest) as file:
        kind = kind_of(file.read(6))
    known = kind if kind in KINDS else ""
    return layer.replace(media_type=conversion.layer_type(layer.media_type, known, OCI_MANIFEST))
