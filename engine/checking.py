"""What `system check` does: looks at everything that is on disk, and repairs what it can.

podman-system-check(1). A damaged layer is unpacked again from its blob. An image with a damaged blob, of
which there is no second copy, is removed, so that a pull brings it again; with containers only when told.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack

from pyctr.engine import containers, removal, truth
from pyctr.engine import images as engine_images
from pyctr.rootless.errors import BrokenRecord, InUse, NoSuchObject, PyctrError
from pyctr.rootless.idmap import IdMaps
from pyctr.rootless.values import Value
from pyctr.storage import blobs, checks, images, layers, paths, records, sweep, trees, volumes
from pyctr.storage.images import Image


class Found(Value):
    """One thing that is wrong. `kind` is damage or leftover; `done` says what was done about it."""

    kind: str
    what: str  # names the object
    done: str = ""


class Scope(Value):
    """What to look at, and what may be done."""

    quick: bool = False  # neither hashes nor comparisons
    repair: bool = False
    force: bool = False  # also remove containers of images that cannot be repaired
    oldest: int = 0  # seconds: leftovers that are younger are let alone


def check(store: paths.Store, scope: Scope) -> Iterator[Found]:
    """Everything that is wrong, as it is found."""
    broken: dict[str, str] = {}
    seen: set[str] = set()  # sound blobs and compared layers: images share them
    with images.making(store):
        yield from _check_names(store)
        for row in images.list_images(store):
            if row.image is None:
                yield Found("damage", f"image {row.id[:12] or row.names[0]}: {row.error}")
                continue
            try:
                wrong = _check_blobs(store, row.image, scope, seen)
            except OSError as error:
                yield _unreadable(f"image {row.id[:12]}: its blobs cannot be read", error, scope)
                continue
            if wrong:
                broken[row.id] = wrong
            else:
                yield from _check_layers(store, row.image, scope, seen)
    for image_id, wrong in broken.items():
        done = _remove_image(store, image_id, scope) if scope.repair else ""
        yield Found("damage", f"image {image_id[:12]}: {wrong}", done)
    yield from _check_containers(store)
    yield from _check_volumes(store)
    yield from _check_leftovers(store, scope)


def _unreadable(what: str, error: OSError, scope: Scope) -> Found:
    """What may be sound, for all that anybody knows: the permissions or the disk are to be mended."""
    return Found("damage", f"{what}: {error}", "not repaired, since it may be sound" if scope.repair else "")


def _check_names(store: paths.Store) -> Iterator[Found]:
    for name in images.image_names(store):
        try:
            images.read_name(store, name)
        except BrokenRecord as error:
            yield Found("damage", f"image name {name}: {error.message}")


def _check_blobs(store: paths.Store, image: Image, scope: Scope, seen: set[str]) -> str:
    """The first blob of an image that is missing or damaged, in words. OSError when one cannot be read."""
    for digest in image.digests:
        if not blobs.has_blob(store, digest):
            return f"blob {digest} is missing"
        if not (scope.quick or digest in seen or checks.is_sound(store, digest)):
            return f"blob {digest} is damaged"
        seen.add(digest)
    return ""


def _check_layers(store: paths.Store, image: Image, scope: Scope, seen: set[str]) -> Iterator[Found]:
    for key, maps in checks.layer_keys(store):
        for number, layer in enumerate(image.layers):
            name = layers.layer_name(layer.chain_id)
            if f"{key}/{name}" in seen or not os.path.isdir(f"{store.layers(key)}/{name}"):
                continue  # a layer that is not there is unpacked when a container needs it
            seen.add(f"{key}/{name}")
            wrong = checks.unreadable(store, key, name, layer.chain_id)
            if wrong or not scope.quick:
                yield from _compare(store, key, image, number, maps, wrong, scope)


def _compare(
    store: paths.Store, key: str, image: Image, number: int, maps: IdMaps, wrong: str, scope: Scope
) -> Iterator[Found]:
    name = layers.layer_name(image.layers[number].chain_id)
    folder = f"{store.layers(key)}/{name}"
    label = f"layer {name} of image {image.id[:12]}"
    chain_id = image.layers[number].chain_id
    try:
        with checks.fresh_copy(store, key, image, number, maps) as copy:
            diffs = [f"{each}/{paths.LAYER_DIFF}" for each in (copy, folder)]
            wrong = wrong or checks.difference(diffs[0], diffs[1], maps)
            if wrong:
                done = _replace(store, folder, copy, chain_id, maps) if scope.repair else ""
                yield Found("damage", f"{label} is not what its archive holds: {wrong}", done)
    except (PyctrError, OSError) as error:
        yield Found("damage", f"{label} cannot be compared: {error}")


def _replace(store: paths.Store, folder: str, copy: str, chain_id: str, maps: IdMaps) -> str:
    """Puts a fresh copy in the place of a damaged layer, unless a container may run on it; what was done.

    The locks of its containers keep them from being started meanwhile; new ones are looked for again once
    the copy is on disk. SIGKILL after the first rename leaves an image that lacks a layer, which the next
    container unpacks.
    """
    above, name = os.path.split(folder)
    doomed = f"{above}/{paths.TEMPORARY}{name}.{os.urandom(8).hex()}"
    with ExitStack() as stack:
        held: set[str] = set()
        blocking = _hold_users(store, name, held, stack)
        if not blocking:
            _complete(copy, chain_id)
            blocking = _hold_users(store, name, held, stack)
        if blocking:
            ids = " ".join([each[:12] for each in blocking])
            return f"not repaired, since containers run on it or may: stop or remove {ids} first"
        os.rename(folder, doomed)
        os.rename(copy, folder)
    records.sync_folder(above)
    trees.remove(doomed, maps)
    return "unpacked again"


def _complete(copy: str, chain_id: str) -> None:
    """Brings a fresh copy to the disk, and marks it whole."""
    from pyctr.rootless import syscalls

    fd = os.open(copy, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.syncfs(fd)
    finally:
        os.close(fd)
    records.write_text(f"{copy}/{paths.LAYER_COMPLETE}", chain_id + "\n", durable=True)


def _hold_users(store: paths.Store, layer: str, held: set[str], stack: ExitStack) -> list[str]:
    """Locks the containers that a layer may be under, but for those `held` already; those that may run."""
    blocking = []
    for container in sweep.users_of_layer(store, layer):
        try:
            if container not in held:
                stack.enter_context(containers.lock(store, container, wait=False))
                held.add(container)
            if truth.settle(store, container).status not in ("created", "exited"):
                blocking.append(container)
        except NoSuchObject:
            continue  # removed meanwhile
        except (BlockingIOError, BrokenRecord, FileNotFoundError):
            blocking.append(container)
    return blocking


def _remove_image(store: paths.Store, image_id: str, scope: Scope) -> str:
    """Removes an image that cannot be repaired; what was done, or why not."""
    try:
        engine_images.remove_whole(store, image_id, force=scope.force)
    except InUse as error:
        return f"kept: {error.message}; --force removes the containers too"
    except NoSuchObject:
        pass
    return "removed; pull or load it again"


def _check_containers(store: paths.Store) -> Iterator[Found]:
    from pyctr.engine import listing

    for each in listing.list_containers(store):
        if each.why:
            yield Found("damage", f"container {each.id[:12]}: {each.why}")
            continue
        try:
            lacking = checks.missing_parts(store, each.id)
        except BrokenRecord as error:
            lacking = [error.message]
        for part in lacking:
            yield Found("damage", f"container {each.id[:12]}: {part} is missing")


def _check_volumes(store: paths.Store) -> Iterator[Found]:
    for name in volumes.names(store):
        try:
            volumes.read(store, name)
        except NoSuchObject:
            continue
        except (BrokenRecord, OSError) as error:
            yield Found("damage", f"volume {name}: {error}")


def _check_leftovers(store: paths.Store, scope: Scope) -> Iterator[Found]:
    try:
        found = [path for path in checks.leftovers(store) if not records.is_younger(path, scope.oldest)]
    except BlockingIOError:
        return  # another call is at work: what it has made so far is needed by nothing yet
    except BrokenRecord as error:
        yield Found("damage", f"leftovers cannot be told, since anything may be needed: {error.message}")
        return
    except OSError as error:
        yield _unreadable("leftovers cannot be told", error, scope)
        return
    if found and scope.repair:
        removal.sweep(store, scope.oldest)
        sweep.sweep(store, scope.oldest)
    for path in found:
        gone = scope.repair and not os.path.lexists(path)
        yield Found("leftover", path.removeprefix(f"{store.root}/"), "removed" if gone else "")
