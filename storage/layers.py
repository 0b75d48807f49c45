"""Layers of images, unpacked: layers/<format>-<map>/<name>/{diff/,layer.json,complete}.

The name is a shortened chain id, since the names of 127 layers must fit one page of mount options; the
whole one is in the marker and compared. On the path of `run`: what unpacks is in
`pyctr.storage.layerbuild`, loaded when it is needed.
"""

import binascii

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.storage import drivers, paths, records
from pyctr.storage.images import Image

LAYER_VERSION = 1
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Layer(Value):
    """layer.json: what was unpacked here. `size` is bytes of its tar."""

    version: int
    chain_id: str
    diff_id: str
    digest: str
    size: int
    entries: int


def layer_key(store: paths.Store, maps: IdMaps) -> str:
    """The folder of the layers that new containers with these maps can share."""
    return f"{drivers.layer_format(store)}-{maps.key()}"


def layer_name(chain_id: str) -> str:
    """The name of a layer on disk: the first 120 bits of its chain id in base 32."""
    number = int.from_bytes(binascii.unhexlify(chain_id.partition(":")[2][:30]), "big")
    return "".join([_ALPHABET[number >> shift & 31] for shift in range(115, -1, -5)])


def ensure_layers(store: paths.Store, image: Image, maps: IdMaps) -> "tuple[str, tuple[str, ...]]":
    """Unpacks the layers that are missing; the key and the names of all, lowest first, as a spec has them.

    The caller holds `images.making`, or has pinned them, until something refers to them. PyctrError names
    the layer; a call that fails or is killed leaves no layer that looks complete.
    """
    key = layer_key(store, maps)
    folder = store.layers(key)
    names = tuple([layer_name(layer.chain_id) for layer in image.layers])
    missing = [
        layer
        for layer, name in zip(image.layers, names, strict=True)
        if not is_complete(folder, name, layer.chain_id)
    ]
    if missing:
        from pyctr.storage import layerbuild

        layerbuild.build(store, image, maps)
    return key, names


def is_complete(folder: str, name: str, chain_id: str) -> bool:
    """Whether a layer is there, whole. PyctrError when its name belongs to another one."""
    try:
        found = records.read_text(f"{folder}/{name}/{paths.LAYER_COMPLETE}").strip()
    except FileNotFoundError:
        return False
    if found != chain_id:
        raise PyctrError(f"layer {folder}/{name} is {found}, not {chain_id}", "Remove that folder.")
    return True
