"""Runs a command on disks that get full in the middle of it. Started in a user and mount namespace.

    python fulldisk.py FOLDER JSON

JSON: {"pyctr": [words], "prepare": [[words], ...], "operation": [words], "again": [words], "kept": name,
"rooms": [KiB, ...]}. Prints as JSON what went wrong, and how many operations failed for want of space.
"""

import json
import os
import subprocess
import sys
from typing import Any

Done = subprocess.CompletedProcess[str]
WANT = ("No space left", "no space left", "cannot be written")


class Disk:
    """A store on a tmpfs of its own."""

    def __init__(self, folder: str, plan: dict[str, Any]) -> None:
        self.folder = folder
        self.plan = plan
        self.wrong: list[str] = []
        self.full = 0
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], check=True)

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)

    def pyctr(self, *words: str) -> Done:
        store = ["--root", f"{self.folder}/data", "--runroot", f"{self.folder}/run"]
        argv = [*self.plan["pyctr"], *store, *words]
        return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)

    def must(self, *words: str) -> str:
        """The output of a command that may not fail."""
        done = self.pyctr(*words)
        if done.returncode:
            self.wrong.append(f"{' '.join(words)}: {done.returncode}: {done.stderr}")
        return done.stdout

    def try_with(self, room: int) -> None:
        """The operation with so many KiB to go, and the same again with enough."""
        status = os.statvfs(self.folder)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize // 1024
        self.resize(f"{max(4, used + room)}k")
        done = self.pyctr(*self.plan["operation"])
        if done.returncode:
            self.full += 1
            if not any(word in done.stderr for word in WANT) or "unexpectedly" in done.stderr:
                self.wrong.append(f"a strange message: {done.returncode}: {done.stderr}")
        self.resize("256m")
        self.check(quiet=False)
        self.must(*self.plan["again"])
        self.check(quiet=False)
        self.must("system", "prune", "-f")
        self.check(quiet=True)

    def check(self, *, quiet: bool) -> None:
        found = self.must("system", "check").splitlines()
        self.wrong += [line for line in found if quiet or not line.startswith("leftover: ")]
        self.must("run", "--rm", "--network", "none", self.plan["kept"], "true")


def main() -> None:
    folder, plan = sys.argv[1], json.loads(sys.argv[2])
    wrong, full = [], 0
    for room in plan["rooms"]:
        disk = Disk(folder, plan)
        for words in plan["prepare"]:
            disk.must(*words)
        disk.try_with(room)
        wrong += [f"with {room} KiB: {text}" for text in disk.wrong]
        full += disk.full
        subprocess.run(["umount", "-l", folder], check=True)
    print(json.dumps([wrong, full]))


main()
