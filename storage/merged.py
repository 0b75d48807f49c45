"""What layers show together, read without mounting them: the folders of a stack, merged.

Runs as root of the user namespace that owns the layers. Names are single components of open folders, so no
link is followed and no path is too long.
"""

import os
import stat
from collections.abc import Sequence

from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.storage.whiteouts import Dialect

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Child(Value):
    """A name in a merged folder: its status, and the open folders that have it, topmost first (one for
    anything but a folder).
    """

    name: bytes
    status: os.stat_result
    parents: tuple[int, ...]

    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


class Merged:
    """The folders of several layers that lie on each other, topmost first. Owns the descriptors."""

    def __init__(self, folders: Sequence[int], dialect: "Dialect") -> None:
        self.folders = folders
        self.dialect = dialect

    def __enter__(self) -> "Merged":
        return self

    def __exit__(self, *_exc: object) -> None:
        for fd in self.folders:
            os.close(fd)

    def children(self) -> dict[bytes, Child]:
        """Everything that is visible here, by name."""
        found: dict[bytes, Child] = {}
        hidden: set[bytes] = set()
        for folder in self.folders:
            listing = self.dialect.read(folder)
            for name, status in listing.entries.items():
                if name not in hidden:
                    self._add(found, hidden, Child(name, status, (folder,)))
            hidden |= listing.hidden
            if listing.opaque:
                break
        return found

    @staticmethod
    def _add(found: dict[bytes, Child], hidden: set[bytes], child: Child) -> None:
        """A folder lies below the folder that is there already; anything else hides all below."""
        above = found.get(child.name)
        if above is None:
            found[child.name] = child
        elif child.is_folder() and above.is_folder():
            found[child.name] = above.replace(parents=(*above.parents, *child.parents))
        if not child.is_folder():
            hidden.add(child.name)

    def enter(self, child: Child) -> "Merged":
        """The merged folder that a child is; empty when it is none any more, since containers go on."""
        opened: list[int] = []
        try:
            for parent in child.parents:
                opened.append(os.open(child.name, _FOLDER, dir_fd=parent))
        except BaseException as error:
            Merged(opened, self.dialect).__exit__()
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return Merged([], self.dialect)
            raise
        return Merged(opened, self.dialect)


def open_stack(layers: str, lower: Sequence[str], dialect: "Dialect") -> Merged:
    """The root folders of the layers `lower` (paths below the folder `layers`, lowest first)."""
    opened: list[int] = []
    try:
        for name in reversed(lower):
            opened.append(os.open(f"{layers}/{name}", _FOLDER))
    except BaseException:
        Merged(opened, dialect).__exit__()
        raise
    return Merged(opened, dialect)
