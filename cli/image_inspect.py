"""pyctr image inspect"""

from pyctr.cli.failure import describe, say
from pyctr.cli.format import print_values
from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import images
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def inspect(options: "Options", arguments: "tuple[str, ...]") -> int:
    found, failures = [], []
    for name in arguments:
        try:
            found.append(images.inspect_image(options.store, name))
        except PyctrError as error:
            failures.append(error)
    print_values(found, options.format)
    for failure in failures:
        message, hint, _ = describe(failure)
        say(f"Error: {message}", *([hint] if hint else []))
    return 125 if failures else 0


COMMAND = Command(
    name="image inspect",
    summary="Show everything that is known of images",
    handler=inspect,
    arguments=(Argument("IMAGE", 1, -1, complete="image"),),
    options=(Option(("--format", "-f"), "json, or a Go template", "text", "FORMAT"),),
    examples=("pyctr image inspect alpine", "pyctr image inspect -f '{{.Digest}}' alpine"),
)
