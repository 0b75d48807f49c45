"""What both doors do with local images: list, tag, untag, remove, prune, inspect."""

import os

from pyctr.image import lookup, reference
from pyctr.rootless import jsontext
from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import blobs, drivers, images, layers, paths, sweep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.image.lookup import Meant
    from pyctr.storage.images import Image, Listed
    from pyctr.storage.paths import Store


class Removed(Value):
    """What a removal did: the names that were taken away, and the id when the image itself went.

    `kept` tells why nothing was freed: a broken record, which might need anything.
    """

    untagged: tuple[str, ...] = ()
    deleted: str = ""
    kept: str = ""


class Pruned(Value):
    """The ids of the images that went, the bytes of disk that got free, and perhaps why nothing did."""

    ids: tuple[str, ...]
    bytes: int
    kept: str = ""


def split_name(name: str) -> tuple[str, str]:
    """Repository and tag of a kept name; `<none>` for the tag of one with a digest."""
    repository, at, _ = name.partition("@")
    if at:
        return repository, "<none>"
    repository, _, tag = name.rpartition(":")
    return repository, tag


def tag(store: "Store", image: str, targets: "tuple[str, ...]") -> None:
    """Gives a local image or list more names. NoSuchImage; PyctrError for a wrong name."""
    full = [local_name(target) for target in targets]
    with images.making(store):
        found = lookup.meant(store, image)
        digest = "" if found.is_list else _tagged_digest(store, found)
        for name in full:
            images.add_name(store, name, found.id, digest, is_list=found.is_list)


def _tagged_digest(store: "Store", found: "Meant") -> str:
    """The digest by which a name was fetched; that of the image if it has no name."""
    image = images.image_of(store, found.id, found.name)
    record = images.read_name(store, found.name) if found.name else None
    return record.manifest_digest if record else image.manifest_digest


def local_name(text: str) -> str:
    """The full name that a new or given name stands for: localhost/ in front of a short one."""
    parsed = reference.normalize(text, reference.LOCAL_DOMAIN)
    if parsed.digest:
        raise PyctrError(f"{text} has a digest, which cannot be given to an image", "Use a tag.")
    return str(parsed)


def untag(store: "Store", image: str, names: "tuple[str, ...]") -> tuple[str, ...]:
    """Takes names away from a local image or list, all when none is named; the names. NoSuchImage,
    PyctrError.
    """
    found = lookup.meant(store, image)
    known = images.names_of(store, found.id)
    full = [local_name(name) for name in names] if names else known
    for name in full:
        if name not in known:
            raise PyctrError(f"{name}: tag not known", f"{image} has: {', '.join(known) or 'no name'}.")
    with images.making(store):
        for name in full:
            images.remove_name(store, name)
    return tuple(full)


def remove(store: "Store", name: str, *, force: bool = False) -> Removed:
    """Removes what `name` means: one of several names, else the image. podman-rmi(1).

    NoSuchImage; InUse when containers need the image, which `force` removes first; PyctrError when an id
    with several names is given without `force`.
    """
    while True:
        try:
            return _remove_seen(store, name, force=force)
        except sweep.Renamed:
            continue  # a pull, tag or rmi at the same time: `name` may mean something else now


def _remove_seen(store: "Store", name: str, *, force: bool) -> Removed:
    """Like `remove`; Renamed when names change meanwhile."""
    found = _find(store, name)
    if found.name:
        with images.making(store):
            taken = images.take_name(store, found.name, found.id)
        if taken:
            return Removed((found.name,))
    names = images.names_of(store, found.id)
    if len(names) > 1 and not found.name and not force:
        raise PyctrError(
            f'unable to delete image "{found.id}" by ID with more than one tag ({", ".join(names)})',
            "Remove the names one by one, or use --force.",
        )
    expected = (found.name,) if found.name else names
    if found.is_list:
        return remove_list(store, found.id, expected=expected)
    return remove_whole(store, found.id, force=force, expected=expected)


def _find(store: "Store", name: str) -> "Meant":
    """Like `lookup.meant`, but finds an image by a broken name too: it must be removable."""
    try:
        return lookup.meant(store, name)
    except BrokenRecord:
        for row in images.list_images(store):
            given = [name, *[str(each) for each in reference.candidates(reference.parse(name))]]
            if row.id and (row.id.startswith(name) or any([each in row.names for each in given])):
                return lookup.Meant(row.id)
        raise


