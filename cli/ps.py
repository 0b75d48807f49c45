"""pyctr ps"""

import time

from pyctr.cli import format
from pyctr.cli.tables import Command, Option
from pyctr.engine import listing
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.engine.listing import Listed

SORTS = ("command", "created", "id", "image", "names", "runningfor", "size", "status")
COLUMNS = (
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "CreatedHuman"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
)
SIZE = ("SIZE", "Size")
NAMESPACES = (
    ("CONTAINER ID", "ID"),
    ("NAMES", "Names"),
    ("PID", "Pid"),
    *((heading, heading) for heading in ("CGROUPNS", "IPC", "MNT", "NET", "PIDNS", "USERNS", "UTS")),
)
HEADINGS = {"RunningFor": "CREATED", "CreatedAt": "CREATED AT", "State": "STATE", "ImageID": "IMAGE ID"}


def ps(options: "Options", _arguments: "tuple[str, ...]") -> int:
    check(options)
    if options.watch is None:
        show(options)
        return 0
    while True:
        print("\033[H\033[2J", end="")
        show(options)
        time.sleep(options.watch)


def check(options: "Options") -> None:
    """PyctrError for options that do not fit together: podman-ps(1)."""
    if options.quiet and (options.format or options.size or options.namespace):
        raise PyctrError("--quiet shows ids only: it cannot be used with --format, --size or --namespace")
    if options.namespace and options.size:
        raise PyctrError("--size and --namespace cannot be used together")
    if options.watch is not None and options.watch < 1:
        raise PyctrError("--watch needs a number of seconds, 1 or more")


def show(options: "Options") -> None:
    found = chosen(options)
    sizes = measure(options, found)
    found.sort(key=lambda each: sort_key(each, options.sort, sizes))
    if options.quiet:
        print("".join([f"{short(each.id, options)}\n" for each in found]), end="")
        return
    from pyctr.cli import psrows

    rows = [psrows.row(each, options, sizes.get(each.id)) for each in found]
    as_json = bool(options.format) and format.is_json(options.format)
    format.print_rows(
        rows,
        options.format,
        NAMESPACES if options.namespace else (*COLUMNS, SIZE) if options.size else COLUMNS,
        noheading=options.noheading,
        json_rows=[psrows.json_row(each, options, sizes.get(each.id)) for each in found]
        if as_json
        else None,
        headings=HEADINGS,
    )


def chosen(options: "Options") -> "list[Listed]":
    """The containers to show, oldest first."""
    found = listing.list_containers(options.store)
    count = 1 if options.latest else options.last
    everything = options.all or count > 0 or any([text.startswith("status") for text in options.filter])
    if options.filter:
        from pyctr.engine import filters

        found = filters.select(options.store, found, options.filter)
    found = listing.shown(found, everything=everything)
    return found[-count:] if count > 0 else found


def measure(options: "Options", found: "list[Listed]") -> "dict[str, tuple[int, int]]":
    """The bytes of each container's own layer and of all of it, when they are asked for."""
    if not options.size and options.sort != "size":
        return {}
    from pyctr.engine import usage

    return usage.measure(options.store, found)


def sort_key(each: "Listed", order: str, sizes: "dict[str, tuple[int, int]]") -> "tuple[object, ...]":
    keys: dict[str, object] = {
        "command": (each.summary.entrypoint, each.summary.command),
        "id": each.id,
        "image": each.summary.image_name,
        "names": each.summary.name,
        "size": sizes.get(each.id, (0, 0))[1],
        "status": each.status,
        "runningfor": each.state.started,
    }
    return keys.get(order, 0), each.summary.created


def short(container_id: str, options: "Options") -> str:
    return container_id if options.no_trunc else container_id[:12]


COMMAND = Command(
    name="ps",
    summary="List containers",
    description="Shows the containers that run; with --all also those that do not. A container whose record "
    "cannot be read is shown as broken.",
    handler=ps,
    options=(
        Option(("--all", "-a"), "Show all containers"),
        Option(("--external",), "Also those of other programs (there are none)"),
        Option(("--filter", "-f"), "Show the containers that pass these filters", "list", "KEY=VALUE"),
        Option(("--format",), "json, or a Go template", "text", "TEMPLATE"),
        Option(("--last", "-n"), "Show the last ones that were created", "int", "NUMBER", -1),
        Option(("--latest", "-l"), "Show the one that was created last"),
        Option(("--namespace", "--ns"), "Show the namespaces"),
        Option(("--no-trunc",), "Do not shorten ids and commands"),
        Option(("--noheading", "-N"), "No headings"),
        Option(("--pod", "-p"), unsupported=True),
        Option(("--quiet", "-q"), "Show ids only"),
        Option(("--size", "-s"), "Show how much disk space they take"),
        Option(("--sort",), "Order of the list", "text", "BY", "created", choices=SORTS),
        Option(("--sync",), "Look at the processes, which is always done"),
        Option(("--watch", "-w"), "Show again every so many seconds", "int", "SECONDS"),
    ),
    examples=(
        "pyctr ps",
        "pyctr ps -a --filter status=exited",
        "pyctr ps --format '{{.Names}} {{.Status}}'",
    ),
)
