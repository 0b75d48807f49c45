"""The two programs under test, each with a store that has the same image."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from tests import commands, images
from tests.commands import Cli
from tests.peers import Podman


class Contestant(NamedTuple):
    """One program: `argv` before the command's own words, `run` to run one outside of the measurement."""

    name: str
    folder: str
    argv: list[str]
    environment: dict[str, str]
    run: Cli | Podman

    def forget(self) -> None:
        """Begins with an empty store. The old one stays on the disk until the end: before ext4 without a
        journal makes a file, it looks at all that were deleted in the last minutes, which takes seconds.
        """
        os.rename(f"{self.folder}/data", tempfile.mkdtemp(prefix="old-", dir=self.folder))
        self.run("images")


@contextmanager
def pyctr() -> Iterator[Contestant]:
    """This checkout's pyctr as it is installed."""
    command = Cli(commands.program())
    command("load", "-q", "-i", images.busybox_archive())
    try:
        yield Contestant("pyctr", command.folder, command.argv(), command.environment(), command)
    finally:
        for complaint in command.cleanup():
            print(f"pyctr left something behind: {complaint}")


@contextmanager
def podman() -> Iterator[Contestant]:
    """Debian's podman with native overlay."""
    command = Podman()
    command("load", "-q", "-i", images.busybox_archive())
    try:
        yield Contestant("podman", command.folder, ["podman"], command.environment(), command)
    finally:
        command.cleanup()


def all_of(stack: ExitStack) -> list[Contestant]:
    """pyctr, and podman where it is installed. They go with `stack`."""
    rivals = [stack.enter_context(pyctr())]
    if shutil.which("podman"):
        rivals.append(stack.enter_context(podman()))
    return rivals
