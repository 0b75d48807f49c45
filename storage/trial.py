"""Trying storage drivers: a small container root is mounted in the store and changed as a container would.

Everything happens in a folder of its own below the store, which goes afterwards; one that a killed process
left is swept as other temporaries are.
"""

import os

from pyctr.rootless import syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.storage import drivers, paths, records, trees
from pyctr.storage.drivers import Tree
from pyctr.storage.paths import Store
from pyctr.storage.whiteouts import dialect_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.whiteouts import Dialect

_LAYERS = ("first", "second")  # lowest first
_TEXT = "from below"


def find(store: Store, candidates: tuple[str, ...]) -> str:
    """The first driver of the candidates that works. PyctrError with every reason when none does, or when
    only the options keep one from working: another driver is not what the user wanted.
    """
    reasons = []
    for name in candidates:
        problem = attempt(store, name)
        if problem is None:
            return name
        if store.options and attempt(store.replace(options=()), name) is None:
            raise PyctrError(
                f"storage driver {name} works, but not with {', '.join(store.options)}: {problem.message}",
                "Correct --storage-opt, STORAGE_OPTS or [storage.options.overlay] in storage.conf.",
            )
        reasons.append(f"{name}: {problem.message}")
    raise PyctrError(
        f"no storage driver works in {store.root}: {'; '.join(reasons)}",
        "Run 'pyctr doctor' to see why, or choose another folder with --root.",
    )


def attempt(store: Store, name: str) -> PyctrError | None:
    """Why a driver does not work in the folder of the store; None when it does."""
    folder = f"{store.root}/{paths.TEMPORARY}{os.urandom(16).hex()}"
    options = drivers.options_of(name, store.options)
    try:
        drivers.by_name(name).check(options)
        records.make_folder(folder)
        with records.lock(folder):
            try:
                userns.call_mapped(userns.default_maps(), _use, name, folder, options)
            finally:
                trees.remove(folder)
    except PyctrError as error:
        return error
    except OSError as error:
        return PyctrError(f"it cannot be used: {error.strerror}")
    return None


def _use(name: str, folder: str, options: tuple[str, ...]) -> None:
    """Mounts two layers and changes a file. Runs as root of a user and mount namespace."""
    from pyctr.storage import serving

    target = f"{folder}/{paths.MERGED}"
    os.mkdir(target)
    _make_layers(folder, dialect_of(drivers.by_name(name).FORMAT))
    serving.mount_here(name, Tree(folder, _LAYERS, folder, volatile=True, options=options), target)
    path = f"{target}/file"
    if records.read_text(path) != _TEXT or os.path.lexists(f"{target}/hidden"):
        raise PyctrError("what it mounts does not show the layers")
    os.chown(path, 1, 1)
    with open(path, "a") as file:
        file.write(_TEXT)
    os.unlink(path)
    if os.path.lexists(path):
        raise PyctrError("a file that is removed stays")
    syscalls.umount2(target, syscalls.MNT_DETACH)


def _make_layers(folder: str, dialect: "Dialect") -> None:
    """Two files in the lower layer, of which the upper one hides one."""
    lower, upper = (f"{folder}/{name}/{paths.LAYER_DIFF}" for name in _LAYERS)
    os.makedirs(lower, 0o755)
    os.makedirs(upper, 0o755)
    for name in ("file", "hidden"):
        records.write_text(f"{lower}/{name}", _TEXT, durable=False)
    fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        dialect.hide(fd, b"hidden")
    finally:
        os.close(fd)
