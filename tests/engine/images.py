"""Image records for tests that unpack nothing."""

from pyctr.storage import images
from pyctr.storage.images import Image
from pyctr.storage.paths import Store


def make_image(config: dict[str, object] | None = None) -> Image:
    """An image without layers."""
    return Image(
        version=images.IMAGE_VERSION,
        id="ab" * 32,
        manifest_digest=f"sha256:{'cd' * 32}",
        manifest_media_type="application/vnd.oci.image.manifest.v1+json",
        created="2024-01-01T00:00:00Z",
        architecture="amd64",
        os="linux",
        size=0,
        layers=(),
        config=config or {},
    )


def put_image(store: Store, config: dict[str, object] | None = None) -> Image:
    """An image without layers, in a store."""
    image = make_image(config)
    with images.making(store):
        images.put_image(store, image)
    return image
