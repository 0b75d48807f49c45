"""Debian's podman as a peer: a store of its own, native overlay (left alone it takes the slower vfs)."""

import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any

from tests import processes
from tests.commands import Result, remove_tree, report, scratch_folder


class Podman:
    """`podman("run", ...)` like the fixture `cli`."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="pp-", dir=scratch_folder())
        for name in ("home", "xdg"):
            os.mkdir(f"{self.folder}/{name}", 0o700)
        self._write_configuration()

    def _write_configuration(self) -> None:
        folder = pathlib.Path(self.folder, "home/.config/containers")
        folder.mkdir(parents=True)
        roots = f'graphroot = "{self.folder}/data"\nrunroot = "{self.folder}/run"\n'
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "overlay"\n{roots}')
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        engine = '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        (folder / "containers.conf").write_text(engine + '[containers]\nlog_driver = "k8s-file"\n')

    def environment(self) -> dict[str, str]:
        """What podman runs with: nothing of the user's own configuration."""
        own = {"HOME": f"{self.folder}/home", "XDG_RUNTIME_DIR": f"{self.folder}/xdg", "LANG": "C.UTF-8"}
        return {"PATH": os.environ["PATH"], processes.TOKEN: self.folder, **own}

    def __call__(
        self,
        *args: object,
        input: str | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
        **options: Any,
    ) -> Result:
        """AssertionError with all output when `check` and the exit code is not 0."""
        if input is None:
            options.setdefault("stdin", subprocess.DEVNULL)
        done = subprocess.run(
            ["podman", *map(str, args)],
            input=input,
            text=True,
            capture_output=True,
            env={**self.environment(), **(env or {})},
            timeout=timeout,
            **options,
        )
        if check and done.returncode:
            raise AssertionError(f"podman {' '.join(map(str, args))}: {done.returncode}\n{report(done)}")
        return done

    def cleanup(self) -> None:
        """Removes its containers, its pause process and its store."""
        self("rm", "-f", "-a", "-t", "0", check=False)
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(pathlib.Path(self.folder, "xdg/libpod/tmp/pause.pid").read_text()), signal.SIGKILL)
        processes.left_behind(self.folder)
        remove_tree(self.folder)
