"""Images put straight into a store, and what they look like unpacked."""

import gzip
import hashlib
import os
import stat
from collections.abc import Callable
from typing import NamedTuple

from pyctr.rootless import userns
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import blobs, drivers, images, layers, paths, serving
from pyctr.storage.drivers import Tree

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Seen(NamedTuple):
    """A file as root of the namespace sees it."""

    kind: str
    mode: int
    uid: int
    gid: int
    mtime: int  # seconds
    content: bytes  # of a file, or the target of a link
    xattrs: dict[str, bytes]


def put_image(
    store: paths.Store,
    *tars: bytes,
    name: str = "",
    compress: Callable[[bytes], bytes] = gzip.compress,
    diff_ids: list[str] | None = None,
) -> images.Image:
    """An image of these layers, lowest first."""
    diff_ids = diff_ids or [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
    rows = []
    with images.making(store):
        for tar, diff_id, chain_id in zip(tars, diff_ids, images.chain_ids(diff_ids), strict=True):
            data = compress(tar)
            rows.append(
                images.ImageLayer(blobs.put_blob(store, data), diff_id, chain_id, LAYER_TYPE, len(data))
            )
        config = blobs.put_blob(store, f'{{"diff_ids":"{" ".join(diff_ids)}","for":"{name}"}}'.encode())
        described = ",".join([f'{{"digest":"{row.digest}"}}' for row in rows])
        manifest = f'{{"config":{{"digest":"{config}"}},"layers":[{described}]}}'
        digest = blobs.put_blob(store, manifest.encode())
        image = images.Image(
            version=images.IMAGE_VERSION,
            id=config.partition(":")[2],
            manifest_digest=digest,
            manifest_media_type=MANIFEST_TYPE,
            created="2023-11-14T22:13:20Z",
            architecture="amd64",
            os="linux",
            size=sum([row.size for row in rows]),
            layers=tuple(rows),
            config={"Env": ["A=b"]},
        )
        images.put_image(store, image)
        if name:
            images.add_name(store, name, image.id, digest)
    return image


def layer_folder(store: paths.Store, image: images.Image, maps: IdMaps, number: int = -1) -> str:
    """Where a layer of the image is unpacked."""
    name = layers.layer_name(image.layers[number].chain_id)
    return f"{store.layers(layers.layer_key(store, maps))}/{name}/{paths.LAYER_DIFF}"


def unpack(store: paths.Store, maps: IdMaps, *tars: bytes) -> dict[str, Seen]:
    """Unpacks an image of these layers; what its topmost layer holds."""
    image = put_image(store, *tars)
    layers.ensure_layers(store, image, maps)
    return look(layer_folder(store, image, maps), maps)


def merged(store: paths.Store, image: images.Image, maps: IdMaps, folder: str) -> dict[str, Seen]:
    """What a container sees: all layers, mounted by the driver of the store. `folder` is scratch space."""
    key, names = layers.ensure_layers(store, image, maps)
    os.makedirs(f"{folder}/root", exist_ok=True)
    tree = Tree(store.layers(key), names, folder, volatile=True)
    seen = userns.call_mapped(maps, _look_merged, drivers.chosen(store), tree)
    return {name: Seen(*row) for name, row in seen.items()}


def _look_merged(driver: str, tree: Tree) -> dict[str, tuple[object, ...]]:
    serving.mount_here(driver, tree, f"{tree.folder}/root")
    return walk(f"{tree.folder}/root")


def look(folder: str, maps: IdMaps) -> dict[str, Seen]:
    """Everything below `folder` by relative path; "." is the folder itself."""
    seen = userns.call_mapped(maps, walk, folder)
    return {name: Seen(*row) for name, row in seen.items()}


def walk(top: str) -> dict[str, tuple[object, ...]]:
    """What is below `top`, as this process sees it: the fields of `Seen`."""
    found = {".": _seen(top)}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = f"{folder}/{name}"
            found[os.path.relpath(path, top)] = _seen(path)
    return found


def _seen(path: str) -> tuple[object, ...]:
    status = os.lstat(path)
    kind = stat.filemode(status.st_mode)[0]
    content = b""
    if kind == "-":
        with open(path, "rb") as file:
            content = file.read()
    elif kind == "l":
        content = os.fsencode(os.readlink(path))
    names = [] if kind == "l" else os.listxattr(path, follow_symlinks=False)
    xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
    mode = stat.S_IMODE(status.st_mode)
    return (kind, mode, status.st_uid, status.st_gid, int(status.st_mtime), content, xattrs)
