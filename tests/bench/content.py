"""Images of real Debian files, made on the spot: a base as debootstrap makes it, and packages on top.

The files are those of this machine's packages: their sizes, number and how well they compress are what a
registry has to do with. Both programs get the same images.
"""

import functools
import hashlib
import io
import json
import os
import pathlib
import random
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from tests import images
from tests.images import Layer

_INFO = pathlib.Path("/var/lib/dpkg/info")
_LARGEST = 30 << 20  # bytes of a package: a layer of one huge program is like no other
_WINDOW = 27  # 2**27 bytes: the most that `zstd -d` takes without being asked to


class Kind(NamedTuple):
    """An image: its name, and the bytes of each of its layers on top of the base (`None`: no base)."""

    name: str
    layers: tuple[int, ...]
    base: bool = True
    zstd: bool = False  # compressed with windows as large as they may be
    noise: bool = False  # one file that nothing makes smaller

    @property
    def reference(self) -> str:
        return f"localhost/{self.name}:latest"


_MB = 1_000_000
SMALL = Kind("small", (20_000,), base=False)
THREE = Kind("three", (35 * _MB, 35 * _MB))
TWELVE = Kind("twelve", (34 * _MB,) * 11)
WINDOWS = Kind("windows", (140 * _MB, 140 * _MB), zstd=True)
NOISE = Kind("noise", (300 * _MB,), base=False, noise=True)


def write_archive(kind: Kind, path: pathlib.Path) -> None:
    """A docker-archive of an image, layers uncompressed as `docker save` writes them."""
    images.write_docker_archive(path, _layers(kind), kind.reference, {"Cmd": ["bash"], "Env": [images.PATH]})


def write_zstd_layout(kind: Kind, folder: pathlib.Path) -> None:
    """An OCI image layout whose layers are zstd with windows of 128 MiB.

    The level says nothing about the memory that a decoder needs; --long says all, for what is longer.
    """
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)
    layers = _layers(kind)
    config = images.image_config([hashlib.sha256(layer).hexdigest() for layer in layers], {"Cmd": ["bash"]})
    media = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{media}.manifest.v1+json",
        "config": _blob(blobs, json.dumps(config).encode(), f"{media}.config.v1+json"),
        "layers": [_blob(blobs, _zstd(layer), f"{media}.layer.v1.tar+zstd") for layer in layers],
    }
    named = _blob(blobs, json.dumps(manifest).encode(), f"{media}.manifest.v1+json")
    named["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _blob(folder: pathlib.Path, data: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(data).hexdigest()
    (folder / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _zstd(layer: bytes) -> bytes:
    """From a pipe: of a file zstd knows the size, and makes the window no larger."""
    command = ["zstd", "-3", f"--long={_WINDOW}", "-T0", "-q", "-c"]
    return subprocess.run(command, input=layer, capture_output=True, check=True).stdout


def _layers(kind: Kind) -> list[bytes]:
    if kind.noise:
        return [Layer().file("noise", _noise(size)).tar() for size in kind.layers]
    packages = _packages()
    made = [_of_packages(packages, size) for size in kind.layers]
    return [_base(), *made] if kind.base else made


def _noise(size: int) -> bytes:
    pieces = random.Random(1)
    return b"".join([pieces.randbytes(_MB) for _ in range(size // _MB)])


@functools.cache
def _base() -> bytes:
    """The layer of the tests' Debian, from mmdebstrap."""
    with tarfile.open(images.debian_archive()) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest
        layer = archive.extractfile(json.load(manifest)[0]["Layers"][0])
        assert layer
        return layer.read()


def _packages() -> Iterator[list[str]]:
    """The paths of each package of this machine, by name; not of huge ones."""
    for listed in sorted(_INFO.glob("*.list")):
        found = [path for path in listed.read_text().splitlines() if path != "/."]
        paths = [_real(path) for path in found if _is_readable(path)]
        if sum(os.lstat(path).st_size for path in paths) < _LARGEST:
            yield paths


def _is_readable(path: str) -> bool:
    return os.path.lexists(path) and (os.path.islink(path) or os.access(path, os.R_OK))


def _real(path: str) -> str:
    """Where a file is: packages still say /bin, which is a link to usr/bin."""
    folder, name = os.path.split(path)
    return os.path.realpath(path) if os.path.isdir(path) else f"{os.path.realpath(folder)}/{name}"


def _of_packages(packages: Iterator[list[str]], size: int) -> bytes:
    """A layer with the next packages, until it has `size` bytes. RuntimeError when there are no more."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        seen: set[str] = set()
        while file.tell() < size:
            paths = next(packages, None)
            if paths is None:
                raise RuntimeError("this machine has too few Debian packages for the images to be measured")
            for path in paths:
                for each in (*[str(folder) for folder in reversed(pathlib.Path(path).parents)][1:], path):
                    if each not in seen:
                        seen.add(each)
                        _add(tar, each)
    return file.getvalue()


def _add(tar: tarfile.TarFile, path: str) -> None:
    """A file, folder or link as root's. Hard links become files: their first name may be elsewhere."""
    info = tar.gettarinfo(path, path[1:])
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    if stat.S_ISREG(os.lstat(path).st_mode):
        info.type = tarfile.REGTYPE
        info.size = os.lstat(path).st_size
        with open(path, "rb") as content:
            tar.addfile(info, content)
    elif info.isdir() or info.issym():
        tar.addfile(info)