def remove_whole(
    store: "Store", image_id: str, *, force: bool = False, expected: "tuple[str, ...] | None" = None
) -> Removed:
    """Removes an image with all its names; with `force` its containers before. Renamed: see `sweep`."""
    if force:
        from pyctr.engine import removal

        for container in sweep.users_of(store, image_id):
            try:
                removal.remove(store, container, force=True, timeout=0)
            except NoSuchObject:
                pass  # somebody else was faster
    names, swept = sweep.remove_image(store, image_id, expected=expected)
    return Removed(names, image_id, swept.kept)


def remove_list(store: "Store", list_id: str, *, expected: "tuple[str, ...] | None" = None) -> Removed:
    """Removes a manifest list with all its names; its images stay. NoSuchList. Renamed: see `sweep`."""
    names, swept = sweep.remove_list(store, list_id, expected=expected)
    return Removed(names, list_id, swept.kept)


def everything(store: "Store") -> "list[Listed]":
    """All images and manifest lists, as rows of `images`."""
    from pyctr.engine import manifestlists

    lists = manifestlists.rows(store) if os.path.isdir(store.manifest_lists()) else []
    return [*images.list_images(store), *lists]


def inspect_image(store: "Store", name: str) -> "dict[str, Any]":
    """What podman-image-inspect(1) shows of an image. NoSuchImage, BrokenRecord."""
    image = lookup.lookup(store, name)
    names = images.names_of(store, image.id)
    config = image.config
    described: dict[str, Any] = {
        "Id": image.id,
        "Digest": image.manifest_digest,
        "RepoTags": [each for each in names if "@" not in each],
        "RepoDigests": repo_digests(store, image, names),
        "Parent": "",
        "Comment": comment(image),
        "Created": image.created or "0001-01-01T00:00:00Z",
        "Config": config,
        "Version": "",
        "Author": image.author,
        "Architecture": image.architecture,
        "Os": image.os,
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": graph_driver(store, image),
        "RootFS": {"Type": "layers", "Layers": [layer.diff_id for layer in image.layers]},
        "Labels": config.get("Labels"),
        "Annotations": annotations(store, image),
        "ManifestType": image.manifest_media_type,
        "User": config.get("User", ""),
        "History": list(image.history),
        "NamesHistory": list(names),
    }
    if "Healthcheck" in config:
        described["Healthcheck"] = config["Healthcheck"]
    return described


def repo_digests(store: "Store", image: "Image", names: "tuple[str, ...]") -> list[str]:
    """repository@digest for each repository: by its manifest, and by the index that led to it."""
    found = []
    for name in names:
        record = images.read_name(store, name)
        digests = [image.manifest_digest]
        if record and record.manifest_digest:
            digests.append(record.manifest_digest)
        found += [f"{split_name(name)[0]}@{digest}" for digest in digests]
    return sorted(set(found))


def comment(image: "Image") -> str:
    """The comment of the topmost history entry."""
    return str(image.history[-1].get("comment", "")) if image.history else ""


def graph_driver(store: "Store", image: "Image") -> "dict[str, Any]":
    """Where the layers are, if the maps of this user can be told."""
    from pyctr.rootless import userns

    try:
        driver = drivers.chosen(store)
        folder = store.layers(layers.layer_key(store, userns.default_maps()))
    except PyctrError:
        return {"Name": "", "Data": {}}
    diffs = [f"{folder}/{layers.layer_name(layer.chain_id)}/{paths.LAYER_DIFF}" for layer in image.layers]
    data = {"UpperDir": diffs[-1]} if diffs else {}
    if len(diffs) > 1:
        data["LowerDir"] = ":".join(diffs[-2::-1])
    return {"Name": driver, "Data": data}


def annotations(store: "Store", image: "Image") -> "dict[str, Any]":
    """The annotations of the manifest; none when it is damaged."""
    try:
        manifest = jsontext.loads(blobs.read_blob(store, image.manifest_digest).decode())
        found = manifest.get("annotations")
    except (PyctrError, ValueError, AttributeError):
        return {}
    return found if type(found) is dict else {}


def prune(store: "Store", *, every: bool = False, filters: "tuple[str, ...]" = ()) -> Pruned:
    """Removes images and manifest lists without a name, with `every` all that no container uses.

    Then sweeps what nothing refers to. Broken ones stay.
    """
    from pyctr.engine import imagefilters

    rows = imagefilters.select(store, everything(store), filters, imagefilters.PRUNE)
    gone = []
    freed = 0
    for row in rows:
        if row.image is None or (row.names and not every):
            continue
        remove = sweep.remove_list if row.is_list else sweep.remove_image
        try:
            _names, swept = remove(store, row.id, expected=row.names)
        except (InUse, NoSuchObject, sweep.Renamed):
            continue
        gone.append(row.id)
        freed += swept.bytes
    swept = sweep.sweep(store)
    return Pruned(tuple(gone), freed + swept.bytes, swept.kept)
