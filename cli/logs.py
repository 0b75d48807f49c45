"""pyctr logs"""

import sys

from pyctr.cli import targets
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from pyctr.cli.reader import Options
    from pyctr.runtime.logs import Entry

COLORS = (b"\033[37m", b"\033[31m", b"\033[33m", b"\033[34m", b"\033[35m", b"\033[36m", b"\033[32m")
PLAIN = b"\033[0m"


def show(options: "Options", arguments: "tuple[str, ...]") -> int:
    found = targets.find_all(options, arguments)
    for target in found:
        if target.error:
            raise target.error
    printers = [Printer(prefix, timestamps=options.timestamps) for prefix in prefixes(options, found)]
    for each in logs.read(options.store, [target.id for target in found], wanted(options)):
        if each is None:
            sys.stdout.flush()
            sys.stderr.flush()
        else:
            printers[each[0]].print(each[1])
    return 0


def wanted(options: "Options") -> logs.Wanted:
    since, until = options.since, options.until
    if since or until:
        from pyctr.engine import timestamps

        since = timestamps.parse(since, "--since") if since else 0
        until = timestamps.parse(until, "--until") if until else 0
    return logs.Wanted(options.follow, options.tail, since or 0, until or 0)


def prefixes(options: "Options", found: "list[targets.Target]") -> "list[bytes]":
    """What stands before each line: nothing for one container, else its short id or its name."""
    if len(found) == 1:
        return [b""]
    words = [name_of(options, target) if options.names else target.id[:12] for target in found]
    if not options.color:
        return [f"{word} ".encode() for word in words]
    return [COLORS[at % len(COLORS)] + word.encode() + PLAIN + b" " for at, word in enumerate(words)]


def name_of(options: "Options", target: "targets.Target") -> str:
    from pyctr.engine import listing, truth

    listed = listing.read(options.store, target.id, truth.Here())
    return (listed.summary.name if listed else "") or target.id[:12]


class Printer:
    """Prints the entries of one container; the pieces of a long line come out as one line."""

    def __init__(self, prefix: bytes, *, timestamps: bool) -> None:
        self.prefix = prefix
        self.timestamps = timestamps
        self.unfinished: set[str] = set()  # streams whose line goes on

    def print(self, entry: "Entry") -> None:
        stream: BinaryIO = (sys.stderr if entry.stream == "stderr" else sys.stdout).buffer
        if entry.stream not in self.unfinished:
            stream.write(self.prefix)
            if self.timestamps:
                stream.write(entry.time.encode() + b" ")
        stream.write(entry.data)
        if entry.partial:
            self.unfinished.add(entry.stream)
        else:
            self.unfinished.discard(entry.stream)
            stream.write(b"\n")


COMMAND = Command(
    name="logs",
    summary="Show the output of a container",
    description="What the container wrote to its standard output and error, each on that of this command.",
    handler=show,
    arguments=(Argument("CONTAINER", 0, -1, complete="container"),),
    options=(
        Option(("--color",), "Give each container's lines a colour of their own"),
        Option(("--follow", "-f"), "Go on until the container ends"),
        targets.LATEST,
        Option(("--names", "-n"), "Begin lines with the name instead of the id, where there are several"),
        Option(("--since",), "Show what came after this time", "text", "TIME"),
        Option(("--tail",), "Show so many lines at the end; -1 is all", "int", "LINES", -1),
        Option(("--timestamps", "-t"), "Begin lines with their time"),
        Option(("--until",), "Show what came before this time", "text", "TIME"),
    ),
    examples=("pyctr logs web", "pyctr logs --follow --tail 10 web", "pyctr logs --since 10m web db"),
)
