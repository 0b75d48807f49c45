"""Copying images to and from other machines, and other users of this one: podman-image-scp(1).

The archive of `save` goes through a pipe into `load` of the pyctr or podman over there, which ssh (or sudo)
starts; nothing but the image itself is written on either side.
"""

import shlex
import subprocess

from pyctr.image import load, lookup, places, saving
from pyctr.image.progress import SILENT, Progress
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

    from pyctr.storage.paths import Store

_SEPARATOR = "::"
_LOCALHOST = "localhost"
_PROGRAM = """p=$(command -v pyctr || command -v podman) ||
{ echo 'neither pyctr nor podman is there' >&2; exit 127; }; exec "$p" """


class End(Value):
    """One end of a copy: `host` is empty here, else what ssh takes, or user@localhost; `image` a name."""

    host: str
    image: str

    def command(self, words: list[str]) -> list[str]:
        """What runs pyctr (or podman) with these words there."""
        script = _PROGRAM + shlex.join(words)
        user, at, host = self.host.rpartition("@")
        if at and host == _LOCALHOST:
            return ["sudo", "-i", "-u", user, "--", "sh", "-c", script]
        return ["ssh", "--", self.host, script]


def parse(text: str) -> End:
    """`[HOST::]IMAGE`. PyctrError for a host that is none."""
    host, separator, image = text.rpartition(_SEPARATOR)
    if separator and (not host or host.startswith("-")):
        raise PyctrError(f"{text!r} has no host before ::", "Write it as user@host::image.")
    return End(host, image)


def copy(store: "Store", source: str, target: str = "", progress: Progress = SILENT) -> list[str]:
    """Copies an image; what was loaded, when that is here. PyctrError names the end that failed.

    Without a target it comes here under its own name.
    """
    start, end = parse(source), parse(target)
    if not start.image:
        raise PyctrError(f"{source!r} names no image", "Write it as host::image.")
    if not start.host and not end.host:
        raise PyctrError("both ends are here", "Write a host and :: before one of them, or use 'pyctr tag'.")
    if start.host and end.host:
        return _through(start, end)
    return _fetch(store, start, end.image, progress) if start.host else _send(store, start, end, progress)


def _send(store: "Store", start: End, end: End, progress: Progress) -> list[str]:
    found = lookup.find(store, start.image)
    name = _full(end.image) if end.image else found.name
    with _started(end.command(["load"]), stdin=subprocess.PIPE) as there:
        assert there.stdin
        place = places.Place("docker-archive", f"/proc/self/fd/{there.stdin.fileno()}")
        try:
            saving.save(store, [saving.Chosen(found.image, (name,) if name else ())], place, None, progress)
        except BrokenPipeError:
            pass  # its exit code tells more
        finally:
            there.stdin.close()
        _check(there, end)
    return []


def _fetch(store: "Store", start: End, name: str, progress: Progress) -> list[str]:
    with _started(start.command(["save", start.image]), stdout=subprocess.PIPE) as there:
        assert there.stdout
        with there.stdout as pipe:
            try:
                loaded = load.load(store, f"/proc/self/fd/{pipe.fileno()}", progress)
            except PyctrError:
                pipe.close()
                _check(there, start)  # when the other end failed, that is the reason
                raise
        _check(there, start)
    if name:
        from pyctr.engine import images

        images.tag(store, loaded[0], (name,))
    return loaded


def _through(start: End, end: End) -> list[str]:
    if end.image:
        raise PyctrError("an image cannot be renamed on its way between two hosts", "Tag it there.")
    with _started(start.command(["save", start.image]), stdout=subprocess.PIPE) as first:
        with _started(end.command(["load"]), stdin=first.stdout) as second:
            assert first.stdout
            first.stdout.close()
            _check(second, end)
        _check(first, start)
    return []


def _started(
    argv: list[str], stdin: "int | IO[bytes] | None" = None, stdout: "int | None" = None
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(argv, stdin=stdin, stdout=stdout)
    except FileNotFoundError:
        raise PyctrError(f"{argv[0]} is not installed", f"Install the package that has {argv[0]}.") from None


def _check(there: "subprocess.Popen[bytes]", end: End) -> None:
    if code := there.wait():
        raise PyctrError(
            f"the copy from or to {end.host} failed with exit code {code}",
            "pyctr or podman must be there, and ssh (or sudo) let you in.",
        )


def _full(name: str) -> str:
    from pyctr.engine import images

    return images.local_name(name)
