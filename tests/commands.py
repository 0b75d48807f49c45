"""Runs this checkout's pyctr as a user would, on a store of its own."""

import contextlib
import hashlib
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Mapping
from typing import Any

from pyctr.storage.paths import Store
from tests import images, processes

CHECKOUT = pathlib.Path(__file__).parent.parent
Result = subprocess.CompletedProcess[str]


def program() -> list[str]:
    """How pyctr is started: $PYCTR_TEST_PROGRAM, else the launcher that an installation gets."""
    if named := os.environ.get("PYCTR_TEST_PROGRAM"):
        return [named]
    module = CHECKOUT / "packaging" / "launcher.py"
    if not module.exists():
        return [sys.executable, "-m", "pyctr"]
    paths = [str(CHECKOUT / "src"), *site_folders()]
    return [str(_written(load_script(module), load_script(module.with_name("pack.py")), paths))]


def _written(launcher: types.ModuleType, pack: types.ModuleType, paths: list[str]) -> pathlib.Path:
    """An executable file `pyctr` beside its pack, made once by whichever worker comes first."""
    package = CHECKOUT / "src" / "pyctr"
    newest = max(path.stat().st_mtime_ns for _, path in pack.modules(package))
    key = hashlib.sha256(repr((sys.executable, paths, newest)).encode()).hexdigest()[:16]
    folder = images.cache_folder() / f"launcher-{key}"
    with images.made_once(folder) as temporary:
        if temporary:
            temporary.mkdir(exist_ok=True)
            pack.write_pack(package, temporary / "pyctr.pack")
            lines = pack.launcher_lines(folder / "pyctr.pack")
            (temporary / "pyctr").write_text(launcher.launcher_text(sys.executable, paths, lines))
            (temporary / "pyctr").chmod(0o755)
    return folder / "pyctr"


def scratch_folder() -> str:
    """Where stores of tests are: $PYCTR_TEST_TMP. Short (sockets) and on a disk (user xattrs)."""
    return os.environ.get("PYCTR_TEST_TMP", "/var/tmp")


def site_folders() -> list[str]:
    """Where the dependencies of this interpreter are."""
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def load_script(path: pathlib.Path) -> types.ModuleType:
    """A Python file outside of any package, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cli:
    """`cli("run", "--rm", ...)` runs pyctr to its end on the store in `folder`; text in, text out.

    The folder also has a home and a runtime folder; the environment is bare.
    """

    def __init__(self, argv: list[str]) -> None:
        self.folder = tempfile.mkdtemp(prefix="pt-", dir=scratch_folder())
        self.store = Store(root=f"{self.folder}/data", runroot=f"{self.folder}/run")
        self._program = argv
        self._started: list[subprocess.Popen[str]] = []
        for name in ("home", "xdg"):
            os.mkdir(f"{self.folder}/{name}", 0o700)

    def argv(self, *args: object) -> list[str]:
        """The command line that `cli(*args)` runs."""
        store = ["--root", self.store.root, "--runroot", self.store.runroot]
        return [*self._program, *store, *map(str, args)]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment that pyctr gets."""
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "USER") if name in os.environ}
        own = {"HOME": f"{self.folder}/home", "XDG_RUNTIME_DIR": f"{self.folder}/xdg", "LANG": "C.UTF-8"}
        return {**kept, **own, "TERM": "xterm", processes.TOKEN: self.folder, **(extra or {})}

    def __call__(
        self,
        *args: object,
        input: str | bytes | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        **options: Any,
    ) -> Result:
        """AssertionError with all output when `check` and the exit code is not 0.

        `options` are those of subprocess.run.
        """
        text = input.decode() if isinstance(input, bytes) else input
        if text is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        if "stdout" not in options and "stderr" not in options:
            options["capture_output"] = True
        done = subprocess.run(
            self.argv(*args), input=text, text=True, env=self.environment(env), timeout=timeout, **options
        )
        if check and done.returncode:
            raise AssertionError(
                f"pyctr {' '.join(map(str, args))}: exit code {done.returncode}\n{report(done)}"
            )
        return done

    def start(
        self, *args: object, env: Mapping[str, str] | None = None, **options: Any
    ) -> "subprocess.Popen[str]":
        """The command left running, killed at the end of the test; `options` are subprocess.Popen's."""
        child = subprocess.Popen(self.argv(*args), text=True, env=self.environment(env), **options)
        self._started.append(child)
        return child

    def cleanup(self) -> list[str]:
        """Ends and removes everything; what should not have been left is described."""
        for child in self._started:
            child.kill()
            child.communicate() if child.stdout or child.stderr else child.wait()
        known = processes.family(self.folder)
        complaints = self._remove_containers()
        left = processes.left_behind(self.folder, known=known)
        complaints += [f"process left behind: {process}" for process in left]
        return complaints + remove_tree(self.folder)

    def _remove_containers(self) -> list[str]:
        if not os.path.isdir(self.store.containers()):
            return []
        done = self("rm", "-f", "-a", "-t", "0", check=False)
        return [f"rm -fa failed with {done.returncode}:\n{report(done)}"] if done.returncode else []


def report(done: Result) -> str:
    """The output of a command for a person."""
    return f"--- stdout\n{done.stdout}--- stderr\n{done.stderr}"


def remove_tree(folder: str) -> list[str]:
    """Removes a tree, also files of subordinate ids; complains when something stays."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        namespace = ["unshare", "--user", "--map-root-user", "--map-auto"]
        with contextlib.suppress(FileNotFoundError):
            subprocess.run([*namespace, "rm", "-rf", "--one-file-system", folder], capture_output=True)
    return [f"{folder} cannot be removed"] if os.path.lexists(folder) else []
