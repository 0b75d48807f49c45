"""pyctr commit"""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.engine import containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def commit(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.cli import progress
    from pyctr.engine import committing

    container_id = containers.find(options.store, arguments[0])
    wanted = committing.CommitOptions(
        author=options.author or "",
        changes=options.change,
        config=options.config or "",
        format=options.format,
        include_volumes=options.include_volumes,
        message=options.message or "",
        pause=options.pause,
        squash=options.squash,
    )
    name = arguments[1] if len(arguments) > 1 else ""
    shown = progress.choose(quiet=options.quiet)
    image_id = committing.commit(options.store, container_id, name, wanted, shown)
    if options.iidfile:
        with open(options.iidfile, "w") as file:
            file.write(f"sha256:{image_id}")
    print(image_id)
    return 0


COMMAND = Command(
    name="commit",
    summary="Make an image of a container",
    handler=commit,
    arguments=(Argument("CONTAINER", complete="container"), Argument("IMAGE", 0, 1, complete="image")),
    options=(
        Option(("--author", "-a"), "Author of the image", "text", "AUTHOR"),
        Option(
            ("--change", "-c"), "Instruction for the config: CMD, ENV, LABEL, ...", "list", "INSTRUCTION"
        ),
        Option(
            ("--config",), "Config in JSON that goes over the container's", "text", "FILE", complete="file"
        ),
        Option(("--format", "-f"), "oci or docker", "text", "FORMAT", "oci", choices=("oci", "docker")),
        Option(("--iidfile",), "Write the id of the image to this file", "text", "FILE", complete="file"),
        Option(("--include-volumes",), "Declare all volumes of the container in the image"),
        Option(("--message", "-m"), "Message for the history of the image", "text", "MESSAGE"),
        Option(("--pause", "-p"), "Freeze a running container meanwhile"),
        Option(("--quiet", "-q"), "Print nothing but the id"),
        Option(("--squash", "-s"), "One layer of all files instead of one more"),
    ),
    description="What the container has changed becomes a layer on its image; what is in volumes does not.",
    examples=(
        "pyctr commit web localhost/web:2",
        "pyctr commit -c 'CMD [\"serve\"]' -c 'ENV MODE=fast' web web:fast",
    ),
)
