"""Importing the tar of a root file system as an image of one layer: podman-import(1)."""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

from pyctr.image import archive, changes, load, manifest, platform, reference, transport
from pyctr.image.manifest import Descriptor
from pyctr.image.progress import SILENT, Progress
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import blobs, paths
from pyctr.storage.compression import kind_of, proportionate
from pyctr.storage.pins import Pin
from pyctr.storage.unpack import DEFAULT_LIMITS

_COPY = 1 << 20
_URLS = ("http://", "https://")


class ImportOptions(Value):
    """What the command line says about an import."""

    changes: tuple[str, ...] = ()
    message: str = ""
    arch: str = ""
    os: str = ""
    variant: str = ""


def import_image(
    store: paths.Store, path: str, name: str, options: ImportOptions, progress: Progress = SILENT
) -> str:
    """Makes an image from a tar (a file, `-` or a URL; also compressed); its id. Raises PyctrError.

    `name` may be empty; without a domain it goes to localhost.
    """
    names = [str(reference.normalize(name, reference.LOCAL_DOMAIN))] if name else []
    settings = changes.apply({}, options.changes)
    label = "standard input" if path == "-" else path
    try:
        with Pin(store) as pin:
            progress.line("Getting image source signatures")
            layer, diff_id = _store_layer(pin, path, progress)
            config = _config(settings, diff_id, options, label)
            pin.put_blob(config)
            parsed = manifest.parse_config(config, "config")
            made = _manifest(config, layer)
            return load.keep_manifest(pin, made, parsed, names, progress).id
    except PyctrError as error:
        raise PyctrError(f"cannot import {label}: {error.message}", error.hint) from None


def _store_layer(pin: Pin, path: str, progress: Progress) -> tuple[Descriptor, str]:
    """The tar as a blob (gzip and zstd as they came, else plain), and the digest of its plain content."""
    source = _downloaded(pin.store, path, progress) if path.startswith(_URLS) else _opened(path)
    with source:
        start = source.peek(6)[:6] if hasattr(source, "peek") else b""
        kind = kind_of(start)
        if kind not in ("gzip", "zstd"):
            digest = _write(pin, proportionate(source, DEFAULT_LIMITS.tar_size), progress)
            return Descriptor(manifest.OCI_LAYER, digest, blobs.blob_size(pin.store, digest)), digest
        digest = _write(pin, iter(lambda: source.read(_COPY), b""), progress)
    layer = Descriptor(f"{manifest.OCI_LAYER}+{kind}", digest, blobs.blob_size(pin.store, digest))
    return layer, _plain_digest(pin.store, digest)


def _write(pin: Pin, chunks: Iterator[bytes], progress: Progress) -> str:
    with pin.writer() as blob:
        for chunk in chunks:
            blob.write(chunk)
        if not blob.size:
            raise PyctrError("it is empty")
    progress.blob_started(blob.digest, blob.size)
    progress.blob_done(blob.digest)
    return blob.digest


def _plain_digest(store: paths.Store, digest: str) -> str:
    found = hashlib.sha256()
    with blobs.open_blob(store, digest) as file:
        for chunk in proportionate(file, DEFAULT_LIMITS.tar_size):
            found.update(chunk)
    return f"sha256:{found.hexdigest()}"


def _opened(path: str) -> BinaryIO:
    try:
        return open(0, "rb", closefd=False) if path == "-" else open(path, "rb")
    except OSError as error:
        raise PyctrError(f"it cannot be opened: {error.strerror}") from None


def _downloaded(store: paths.Store, url: str, progress: Progress) -> BinaryIO:
    """The content of a URL in an unnamed file."""
    import urllib.parse

    progress.line(f'Downloading from "{url}"')
    to = transport.Transport(urllib.parse.urlsplit(url).netloc, transport.Access())
    answer = to.get(url, {})
    try:
        if answer.status != 200:
            raise transport.refused(answer, url)
        chunks = transport.chunks(answer, url, insecure=to.insecure)
        return archive.spool(store, chunks, url)
    finally:
        answer.close()


def _config(settings: dict[str, Any], diff_id: str, options: ImportOptions, label: str) -> bytes:
    wanted = platform.wanted(arch=options.arch, os_name=options.os, variant=options.variant)
    created = _now()
    history = {
        "created": created,
        "created_by": f"/bin/sh -c #(nop) ADD file:{diff_id.partition(':')[2]} in /",
    }
    history["comment"] = options.message or f"Imported from {label}"
    document = {
        "created": created,
        "architecture": wanted.architecture,
        **({"variant": wanted.variant} if wanted.variant else {}),
        "os": wanted.os,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [history],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _now() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}Z"


def _manifest(config: bytes, layer: Descriptor) -> bytes:
    def described(media_type: str, digest: str, size: int) -> dict[str, object]:
        return {"mediaType": media_type, "digest": digest, "size": size}

    document = {
        "schemaVersion": 2,
        "mediaType": manifest.OCI_MANIFEST,
        "config": described(manifest.OCI_CONFIG, manifest.digest_of(config), len(config)),
        "layers": [described(layer.media_type, layer.digest, layer.size)],
    }
    return json.dumps(document, separators=(",", ":")).encode()
