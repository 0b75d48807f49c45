"""Manifests and configs of images: bytes from outside become checked values.

Sources: OCI image-spec (manifest.md, image-index.md, config.md, descriptor.md) and the distribution
project's "Image Manifest Version 2, Schema 2". Everything in them is untrusted: no field is used unchecked.
"""

from pyctr.image.reference import is_digest
from pyctr.rootless import jsontext
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
ACCEPTED = (*MANIFESTS, *INDEXES)
LAYERS = (
    *(f"{OCI_LAYER}{suffix}" for suffix in ("", "+gzip", "+zstd")),
    *(f"{_OCI_FOREIGN}{suffix}" for suffix in ("", "+gzip", "+zstd")),
    *(f"{DOCKER_LAYER}{suffix}" for suffix in ("", ".gzip", ".zstd")),
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
)
FOREIGN = (_OCI_FOREIGN, "application/vnd.docker.image.rootfs.foreign.diff.tar")  # beginnings of types
SCHEMA1 = tuple(f"application/vnd.docker.distribution.manifest.v1+{kind}" for kind in ("json", "prettyjws"))

MANIFEST_LIMIT = 4 << 20  # bytes, as registries and their clients have it
CONFIG_LIMIT = 16 << 20
LAYER_COUNT_LIMIT = 1000
_NESTING = 64


class Platform(Value):
    """An operating system and a machine, in the words of Go (GOOS, GOARCH)."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join([part for part in (self.os, self.architecture, self.variant) if part])


class Descriptor(Value):
    """A blob that another document refers to; `size` in bytes."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = {}


class Manifest(Value):
    """One image: its config and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class Index(Value):
    """Manifests for several platforms."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: dict[str, str] = {}


class Config(Value):
    """What an image config says. `config` and `history` keep their JSON form, with their types checked."""

    architecture: str
    os: str
    variant: str
    created: str
    author: str
    diff_ids: tuple[str, ...]
    config: dict[str, object]
    history: tuple[dict[str, object], ...]


class Invalid(PyctrError):
    """A document that is not what it should be."""


def digest_of(data: bytes) -> str:
    """sha256:<hex> of some bytes."""
    import hashlib

    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_like(data: bytes, digest: str) -> str:
    """The digest of some bytes, by the algorithm of another digest."""
    import hashlib

    algorithm = digest.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def parse(data: bytes, announced: str, what: str) -> Manifest | Index:
    """The manifest or index in `data`. `announced` is the media type that came with it, if any.

    A document that says another type than was announced, or that could be read as both kinds, is refused:
    signatures and digests cover the bytes only (CVE-2021-41190). Raises Invalid, which names `what`.
    """
    document = _document(data, what, MANIFEST_LIMIT)
    media_type = _media_type(document, announced, what)
    if media_type in INDEXES:
        _refuse_fields(document, ("config", "layers", "fsLayers", "blobs"), what, media_type)
        return _index(document, media_type, what)
    _refuse_fields(document, ("manifests", "fsLayers", "blobs"), what, media_type)
    return _manifest(document, media_type, what)


class Entry(Value):
    """One image of a docker-archive: names of files in the archive, and the names that the image gets."""

    config: str
    names: tuple[str, ...]
    layers: tuple[str, ...]


def parse_archive(data: bytes, what: str) -> tuple[Entry, ...]:
    """The manifest.json of a docker-archive. Raises Invalid, which names `what`."""
    found = []
    for item in _typed(_json(data, what, MANIFEST_LIMIT), list, "archive", what):
        entry = _typed(item, dict, "entry", what)
        names, layers = [_texts(entry, field, what) for field in ("RepoTags", "Layers")]
        found.append(Entry(_field(entry, "Config", str, what), names, layers))
    if not found:
        raise Invalid(f"{what} lists no image")
    return tuple(found)


def _texts(entry: "dict[str, Any]", name: str, what: str) -> tuple[str, ...]:
    return tuple([_typed(item, str, name, what) for item in _list(entry, name, what)])


def parse_config(data: bytes, what: str) -> Config:
    """The image config in `data`. Raises Invalid, which names `what`."""
    document = _document(data, what, CONFIG_LIMIT)
    _check_text(document, what)
    rootfs = _field(document, "rootfs", dict, what)
    if _field(rootfs, "type", str, what) != "layers":
        raise Invalid(f"{what}: its root file system is of the unknown type {rootfs['type']!r}")
    words = {name: _field(document, name, str, what, "") for name in ("variant", "created", "author")}
    return Config(
        architecture=_field(document, "architecture", str, what),
        os=_field(document, "os", str, what),
        diff_ids=tuple([_digest(item, what) for item in _list(rootfs, "diff_ids", what)]),
        config=check_settings(_field(document, "config", dict, what, {}), what),
        history=tuple([_typed(item, dict, "history", what) for item in _list(document, "history", what)]),
        **words,
    )


