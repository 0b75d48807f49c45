"""pyctr inspect"""

from pyctr.cli import format, targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine.containers import NoSuchContainer
from pyctr.rootless.errors import NoSuchObject, PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options

TYPES = ("all", "container", "image", "volume")
NOT_YET = ("artifact", "network", "pod")


def inspect(options: "Options", arguments: "tuple[str, ...]") -> int:
    check(options, arguments)
    code = 0
    found = []
    for name in arguments or (latest(options),):
        try:
            found.append(value_of(options, name))
        except PyctrError as error:
            code = max(code, targets.complain(error))
    if found or not options.format:
        format.print_values(found, options.format)
    return code


def check(options: "Options", arguments: "tuple[str, ...]") -> None:
    """PyctrError for options that do not fit together."""
    if options.type in NOT_YET:
        raise PyctrError(f"inspecting the type {options.type} is not supported yet")
    if options.latest and options.type == "image":
        raise PyctrError("--latest is for containers, not for --type image")
    if options.size and options.type == "image":
        raise PyctrError("--size is for containers, not for --type image")
    targets.check(arguments, whole=False, latest=options.latest, other=False)


def latest(options: "Options") -> str:
    """The id of the container that was created last."""
    from pyctr.engine import containers

    return containers.latest(options.store)


def value_of(options: "Options", name: str) -> "dict[str, Any]":
    """What is shown of a container, or else of an image. NoSuchObject in podman's words."""
    if options.type == "volume":
        return volume(options, name)
    if options.type != "image":
        try:
            return container(options, name)
        except NoSuchContainer as error:
            if options.type == "container":
                raise PyctrError(f"inspecting object: no such container {name}") from error
    from pyctr.engine import images

    try:
        shown: dict[str, Any] = images.inspect_image(options.store, name)
    except NoSuchObject as error:
        if options.type == "image":
            raise
        found = volume_or_none(options, name)
        if found is not None:
            return found
        raise PyctrError(f'inspecting object: no such object: "{name}"', error.hint) from error
    return shown


def volume_or_none(options: "Options", name: str) -> "dict[str, Any] | None":
    """What is shown of a volume; None when there is no such volume."""
    from pyctr.engine.volumes import NoSuchVolume

    try:
        return volume(options, name)
    except NoSuchVolume:
        return None


def volume(options: "Options", name: str) -> "dict[str, Any]":
    from pyctr.engine import volumes
    from pyctr.storage.volumes import read

    store, found = options.store, volumes.find(options.store, name)
    listed = volumes.Listed(found, read(store, found))
    return volumes.describe(store, listed, volumes.mount_counts(store))


def container(options: "Options", name: str) -> "dict[str, Any]":
    from pyctr.engine import containers, inspection

    return inspection.inspect(options.store, containers.find(options.store, name), size=options.size)


COMMAND = Command(
    name="inspect",
    summary="Show everything that is known of containers, images or volumes",
    description="A container goes before an image of the same name, an image before a volume.",
    handler=inspect,
    arguments=(Argument("NAME", 0, -1, complete="container"),),
    options=(
        Option(("--format", "-f"), "json, or a Go template", "text", "TEMPLATE"),
        targets.LATEST,
        Option(("--size", "-s"), "Also how much disk space a container takes"),
        Option(("--type", "-t"), "What to look for", "text", "TYPE", "all", choices=(*TYPES, *NOT_YET)),
    ),
    examples=("pyctr inspect web", "pyctr inspect --format '{{.State.Status}}' web"),
)
