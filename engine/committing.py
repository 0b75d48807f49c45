"""Making an image of a container: podman-commit(1).

The order of writing, and what a SIGKILL or power cut after each step leaves (a pin keeps all of it from
sweepers until the record is there):
1. the layer, as a plain tar under its digest    garbage that the next rmi or image prune removes
2. config and manifest                           the same
3. the unpacked layer, its mark last             the same
4. the record of the image                       an image without a name
5. its name                                      the image
A container that was frozen for it (--pause) is thawed by a process of its own when this one dies.
"""

import contextlib
import json
import time

from pyctr.engine import containers, freezing
from pyctr.engine import images as names
from pyctr.image import changes, load, manifest, rendering
from pyctr.image.manifest import Descriptor
from pyctr.image.progress import SILENT, Progress
from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.rootless.values import Value
from pyctr.runtime import rootfs
from pyctr.runtime.spec import Spec
from pyctr.storage import containertar, images
from pyctr.storage.compression import kind_of
from pyctr.storage.pins import Pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.storage.images import Image
    from pyctr.storage.paths import Store

    Document = dict[str, Any]

# What pyctr itself puts into every environment: no business of an image.
_OWN_VARIABLES = ("container", "HOME", "HOSTNAME", "TERM")


class CommitOptions(Value):
    """What the command line says about a commit."""

    author: str = ""
    changes: tuple[str, ...] = ()
    config: str = ""  # file with a config in JSON that goes over the container's
    format: str = "oci"
    include_volumes: bool = False
    message: str = ""
    pause: bool = False
    squash: bool = False


def commit(
    store: "Store",
    container_id: str,
    name: str,
    options: "CommitOptions | None" = None,
    progress: Progress = SILENT,
) -> str:
    """Makes an image of a container; its id. `name` may be empty. PyctrError names the container.

    NoSuchContainer. A running container goes on meanwhile, unless it is to be paused.
    """
    options = options or CommitOptions()
    spec = containers.read_spec(store, container_id)
    full = [names.local_name(name)] if name else []
    try:
        with Pin(store) as pin:
            return _commit(pin, spec, full, options, progress)
    except PyctrError as error:
        raise PyctrError(f"cannot commit container {spec.name}: {error.message}", error.hint) from None


def _commit(pin: Pin, spec: Spec, full: list[str], options: CommitOptions, progress: Progress) -> str:
    store = pin.store
    base = _base(pin, spec)
    settings = _settings(store, spec, base, options)
    with freezing.frozen(store, spec.id) if options.pause else contextlib.nullcontext():
        layer = _write_layer(pin, spec, whole=options.squash)
    if not containers.exists(store, spec.id):
        raise PyctrError("it was removed meanwhile")
    progress.line("Getting image source signatures")
    progress.blob_started(layer.digest, layer.size)
    progress.blob_done(layer.digest)
    document = _config(base, spec, settings, layer, options)
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    pin.put_blob(data)
    below = [] if options.squash else [_described(store, each, options.format) for each in base.layers]
    made = _manifest(data, [*below, _typed(layer, "", options.format)], options.format)
    parsed = manifest.parse_config(data, "config")
    return load.keep_manifest(pin, made, parsed, full, progress).id


def _base(pin: Pin, spec: Spec) -> "Image":
    """The image of the container, whose layers stay from now on. PyctrError when there is none."""
    if spec.rootfs.kind != "image":
        raise PyctrError("its root is a folder of the host (--rootfs)", "Use 'pyctr export'.")
    try:
        pin.add_layers(images.read_image(pin.store, spec.image))
        return images.read_image(pin.store, spec.image)  # still: else a sweep may have been faster
    except NoSuchObject:
        raise PyctrError(
            f"its image {spec.image_name} was removed", "Use 'pyctr export' and 'pyctr import'."
        ) from None


def _write_layer(pin: Pin, spec: Spec, *, whole: bool) -> Descriptor:
    from pyctr.engine import starting

    tree = rootfs.tree_of(pin.store, spec)
    maps = starting.maps_of(spec)
    digest, size = containertar.write_layer(pin, maps, spec.rootfs.driver, tree, whole=whole)
    return Descriptor("", digest, size)


# The config.


