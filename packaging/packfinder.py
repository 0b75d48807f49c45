"""Imports from a pack (see pack.py); the launcher executes this and calls `install`."""

import sys
from _frozen_importlib import ModuleSpec
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, close, open, pread, stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


class Pack:
    """Finder and loader of the modules in the pack at `path`, whose code begins at `start`."""

    def __init__(self, index: "dict[str, tuple[bool, str, int, int]]", path: str, start: int) -> None:
        self.index = index
        self.path = path
        self.start = start

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> "ModuleSpec | None":
        entry = self.index.get(name)
        if entry is None:
            return None
        is_package, origin, _, _ = entry
        spec = ModuleSpec(name, self, origin=origin, is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [origin.rpartition("/")[0]]
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: "ModuleType") -> None:
        # Opened each time: a forked child closes what it was not given, and no copy of the pack stays in
        # the memory of a monitor.
        _, _, offset, length = self.index[module.__name__]
        fd = open(self.path, O_RDONLY | O_CLOEXEC)
        try:
            code = pread(fd, length, self.start + offset)
        finally:
            close(fd)
        exec(loads(code), module.__dict__)


def install(
    stamp: "tuple[str, int, int]", index: "dict[str, tuple[bool, str, int, int]]", path: str, start: int
) -> None:
    """Imports from the pack, if the package is still the one that was packed."""
    try:
        status = stat(stamp[0])
    except OSError:
        return
    if (status.st_mtime_ns, status.st_size) == stamp[1:]:
        sys.meta_path.insert(0, Pack(index, path, start))  # type: ignore[arg-type]
