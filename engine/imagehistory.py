"""How an image came to be, and which images are built on it: podman-history(1), podman-image-tree(1)."""

from pyctr.engine import imagefilters
from pyctr.image import lookup
from pyctr.rootless.errors import BrokenRecord
from pyctr.rootless.userns import default_maps
from pyctr.rootless.values import Value
from pyctr.storage import images, layers, paths, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.images import Image, ImageLayer, Listed
    from pyctr.storage.paths import Store

MISSING = "<missing>"


class Step(Value):
    """One entry of a history. `id` is that of the image that ends with it, else `<missing>`; `size` is the
    bytes of its layer, unpacked; `created` as the config has it.
    """

    id: str
    created: str
    created_by: str
    size: int
    comment: str
    tags: tuple[str, ...]


class Node(Value):
    """A layer in a tree of images: which images end with it, and the layers on it."""

    id: str  # of the chain, 64 hex digits
    size: int
    names: tuple[str, ...]
    above: tuple["Node", ...] = ()


def history(store: "Store", name: str) -> list[Step]:
    """The steps of a local image, the last one first. NoSuchImage."""
    image = lookup.lookup(store, name)
    ends = _ends(images.list_images(store))
    steps, count = [], 0
    for at, entry in enumerate(image.history):
        layer = None
        if not entry.get("empty_layer") and count < len(image.layers):
            layer, count = image.layers[count], count + 1
        last = at == len(image.history) - 1
        found = image.id if last else ends.get((_chain(image, count), at + 1), MISSING)
        tags = images.names_of(store, found) if found != MISSING else ()
        steps.append(_step(store, found, entry, layer, tags))
    return steps[::-1]


def _step(
    store: "Store",
    image_id: str,
    entry: "dict[str, object]",
    layer: "ImageLayer | None",
    tags: tuple[str, ...],
) -> Step:
    texts = [str(entry.get(key) or "") for key in ("created", "created_by", "comment")]
    size = layer_size(store, layer) if layer else 0
    return Step(image_id, texts[0], texts[1], size, texts[2], tags)


def _ends(rows: "list[Listed]") -> dict[tuple[str, int], str]:
    """Image ids by what they end with: the chain of all layers, and how many steps led there."""
    known = [row.image for row in rows if row.image is not None]
    return {(_chain(image, len(image.layers)), len(image.history)): image.id for image in known}


def _chain(image: "Image", count: int) -> str:
    return image.layers[count - 1].chain_id if count else ""


def layer_size(store: "Store", layer: "ImageLayer") -> int:
    """Bytes of a layer's tar; of its blob where it is not unpacked."""
    folder = store.layers(layers.layer_key(store, default_maps()))
    path = f"{folder}/{layers.layer_name(layer.chain_id)}/{paths.LAYER_RECORD}"
    try:
        return records.read_record(path, layers.Layer, layers.LAYER_VERSION).size
    except (FileNotFoundError, BrokenRecord):
        return layer.size


def stack(store: "Store", image: "Image") -> list[Node]:
    """The layers of an image, lowest first, each with the names of the images that end with it."""
    tops = _tops(images.list_images(store))
    return [_node(store, layer, tops) for layer in image.layers]


def dependents(store: "Store", image: "Image") -> tuple[Node, ...]:
    """The tree of layers that local images have on the last layer of an image."""
    rows = images.list_images(store)
    known = [row.image for row in rows if row.image is not None]
    return _above(store, _chain(image, len(image.layers)), len(image.layers), known, _tops(rows))


def _above(
    store: "Store", chain: str, depth: int, known: "list[Image]", tops: dict[str, tuple[str, ...]]
) -> tuple[Node, ...]:
    on_it = [each for each in known if len(each.layers) > depth and _chain(each, depth) == chain]
    found = {}
    for each in sorted(on_it, key=imagefilters.created):
        layer = each.layers[depth]
        if layer.chain_id not in found:
            above = _above(store, layer.chain_id, depth + 1, on_it, tops)
            found[layer.chain_id] = _node(store, layer, tops).replace(above=above)
    return tuple(found.values())


def _node(store: "Store", layer: "ImageLayer", tops: dict[str, tuple[str, ...]]) -> Node:
    chain = layer.chain_id
    return Node(chain.partition(":")[2], layer_size(store, layer), tops.get(chain, ()))


def _tops(rows: "list[Listed]") -> dict[str, tuple[str, ...]]:
    """By chain id: the names of the images whose last layer it is."""
    found: dict[str, tuple[str, ...]] = {}
    for row in rows:
        if row.image is not None and row.image.layers:
            top = row.image.layers[-1].chain_id
            found[top] = (*found.get(top, ()), *row.names)
    return found
