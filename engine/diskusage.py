"""How much disk space images, containers and volumes take: podman-system-df(1).

An image takes its layers, unpacked and as blobs, its config and its manifest. What several images have in
common is counted once in sums, and shown as shared. An unpacked layer counts as its tar, as in podman.
"""

from collections import Counter

from pyctr.engine import images as engine_images
from pyctr.engine import listing, truth, usage
from pyctr.engine import volumes as engine_volumes
from pyctr.rootless.errors import BrokenRecord, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import blobs, layers, paths, records, sweep, volumes
from pyctr.storage.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.engine.listing import Listed


class ImageUse(Value):
    """One image; bytes. `names` are its full names."""

    id: str
    names: tuple[str, ...]
    created: str  # RFC 3339
    size: int
    shared: int  # what other images have too
    unique: int  # what its removal frees
    containers: int


class ContainerUse(Value):
    """One container; bytes of its own layer."""

    id: str
    image: str
    command: tuple[str, ...]
    volumes: int
    size: int
    created: int  # nanoseconds since 1970
    status: str
    name: str


class VolumeUse(Value):
    """One volume; bytes. `links` counts the containers that mount it."""

    name: str
    links: int
    size: int


class Usage(Value):
    """All of it. `images_size` counts what images share once, `images_free` is what no container needs."""

    images: tuple[ImageUse, ...]
    containers: tuple[ContainerUse, ...]
    volumes: tuple[VolumeUse, ...]
    images_size: int
    images_free: int


class Summary(Value):
    """One kind of objects; bytes."""

    kind: str
    total: int
    active: int
    size: int
    reclaimable: int


def measure(store: paths.Store) -> Usage:
    """What is on disk now. Takes no lock."""
    found = listing.list_containers(store)
    rows = [(row, row.image) for row in engine_images.everything(store) if row.image is not None]
    parts = {image.id: _parts(store, image, is_list=row.is_list) for row, image in rows}
    every = {part: size for each in parts.values() for part, size in each.items()}
    counts = Counter([part for each in parts.values() for part in each])
    users = Counter([each.summary.image for each in found])
    used = [image_id for image_id in parts if users[image_id]]
    needed = {part: size for image_id in used for part, size in parts[image_id].items()}
    return Usage(
        images=tuple([_image(row.names, image, parts[image.id], counts, users) for row, image in rows]),
        containers=_containers(store, found),
        volumes=_volumes(store),
        images_size=sum(every.values()),
        images_free=sum(every.values()) - sum(needed.values()),
    )


def _parts(store: paths.Store, image: Image, *, is_list: bool) -> dict[str, int]:
    """Every blob and unpacked layer of an image, with its bytes. A list takes its record."""
    if is_list:
        return {image.id: image.size}
    found = {}
    for digest in image.digests:
        try:
            found[digest] = blobs.blob_size(store, digest)
        except PyctrError:
            continue
    for key in records.names_in(f"{store.root}/layers"):
        for layer in image.layers:
            path = f"{key}/{layers.layer_name(layer.chain_id)}"
            found[path] = sweep.layer_size(f"{store.root}/layers/{path}")
    return found


def _image(
    names: tuple[str, ...], image: Image, parts: dict[str, int], counts: Counter[str], users: Counter[str]
) -> ImageUse:
    unique = sum([size for part, size in parts.items() if counts[part] == 1])
    size = sum(parts.values())
    return ImageUse(image.id, names, image.created, size, size - unique, unique, users[image.id])


def _containers(store: paths.Store, found: "list[Listed]") -> tuple[ContainerUse, ...]:
    sizes = usage.upper_sizes(store, [each.id for each in found])
    return tuple(
        [
            ContainerUse(
                id=each.id,
                image=each.summary.image,
                command=(*each.summary.entrypoint, *each.summary.command),
                volumes=len([mount for mount in each.summary.mounts if mount.kind == "volume"]),
                size=sizes[each.id],
                created=each.summary.created,
                status=each.status,
                name=each.summary.name,
            )
            for each in found
        ]
    )


def _volumes(store: paths.Store) -> tuple[VolumeUse, ...]:
    names = volumes.names(store)
    sizes = usage.folder_sizes([volumes.data_folder(store, name) for name in names])
    rows = zip(names, sizes, strict=True)
    return tuple([VolumeUse(name, len(volumes.users(store, name)), size) for name, size in rows])


def summaries(found: Usage) -> tuple[Summary, ...]:
    """The three lines of `system df`."""
    running = [each for each in found.containers if each.status in truth.ALIVE]
    linked = [each for each in found.volumes if each.links]
    sizes = sum([each.size for each in found.containers]), sum([each.size for each in found.volumes])
    active = len([each for each in found.images if each.containers])
    return (
        Summary("Images", len(found.images), active, found.images_size, found.images_free),
        Summary(
            "Containers",
            len(found.containers),
            len(running),
            sizes[0],
            sizes[0] - sum([each.size for each in running]),
        ),
        Summary(
            "Local Volumes",
            len(found.volumes),
            len(linked),
            sizes[1],
            sizes[1] - sum([each.size for each in linked]),
        ),
    )


class Pruned(Value):
    """What `system prune` removed. `kept` tells why images stayed: a broken record might need them."""

    containers: tuple[str, ...]
    images: tuple[str, ...]
    volumes: tuple[str, ...]
    bytes: int
    kept: str = ""


def prune(
    store: paths.Store, *, every: bool = False, with_volumes: bool = False, filters: tuple[str, ...] = ()
) -> Pruned:
    """Removes containers that do not run, images that nothing needs, garbage, and perhaps volumes.

    podman-system-prune(1). Filters of volumes spare those with a name, as in podman.
    """
    from pyctr.engine import removal

    gone, size = _prune_containers(store, filters)
    pruned = engine_images.prune(store, every=every, filters=filters)
    freed = size + pruned.bytes
    names = []
    if with_volumes:
        volume_filters = tuple([text for text in filters if not text.startswith("until")])
        doomed = engine_volumes.prunable(store, every=not filters, filters=volume_filters)
        for name, bytes_ in engine_volumes.prune(store, doomed):
            names.append(name)
            freed += bytes_
    removal.sweep(store)
    return Pruned(gone, pruned.ids, tuple(names), freed, pruned.kept)


def _prune_containers(store: paths.Store, filters: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    from pyctr.engine import filters as container_filters
    from pyctr.engine import removal
    from pyctr.engine.containers import NoSuchContainer
    from pyctr.rootless.errors import InUse

    found = container_filters.select(store, listing.list_containers(store), filters, container_filters.PRUNE)
    ended = [each.id for each in found if each.status in ("created", "exited")]
    sizes = usage.upper_sizes(store, ended) if ended else {}
    gone = []
    for container in ended:
        try:
            removal.remove(store, container)
        except (NoSuchContainer, InUse, BrokenRecord):
            continue  # removed or started meanwhile
        gone.append(container)
    return tuple(gone), sum([sizes[container] for container in gone])