def _check_text(value: object, what: str, depth: int = 0) -> None:
    """Refuses what cannot be written to a record or given to a program. Raises Invalid."""
    if depth > _NESTING:
        raise Invalid(f"{what} is nested more than {_NESTING} deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, what, depth)
            _check_text(item, what, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_text(item, what, depth + 1)
    elif isinstance(value, str) and ("\0" in value or not _is_unicode(value)):
        raise Invalid(f"{what} has the text {value[:80]!r} with a zero byte or half a character")


def _is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogate, which JSON can spell and UTF-8 cannot."""
    return text.isascii() or not any(["\ud800" <= letter <= "\udfff" for letter in text])


_TEXTS = ("User", "WorkingDir", "StopSignal", "Domainname", "Hostname", "Image")
_LISTS = ("Env", "Cmd", "Entrypoint", "Shell", "OnBuild")
_MAPS = ("ExposedPorts", "Volumes", "Labels")


def check_settings(settings: "dict[str, Any]", what: str) -> "dict[str, Any]":
    """The `config` object of an image config, checked, without empty fields. Raises Invalid."""
    kept = {key: value for key, value in settings.items() if value not in (None, "", [], {})}
    for names, kind in ((_TEXTS, str), (_LISTS, list), (_MAPS, dict), (("Healthcheck",), dict)):
        for name in names:
            if name in kept:
                _typed(kept[name], kind, name, what)
    for name in _LISTS:
        for item in kept.get(name, ()):
            _typed(item, str, name, what)
    for value in kept.get("Labels", {}).values():
        _typed(value, str, "Labels", what)
    return kept


def _json(data: bytes, what: str, limit: int) -> "Any":
    if len(data) > limit:
        raise Invalid(f"{what} is larger than {limit >> 20} MiB")
    try:
        return jsontext.loads(data.decode())
    except ValueError as error:
        raise Invalid(f"{what} is not JSON: {error}") from None


def _document(data: bytes, what: str, limit: int) -> "dict[str, Any]":
    document = _json(data, what, limit)
    if type(document) is not dict:
        raise Invalid(f"{what} is not a JSON object")
    return document


def _media_type(document: "dict[str, Any]", announced: str, what: str) -> str:
    inside = _field(document, "mediaType", str, what, "")
    known = announced if announced in (*ACCEPTED, *SCHEMA1) else ""  # some registries send text/plain
    if known and inside and known != inside:
        raise Invalid(f"{what} was announced as {known}, but says that it is {inside}")
    media_type = known or inside or _guess(document)
    if media_type in SCHEMA1 or document.get("schemaVersion") == 1:
        raise Invalid(
            f"{what} is a manifest of Docker's schema 1, which is not supported",
            "Push the image again with a current docker, podman or skopeo.",
        )
    if media_type not in ACCEPTED:
        raise Invalid(f"{what} is of type {media_type or announced or 'unknown'}, which is not an image")
    if document.get("schemaVersion") != 2:
        raise Invalid(f"{what} has schemaVersion {document.get('schemaVersion')!r} instead of 2")
    return media_type


def _guess(document: "dict[str, Any]") -> str:
    """The type of a document that does not tell: OCI lets manifests and indexes leave it out."""
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST if "config" in document else ""


def _refuse_fields(document: "dict[str, Any]", names: tuple[str, ...], what: str, media_type: str) -> None:
    for name in names:
        if name in document:
            raise Invalid(f"{what} says that it is {media_type}, but has the field {name!r} of another kind")


def _index(document: "dict[str, Any]", media_type: str, what: str) -> Index:
    entries = _list(document, "manifests", what)
    manifests = tuple([_descriptor(entry, what) for entry in entries])
    return Index(media_type, manifests, _annotations(document, what))


def _manifest(document: "dict[str, Any]", media_type: str, what: str) -> Manifest:
    config = _descriptor(_field(document, "config", dict, what), what)
    if config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        raise Invalid(f"{what} is not a container image: its config is {config.media_type}")
    if config.size > CONFIG_LIMIT:
        raise Invalid(f"{what} has a config of {config.size} bytes, more than {CONFIG_LIMIT >> 20} MiB")
    layers = tuple([_layer(item, what) for item in _list(document, "layers", what)])
    if len(layers) > LAYER_COUNT_LIMIT:
        raise Invalid(f"{what} has {len(layers)} layers, more than {LAYER_COUNT_LIMIT}")
    return Manifest(media_type, config, layers, _annotations(document, what))


def _layer(item: object, what: str) -> Descriptor:
    layer = _descriptor(item, what)
    if layer.media_type not in LAYERS:
        raise Invalid(f"{what} has a layer of the unknown type {layer.media_type!r}")
    return layer


def _descriptor(item: object, what: str) -> Descriptor:
    entry = _typed(item, dict, "descriptor", what)
    size = _field(entry, "size", int, what)
    if size < 0:
        raise Invalid(f"{what} announces a size of {size} bytes")
    return Descriptor(
        media_type=_field(entry, "mediaType", str, what),
        digest=_digest(entry.get("digest"), what),
        size=size,
        platform=_platform(_field(entry, "platform", dict, what, {}), what),
        annotations=_annotations(entry, what),
    )


def _platform(entry: "dict[str, Any]", what: str) -> Platform | None:
    if not entry:
        return None
    return Platform(*[_field(entry, name, str, what, "") for name in ("os", "architecture", "variant")])


def _annotations(document: "dict[str, Any]", what: str) -> dict[str, str]:
    found = _field(document, "annotations", dict, what, {})
    return {key: _typed(value, str, "annotations", what) for key, value in found.items()}


def _digest(value: object, what: str) -> str:
    if type(value) is not str or not is_digest(value):
        raise Invalid(f"{what} has the digest {value!r}, which is none")
    return value


def _list(document: "dict[str, Any]", name: str, what: str) -> "list[Any]":
    return _field(document, name, list, what, [])  # type: ignore[no-any-return]


_REQUIRED = object()


def _field(
    document: "dict[str, Any]", name: str, kind: type, what: str, default: "Any" = _REQUIRED
) -> "Any":
    """A field of a JSON object; null counts as missing, as in Go. Invalid when it has another type."""
    value = document.get(name)
    if value is not None:
        return _typed(value, kind, name, what)
    if default is _REQUIRED:
        raise Invalid(f"{what} lacks the field {name!r}")
    return default


_KINDS = {dict: "an object", list: "a list", str: "text", int: "a number"}


def _typed(value: object, kind: type, name: str, what: str) -> "Any":
    if type(value) is not kind:
        raise Invalid(f"{what}: {name!r} is not {_KINDS[kind]}")
    return value
