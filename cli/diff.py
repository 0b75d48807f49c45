"""pyctr diff, container diff, image diff"""

from pyctr.cli.format import json_text, plain
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyctr.cli.reader import Options

    Handler = Callable[[Options, tuple[str, ...]], int]

_NAMES = {"C": "changed", "A": "added", "D": "deleted"}


def diff(options: "Options", arguments: "tuple[str, ...]", kind: str = "") -> int:
    from pyctr.engine import differences
    from pyctr.rootless.errors import PyctrError

    latest = options.__dict__.get("latest")
    words = (containers.latest(options.store), *arguments) if latest else arguments
    if not 1 <= len(words) <= 2:
        raise PyctrError("diff needs one or two containers or images", "Name one, or use --latest.")
    subjects = [differences.find(options.store, words[0], kind)]
    subjects += [differences.find(options.store, word) for word in words[1:]]
    found = differences.compare(*subjects)
    if options.format == "json":
        rows = {name: [path for each, path in found if each == key] for key, name in _NAMES.items()}
        print(json_text({name: paths for name, paths in rows.items() if paths}))
    else:
        print("".join([f"{key} {plain(path)}\n" for key, path in found]), end="")
    return 0


def container_diff(options: "Options", arguments: "tuple[str, ...]") -> int:
    return diff(options, arguments, "container")


def image_diff(options: "Options", arguments: "tuple[str, ...]") -> int:
    return diff(options, arguments, "image")


def command(name: str, summary: str, handler: "Handler", *, latest: bool, complete: str) -> Command:
    """The three of them differ in what they take for the first word."""
    newest = (Option(("--latest", "-l"), "The container that was created last"),)
    return Command(
        name=name,
        summary=summary,
        handler=handler,
        arguments=(Argument("NAME", 0, 2, complete=complete),),
        options=(
            Option(("--format",), "json", "text", "FORMAT", choices=("json",)),
            *(newest if latest else ()),
        ),
        description="A is added, C changed, D deleted: against the image of a container, what is below the "
        "last layer of an image, or a second container or image.",
        examples=(f"pyctr {name} web", f"pyctr {name} --format json web"),
    )


COMMAND = command(
    "diff", "Show what a container or image has changed", diff, latest=True, complete="container"
)
CONTAINER = command(
    "container diff",
    "Show what a container has changed",
    container_diff,
    latest=True,
    complete="container",
)
IMAGE = command("image diff", "Show what an image has changed", image_diff, latest=False, complete="image")
