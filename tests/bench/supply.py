"""What images come from and go to: archives, and registries on loopback. Made when first asked for."""

import contextlib
import os
import pathlib
import subprocess
import tempfile

from tests import registries
from tests.bench import content
from tests.bench.content import Kind
from tests.commands import remove_tree, scratch_folder


class Supply(contextlib.AbstractContextManager["Supply"]):
    """A folder with archives, a registry that has images, and one to push to."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        folder = tempfile.mkdtemp(prefix="bench-", dir=scratch_folder())
        self._stack.callback(remove_tree, folder)
        self._folder = pathlib.Path(folder)
        self._address = ""
        self._served: set[Kind] = set()
        self._target = contextlib.ExitStack()
        self._target_address = ""

    def __exit__(self, *_error: object) -> None:
        self._target.close()
        self._stack.close()

    def archive(self, kind: Kind) -> str:
        """The path of a docker-archive."""
        path = self._folder / f"{kind.name}.tar"
        if not path.exists():
            content.write_archive(kind, path)
        return str(path)

    def served(self, kind: Kind) -> str:
        """The name of an image in the registry, which has it then."""
        if not self._address:
            self._address = self._stack.enter_context(registries.serve())
        name = f"{self._address}/bench/{kind.name}:latest"
        if kind not in self._served:
            self._serve(kind, name)
            self._served.add(kind)
        return name

    def _serve(self, kind: Kind, name: str) -> None:
        source = f"docker-archive:{self.archive(kind)}" if not kind.zstd else self._layout(kind)
        command = ["skopeo", "copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"]
        subprocess.run([*command, source, f"docker://{name}"], check=True, env=self._environment())

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder)}

    def _layout(self, kind: Kind) -> str:
        folder = self._folder / f"{kind.name}.oci"
        content.write_zstd_layout(kind, folder)
        return f"oci:{folder}:latest"

    def scratch(self, name: str) -> str:
        """The path of a file that is not there."""
        path = self._folder / name
        path.unlink(missing_ok=True)
        return str(path)

    def target(self, name: str) -> str:
        """A name of an image in the registry that is pushed to."""
        return f"{self._target_address}/bench/{name}:latest"

    def renew_target(self) -> None:
        """An empty registry to push to, instead of the one before."""
        self._target.close()
        self._target_address = self._target.enter_context(registries.serve())
