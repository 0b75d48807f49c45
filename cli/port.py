"""pyctr port"""

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def port(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.all:
        if arguments or options.latest:
            raise PyctrError(
                "--all shows every container: it cannot be used with a name, a port or --latest"
            )
        for container_id in targets.listed(options.store, ("status=running",)):
            for inside, outside in mappings(options, container_id):
                print(f"{container_id[:12]}\t{inside} -> {outside}")
        return 0
    container_id, wanted = chosen(options, arguments)
    found = mappings(options, container_id)
    if not wanted:
        print("".join([f"{inside} -> {outside}\n" for inside, outside in found]), end="")
        return 0
    key = wanted if "/" in wanted else f"{wanted}/tcp"
    outsides = [outside for inside, outside in found if inside == key]
    if not outsides:
        raise PyctrError(f'failed to find published port "{wanted}"')
    print("\n".join(outsides))
    return 0


def chosen(options: "Options", arguments: "tuple[str, ...]") -> "tuple[str, str]":
    """The container's id and the port of its that was asked for (empty: all)."""
    from pyctr.engine import containers

    if options.latest:
        if len(arguments) > 1:
            raise PyctrError("--latest needs no name of a container")
        return containers.latest(options.store), (*arguments, "")[0]
    if not arguments:
        raise PyctrError("you must supply a running container name or id")
    return containers.find(options.store, arguments[0]), (*arguments, "")[1]


def mappings(options: "Options", container_id: str) -> "list[tuple[str, str]]":
    """`80/tcp` and `0.0.0.0:8080` of each published port."""
    from pyctr.engine import containers, inspectconfig

    published = inspectconfig.ports(containers.read_spec(options.store, container_id).network)
    found = []
    for inside, outsides in sorted(published.items(), key=lambda item: int(item[0].partition("/")[0])):
        for each in outsides or ():
            found.append((inside, f"{each['HostIp']}:{each['HostPort']}"))
    return found


COMMAND = Command(
    name="port",
    summary="Show where the ports of a container are published",
    handler=port,
    arguments=(Argument("CONTAINER", 0, 1, complete="container"), Argument("PORT[/PROTOCOL]", 0, 1)),
    options=(Option(("--all", "-a"), "Show the ports of all running containers"), targets.LATEST),
    examples=("pyctr port web", "pyctr port web 80/tcp"),
)
