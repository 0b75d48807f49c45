"""Imports from a pack (see pack.py); the launcher executes this and calls `install`."""

import sys
from _frozen_importlib import ModuleSpec
from _thread import RLock
from marshal import loads
from posix import O_CLOEXEC, O_RDONLY, close, fstat, open, pread, stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import stat_result
    from types import ModuleType

_Module = type(sys)


class Pack:
    """Finder and loader of the modules in the pack at `path`, which come with all that they import.

    `index` says where each is (offset from `start`, length), `packages` names those that have modules,
    `root` is the folder that the package lies in. The import system sees one module of five: 30 us for each
    of the others are spared.
    """

    def __init__(
        self,
        index: "dict[str, tuple[int, int]]",
        packages: "tuple[str, ...]",
        root: str,
        path: str,
        start: int,
    ) -> None:
        self.index = index
        self.packages = packages
        self.root = root
        self.path = path
        self.start = start
        self.lock = RLock()
        self.identity = _identity(stat(path))

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> "ModuleSpec | None":
        if name not in self.index or not self._is_there():
            return None
        return self._spec(name)

    def _spec(self, name: str) -> ModuleSpec:
        is_package = name in self.packages
        file = f"{self.root}/{name.replace('.', '/')}{'/__init__' if is_package else ''}.py"
        return ModuleSpec(name, self, origin=file, is_package=is_package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> "ModuleType":
        """The module, complete. One thread at a time makes some: nobody sees half of one."""
        with self.lock:
            # Opened each time: a forked child closes what it was not given, and no copy of the pack stays in
            # the memory of a monitor.
            fd = open(self.path, O_RDONLY | O_CLOEXEC)
            try:
                if _identity(fstat(fd)) != self.identity:
                    raise ImportError(f"{self.path} was replaced by a newer one: run the command again")
                return self._load(spec.name, fd)
            finally:
                close(fd)

    def exec_module(self, module: "ModuleType") -> None:
        """It has been executed already."""

    def _is_there(self) -> bool:
        """Whether this is still the pack that the index was read from: an upgrade puts another in its place.

        The modules then come from their folders, as without a pack.
        """
        try:
            return _identity(stat(self.path)) == self.identity
        except OSError:
            return False

    def _load(self, name: str, fd: int) -> "ModuleType":
        if name in sys.modules:
            return sys.modules[name]
        parent, _, leaf = name.rpartition(".")
        package = self._load(parent, fd) if parent else None
        offset, length = self.index[name]
        needed, code = loads(pread(fd, length, self.start + offset))
        for other in needed:
            if other not in sys.modules and other in self.index:
                self._load(other, fd)
        module = self._empty_module(name)
        exec(code, module.__dict__)
        sys.modules[name] = module
        if package is not None:
            setattr(package, leaf, module)
        return module

    def _empty_module(self, name: str) -> "ModuleType":
        module = _Module(name)
        module.__spec__ = spec = self._spec(name)
        module.__file__ = file = str(spec.origin)
        if name in self.packages:
            module.__path__ = [file.rpartition("/")[0]]
        return module


def _identity(status: "stat_result") -> "tuple[int, int, int]":
    return status.st_dev, status.st_ino, status.st_mtime_ns


def install(
    stamp: "tuple[str, int, int]",
    index: "dict[str, tuple[int, int]]",
    packages: "tuple[str, ...]",
    path: str,
    start: int,
) -> None:
    """Imports from the pack, if the package is still the one that was packed."""
    file = stamp[0]
    try:
        status = stat(file)
    except OSError:
        return
    if (status.st_mtime_ns, status.st_size) == stamp[1:]:
        root = file.removesuffix("/pyctr/__init__.py")
        sys.meta_path.insert(0, Pack(index, packages, root, path, start))  # type: ignore[arg-type]
