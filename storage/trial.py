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

_LAYER = "lower"
_TEXT = "from below"


def find(store: Store, candidates: tuple[str, ...]) -> str:
    """The first driver of the candidates that works. PyctrError with every reason when none does."""
    reasons = []
    for name in candidates:
        problem = attempt(store, name)
        if problem is None:
            return name
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
    """Mounts and changes a file. Runs as root of a user and mount namespace."""
    from pyctr.storage import serving

    lower = f"{folder}/{_LAYER}/{paths.LAYER_DIFF}"
    target = f"{folder}/{paths.MERGED}"
    os.makedirs(lower, 0o755)
    os.mkdir(target)
    records.write_text(f"{lower}/file", _TEXT, durable=False)
    serving.mount_here(name, Tree(folder, (_LAYER,), folder, volatile=True, options=options), target)
    path = f"{target}/file"
    if records.read_text(path) != _TEXT:
        raise PyctrError("what it mounts does not show the layers")
    os.chown(path, 1, 1)
    with open(path, "a") as file:
        file.write(_TEXT)
    os.unlink(path)
    syscalls.umount2(target, syscalls.MNT_DETACH)
