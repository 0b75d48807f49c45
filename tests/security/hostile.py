"""Images that mean harm, and one that borrows the userland of this machine."""

import pathlib
from collections.abc import Mapping

from tests import images
from tests.commands import Cli

NAME = "localhost/hostile:latest"
USERLAND = "localhost/userland:latest"

# With these, USERLAND has the programs of this machine: python3, stat, mount ... on a root of its own.
BORROWED = ("-v", "/usr:/usr:ro")


def load(
    cli: Cli, folder: pathlib.Path, layer: images.Layer, config: Mapping[str, object] | None = None
) -> str:
    """Puts busybox with `layer` on top into the store of `cli`; the image's name."""
    base = images.busybox_layer(images.busybox_program())
    return _load(cli, folder, [base, layer.tar()], NAME, config)


def load_alone(cli: Cli, folder: pathlib.Path, layer: images.Layer) -> str:
    """Like `load`, of this layer alone: where the base has a folder, it can have a link."""
    return _load(cli, folder, [layer.tar()], NAME, None)


def load_userland(cli: Cli, folder: pathlib.Path, layer: images.Layer | None = None) -> str:
    """Puts USERLAND into the store of `cli`; to be run with BORROWED."""
    base = images.Layer()
    for name in ("dev", "etc", "proc", "root", "sys", "usr", "var"):
        base.folder(name)
    base.folder("tmp", 0o1777)
    for name in ("bin", "lib", "lib64", "sbin"):
        base.symlink(name, f"usr/{name}")
    base.file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nguest:x:1000:1000:guest:/tmp:/bin/sh\n")
    layers = [base.tar()] + ([layer.tar()] if layer else [])
    return _load(cli, folder, layers, USERLAND, None)


def _load(
    cli: Cli, folder: pathlib.Path, layers: list[bytes], name: str, config: Mapping[str, object] | None
) -> str:
    archive = folder / "hostile.tar"
    images.write_docker_archive(
        archive, layers, name, {"Env": [images.PATH], "Cmd": ["sh"], **(config or {})}
    )
    cli("load", "-q", "-i", archive)
    archive.unlink()
    return name


class Outside:
    """A folder of the host that an image points at: nothing in it may change or be made."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "file").write_text("of the host\n")
        self._before = self._state()

    def _state(self) -> list[tuple[str, str]]:
        found = sorted(path for path in self.folder.rglob("*"))
        return [(str(path), path.read_text() if path.is_file() else "") for path in found]

    def assert_untouched(self) -> None:
        assert self._state() == self._before
        with open("/proc/self/mountinfo") as mounts:
            assert str(self.folder) not in mounts.read()
