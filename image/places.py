"""Where images are besides registries: archives and folders, as containers-transports(5) writes them.

docker-archive:PATH[:NAME]    oci-archive:PATH[:NAME]    oci:PATH[:NAME]    dir:PATH
"""

from pyctr.image.reference import DEFAULT_DOMAIN, Reference, normalize
from pyctr.image.reference import parse as parse_name
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.image.lookup import Found

TRANSPORTS = ("docker-archive", "oci-archive", "oci", "dir")
FORMATS = {
    "docker-archive": "docker-archive",
    "oci-archive": "oci-archive",
    "oci-dir": "oci",
    "docker-dir": "dir",
}  # podman-save(1), --format: the transport that writes each


class Place(Value):
    """A file (of the two archives; empty is standard output) or a folder, and the name of an image in it."""

    transport: str
    path: str
    name: str = ""

    def is_file(self) -> bool:
        return self.transport.endswith("-archive")


def parse(text: str) -> Place | None:
    """The place that `text` names; None when it begins with none of these transports. PyctrError."""
    transport, colon, rest = text.partition(":")
    if not colon or transport not in TRANSPORTS:
        return None
    path, _, name = (rest, "", "") if transport == "dir" else rest.partition(":")
    if not path:
        raise PyctrError(f"{text!r} names no file", f"Write it as {transport}:PATH.")
    return Place(transport, path, name)


def destination(found: "Found", text: str) -> Reference:
    """Where an image goes: a full name, that of the image itself when `text` is empty. Raises PyctrError."""
    if not text:
        if not found.name:
            raise PyctrError(
                f"{found.image.id[:12]} is the id of an image, which says nothing of a registry",
                "Give the destination behind it: registry.example.com/name:tag",
            )
        return parse_name(found.name)
    return normalize(text.removeprefix("docker://").removeprefix("//"), DEFAULT_DOMAIN)