def _settings(store: "Store", spec: Spec, base: "Image", options: CommitOptions) -> "Document":
    """The `config` object: the image's, what the container was given besides, --config, --change."""
    known = dict(base.config)
    own = {
        "Env": _variables(spec, base),
        "Entrypoint": list(spec.entrypoint),
        "Cmd": list(spec.command),
        "Labels": dict(spec.labels),
        "WorkingDir": spec.process.cwd,
        "User": spec.process.user or known.get("User"),
        "ExposedPorts": {**_dict(known.get("ExposedPorts")), **_ports(spec)},
        "Volumes": {**_dict(known.get("Volumes")), **_volumes(spec, every=options.include_volumes)},
    }
    merged = {**known, **own, **(_read_config(options.config) if options.config else {})}
    checked = manifest.check_settings(merged, "the config")
    return changes.apply(checked, options.changes)


def _dict(value: object) -> "Document":
    return value if type(value) is dict else {}


def _variables(spec: Spec, base: "Image") -> list[str]:
    found = base.config.get("Env")
    known = {entry.partition("=")[0] for entry in found} if isinstance(found, list) else set()
    return [
        entry
        for entry in spec.process.env
        if entry.partition("=")[0] in known or entry.partition("=")[0] not in _OWN_VARIABLES
    ]


def _ports(spec: Spec) -> "Document":
    published = [f"{port.container_port}/{port.protocol}" for port in spec.network.ports]
    return {port: {} for port in published}


def _volumes(spec: Spec, *, every: bool) -> "Document":
    """The places of the container's anonymous volumes; `every`: of all that the user has mounted."""
    kinds = ("volume", "bind")
    return {
        mount.target: {}
        for mount in spec.mounts
        if mount.kind in kinds and (every or mount.source in spec.anonymous_volumes)
    }


def _read_config(path: str) -> "Document":
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read(manifest.CONFIG_LIMIT))
    except OSError as error:
        raise PyctrError(f"--config {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise PyctrError(f"--config {path} is not JSON: {error}") from None
    return manifest.check_settings(_dict(document), f"--config {path}")


def _config(
    base: "Image", spec: Spec, settings: "Document", layer: Descriptor, options: CommitOptions
) -> "Document":
    created = _now()
    command = " ".join([*spec.entrypoint, *spec.command])
    entry = {"created": created, "created_by": command}
    entry |= {"author": options.author} if options.author else {}
    entry |= {"comment": options.message} if options.message else {}
    before = [] if options.squash else [each.diff_id for each in base.layers]
    author = options.author or base.author
    return {
        "created": created,
        **({"author": author} if author else {}),
        "architecture": base.architecture,
        **({"variant": base.variant} if base.variant else {}),
        "os": base.os,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [*before, layer.digest]},
        "history": [*([] if options.squash else _history(base)), entry],
    }


def _history(base: "Image") -> list["Document"]:
    """The history of the image, with an entry for each of its layers even if it does not tell of all."""
    told = [dict(entry) for entry in base.history]
    layers = len([entry for entry in told if not entry.get("empty_layer")])
    missing = len(base.layers) - layers
    if missing < 0:
        return (
            [{"created": base.created} for _ in base.layers] if base.created else [{} for _ in base.layers]
        )
    return [*told, *[{"comment": "not told by the image"} for _ in range(missing)]]


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


# The manifest.


def _described(store: "Store", layer: images.ImageLayer, manifest_format: str) -> Descriptor:
    """A layer of the image below, with the type that its bytes have: records of loaded ones may say gzip."""
    content = rendering.stored(store, Descriptor(layer.media_type, layer.digest, layer.size))
    with content.open() as file:
        return _typed(content.descriptor, kind_of(file.read(6)), manifest_format)


def _typed(blob: Descriptor, kind: str, manifest_format: str) -> Descriptor:
    from pyctr.image import conversion

    wanted = manifest.DOCKER_MANIFEST if manifest_format == "docker" else manifest.OCI_MANIFEST
    if kind == "zstd" and wanted == manifest.DOCKER_MANIFEST:
        raise PyctrError(
            "layers compressed with zstd cannot be in an image of the format docker", "Use --format oci."
        )
    return blob.replace(media_type=conversion.layer_type(blob.media_type, kind, wanted))


def _manifest(config: bytes, layers: list[Descriptor], manifest_format: str) -> bytes:
    docker = manifest_format == "docker"
    blob = Descriptor(
        manifest.DOCKER_CONFIG if docker else manifest.OCI_CONFIG, manifest.digest_of(config), len(config)
    )
    document = {
        "schemaVersion": 2,
        "mediaType": manifest.DOCKER_MANIFEST if docker else manifest.OCI_MANIFEST,
        "config": _plain(blob),
        "layers": [_plain(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _plain(blob: Descriptor) -> "Document":
    return {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
