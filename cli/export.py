"""pyctr export"""

import os

from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import containers
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def export(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import exporting
    from pyctr.image import sinks

    if not options.output and os.isatty(1):
        raise PyctrError(
            "refusing to export to a terminal", "Give a file with --output, or redirect standard output."
        )
    container_id = containers.find(options.store, arguments[0])
    with sinks.whole_file(options.output or "") as file:
        exporting.export(options.store, container_id, file.fileno())
    return 0


COMMAND = Command(
    name="export",
    summary="Write the root file system of a container as a tar archive",
    handler=export,
    arguments=(Argument("CONTAINER", complete="container"),),
    options=(
        Option(
            ("--output", "-o"),
            "File to write instead of standard output",
            "text",
            "FILE",
            complete="file",
        ),
    ),
    description="Volumes are left out. `import` makes an image of the archive.",
    examples=("pyctr export -o root.tar web", "pyctr export web | pyctr import - web:flat"),
)
