"""storage.conf(5): which driver, and where things are, as far as it means something here.

Podman keeps its own files in `graphroot` and `runroot`, so pyctr takes the folder `pyctr` in each. Of the
system's file the two count for root only; an ordinary user has `rootless_storage_path`.
"""

import os

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import confcache, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
CACHE = "storage.conf.json"
_MANUAL = "containers-storage.conf(5)"
_ALIASES = {"overlay2": "overlay"}
_FOLDER = "pyctr"


class Configuration(Value):
    """What storage.conf says; empty is: not said. Folders are those for pyctr."""

    driver: str = ""
    root: str = ""
    runroot: str = ""
    mount_program: str = ""
    mountopt: str = ""

    def drivers(self) -> tuple[str, ...]:
        """The drivers to try, in this order; none is all. With `overlay` the program that does the same is
        as good where the kernel cannot, as with podman.
        """
        if self.driver in ("", "overlay") and self.mount_program:
            return ("fuse-overlayfs",)
        if self.driver == "overlay":
            return ("overlay", "fuse-overlayfs")
        return (self.driver,) if self.driver else ()

    def options(self) -> tuple[str, ...]:
        """The driver's options, as a container records them: those of an overlay."""
        if self.driver == "vfs":
            return ()
        given = (("mount_program", self.mount_program), ("mountopt", self.mountopt))
        return tuple([f"{name}={value}" for name, value in given if value])


def choice(
    said: Configuration, driver: str, options: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The drivers to try and their options, when the user asks for these. Who names a driver does without
    the options of the file, who names options keeps its driver. PyctrError for an option without a value.
    """
    name = _ALIASES.get(driver, driver)
    words = tuple([_option(word) for word in options])
    if not name:
        found = said.replace(**dict([word.split("=", 1) for word in words])) if words else said
        return found.drivers(), found.options()
    if name == "overlay" and any([word.startswith("mount_program=") for word in words]):
        name = "fuse-overlayfs"
    return (name,), words


def _option(word: str) -> str:
    """An option of the command line without the name of its driver: overlay.mountopt=nodev."""
    name, equals, value = word.partition("=")
    name = name.rpartition(".")[2]
    if not equals or name not in ("mount_program", "mountopt"):
        raise PyctrError(
            f"unknown storage option {word!r}",
            "Known are overlay.mount_program=FILE, overlay.mountopt=WORDS.",
        )
    return f"{name}={value}"


def load(runroot: str) -> Configuration:
    """The configuration of this user, cached in `runroot`. PyctrError names a file that is wrong."""
    return (
        confcache.load(paths.storage_conf_files(), f"{runroot}/{CACHE}", Configuration, VERSION, parse)
        or Configuration()
    )


def parse(files: list[str]) -> Configuration:
    """What the files say together, later ones over earlier ones."""
    merged: dict[str, str] = {}
    for path in files:
        data = confcache.read_toml(path, _MANUAL)
        merged.update(_read(data, path))
    return Configuration(**merged)


def _read(data: "dict[str, Any]", path: str) -> "dict[str, str]":
    storage = _table(data, "storage", path)
    overlay = _table(_table(storage, "options", path), "overlay", path)
    options = _table(storage, "options", path)
    driver = _text(storage, "driver", path)
    found = {
        "driver": _ALIASES.get(driver, driver),
        "root": _root(storage, path),
        "runroot": _folder(storage, "runroot", path) if _is_own(path) else "",
        "mount_program": _text(overlay, "mount_program", path) or _text(options, "mount_program", path),
        "mountopt": _text(overlay, "mountopt", path) or _text(options, "mountopt", path),
    }
    return {name: value for name, value in found.items() if value}


def _root(storage: "dict[str, Any]", path: str) -> str:
    if _is_own(path) and storage.get("graphroot"):
        return _folder(storage, "graphroot", path)
    return _folder(storage, "rootless_storage_path", path) if os.geteuid() else ""


def _is_own(path: str) -> bool:
    """Whether what a file says of folders is meant for this user."""
    return path not in paths.SYSTEM_STORAGE_CONF or not os.geteuid()


def _folder(storage: "dict[str, Any]", name: str, path: str) -> str:
    """The folder for pyctr in the one that is named, with $HOME, $USER, $UID in their values."""
    text = _text(storage, name, path)
    if not text:
        return ""
    values = {"UID": str(os.getuid()), **os.environ}
    for variable in ("HOME", "USER", "UID"):
        for spelling in (f"${{{variable}}}", f"${variable}"):
            text = text.replace(spelling, values.get(variable, ""))
    if not text.startswith("/"):
        raise PyctrError(f"{path}: {name} is not an absolute path: {text!r}", f"See {_MANUAL}.")
    return f"{text.rstrip('/')}/{_FOLDER}"


def _table(data: "dict[str, Any]", name: str, path: str) -> "dict[str, Any]":
    found = data.get(name, {})
    if type(found) is not dict:
        raise PyctrError(f"{path}: {name} is not a table", f"{_MANUAL} describes it.")
    return found


def _text(table: "dict[str, Any]", name: str, path: str) -> str:
    found = table.get(name, "")
    if type(found) is not str:
        raise PyctrError(f"{path}: {name} has a value of the wrong type", f"{_MANUAL} describes it.")
    return found
