"""Real images made on the spot: a small one from Debian's busybox-static, a Debian made by mmdebstrap.

Archives are built once and kept in a cache folder that all workers of a run share. The name of an archive
carries a hash of what it is made of, so a changed builder makes a new one.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import os
import pathlib
import platform
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from typing import Any

BUSYBOX = "localhost/busybox:latest"
DEBIAN = "localhost/debian:latest"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PAGE = "hello from busybox\n"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def cache_folder() -> pathlib.Path:
    """$PYCTR_TEST_CACHE, or a private folder under /var/tmp."""
    default = f"/var/tmp/pyctr-tests-{os.getuid()}"
    folder = pathlib.Path(os.environ.get("PYCTR_TEST_CACHE", default))
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    return folder


def busybox_program() -> str:
    """The static busybox of this machine. FileNotFoundError when there is none."""
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.access(path, os.X_OK) and _is_static(path):
            return path
    raise FileNotFoundError("no static busybox: apt-get install busybox-static")


def _is_static(path: str) -> bool:
    with open(path, "rb") as program:
        return b"/ld-linux" not in program.read(4096)


def busybox_archive() -> pathlib.Path:
    """A docker-archive of the image BUSYBOX."""
    program = busybox_program()
    made_of = pathlib.Path(__file__).read_bytes() + pathlib.Path(program).read_bytes()
    path = cache_folder() / f"busybox-{hashlib.sha256(made_of).hexdigest()[:16]}.tar"
    with made_once(path) as temporary:
        if temporary:
            config = {"Cmd": ["sh"], "Env": [PATH]}
            write_docker_archive(temporary, [busybox_layer(program)], BUSYBOX, config)
    return path


def debian_archive() -> pathlib.Path:
    """A docker-archive of the image DEBIAN: this machine's suite and mirror, minbase with apt.

    Made as an ordinary user in about 30 seconds. FileNotFoundError when mmdebstrap is not installed.
    """
    path = cache_folder() / f"debian-{suite()}.tar"
    with made_once(path) as temporary:
        if temporary:
            layer = debian_layer()
            write_docker_archive(temporary, [layer], DEBIAN, {"Cmd": ["bash"], "Env": [PATH]})
    return path


@contextlib.contextmanager
def made_once(path: pathlib.Path) -> Iterator[pathlib.Path | None]:
    """A temporary to fill, renamed to `path` at the end; None when `path` exists. One process at a time."""
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            yield None
            return
        temporary = path.with_suffix(".part")
        yield temporary
        temporary.rename(path)


def suite() -> str:
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


class Layer:
    """An uncompressed layer under construction; the bytes depend on nothing but the calls made."""

    def __init__(self) -> None:
        self._file = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)

    def folder(self, name: str, mode: int = 0o755, **fields: Any) -> "Layer":
        return self.add(name, type=tarfile.DIRTYPE, mode=mode, **fields)

    def file(self, name: str, content: bytes | str = b"", mode: int = 0o644, **fields: Any) -> "Layer":
        data = content.encode() if isinstance(content, str) else content
        return self.add(name, data, mode=mode, **fields)

    def symlink(self, name: str, target: str, **fields: Any) -> "Layer":
        return self.add(name, type=tarfile.SYMTYPE, linkname=target, mode=0o777, **fields)

    def hardlink(self, name: str, target: str, **fields: Any) -> "Layer":
        return self.add(name, type=tarfile.LNKTYPE, linkname=target, **fields)

    def whiteout(self, name: str) -> "Layer":
        """Hides `name` of the layers below."""
        folder, base = os.path.split(name)
        return self.file(os.path.join(folder, f".wh.{base}"))

    def opaque(self, folder: str) -> "Layer":
        """Hides all that the layers below have in `folder`."""
        return self.file(f"{folder}/.wh..wh..opq")

    def add(self, name: str, data: bytes = b"", **fields: Any) -> "Layer":
        """Any entry: `fields` are attributes of tarfile.TarInfo."""
        info = tarfile.TarInfo(name)
        info.size = len(data)
        info.mtime = 1_700_000_000
        for field, value in fields.items():
            setattr(info, field, value)
        self._tar.addfile(info, io.BytesIO(data))
        return self

    def tar(self) -> bytes:
        """The finished tar."""
        self._tar.close()
        return self._file.getvalue()


def busybox_layer(program: str) -> bytes:
    """The root tar of BUSYBOX: all applets, passwd and group, a page for httpd."""
    layer = Layer()
    for name in ("bin", "etc", "home", "proc", "sys", "dev", "run", "usr", "usr/bin", "var", "www"):
        layer.folder(name)
    layer.folder("root", 0o700).folder("tmp", 0o1777)
    layer.file("bin/busybox", pathlib.Path(program).read_bytes(), 0o755)
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            layer.symlink(f"bin/{applet}", "busybox")
    layer.symlink("usr/bin/env", "../../bin/busybox")
    layer.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/home:/bin/sh\n")
    layer.file("etc/group", "root:x:0:\nguest:x:1000:\nwheel:x:10:root,guest\n")
    layer.file("www/index.html", PAGE)
    return layer.tar()


def debian_layer() -> bytes:
    """The root tar of DEBIAN, made by mmdebstrap in a user namespace, without device nodes."""
    command = ["mmdebstrap", "--mode=unshare", "--variant=apt", "--quiet", "--include=ca-certificates"]
    for option in ("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*"):
        command.append(option)
    made = subprocess.run([*command, suite(), "-", mirror()], capture_output=True)
    if made.returncode:
        raise RuntimeError(f"mmdebstrap failed: {made.stderr.decode()}")
    return made.stdout


def mirror() -> str:
    """The Debian mirror that apt uses on this machine."""
    command = ["apt-get", "indextargets", "--format", "$(SITE)|$(ORIGIN)|$(RELEASE)", "Created-By: Packages"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout.split()
    for line in listed:
        site, origin, release = line.split("|")
        if origin == "Debian" and release == suite():
            return site
    raise RuntimeError(f"apt knows no mirror of Debian {suite()}: run apt-get update")


def write_docker_archive(
    path: pathlib.Path, layers: list[bytes], name: str, config: Mapping[str, object] | None = None
) -> None:
    """Writes a docker-archive as `docker save` does: manifest.json, the config and one tar a layer."""
    digests = [hashlib.sha256(layer).hexdigest() for layer in layers]
    image = json.dumps(image_config(digests, config or {})).encode()
    config_name = f"{hashlib.sha256(image).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": names}]
    archive = Layer()
    for layer_name, layer in zip(names, layers, strict=True):
        archive.file(layer_name, layer)
    archive.file(config_name, image).file("manifest.json", json.dumps(manifest))
    path.write_bytes(archive.tar())


def image_config(diff_ids: list[str], config: Mapping[str, object]) -> dict[str, object]:
    """An image config (OCI image-spec, config.md) for layers with these hex diff ids."""
    machine = platform.machine()
    return {
        "architecture": _ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": "2023-11-14T22:13:20Z",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in diff_ids]},
        "history": [{"created": "2023-11-14T22:13:20Z", "created_by": "tests"} for _ in diff_ids],
    }
