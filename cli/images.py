"""pyctr images"""

from pyctr.cli import imagerows
from pyctr.cli.format import is_json, print_rows
from pyctr.cli.tables import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def images(options: "Options", arguments: "tuple[str, ...]") -> int:
    rows = imagerows.find(options.store, options, arguments)
    if options.quiet:
        ids = dict.fromkeys([imagerows.shown_id(row.image_id, options) for row in rows])
        print("".join([f"{each}\n" for each in ids if each]), end="")
        return 0
    print_rows(
        [imagerows.row(each, options) for each in rows],
        options.format,
        imagerows.columns(options),
        noheading=options.noheading,
        json_rows=imagerows.json_rows(options.store, rows) if is_json(options.format or "") else None,
        headings=imagerows.HEADINGS,
    )
    return 0


COMMAND = Command(
    name="images",
    summary="List images",
    handler=images,
    arguments=(Argument("NAME", 0, 1, complete="image"),),
    options=(
        Option(("--all", "-a"), "Also images that only others are built on"),
        Option(("--digests",), "Show the digests of the manifests"),
        Option(
            ("--filter", "-f"), "Only images that fit: label=, reference=, dangling=, ...", "list", "FILTER"
        ),
        Option(("--format",), "json, or a Go template", "text", "FORMAT"),
        Option(("--no-trunc",), "Do not shorten ids"),
        Option(("--noheading", "-n"), "No headings"),
        Option(("--quiet", "-q"), "Only ids"),
        Option(
            ("--sort",),
            "Sort by created, id, repository, size or tag",
            "text",
            "KEY",
            "created",
            choices=("created", "id", "repository", "size", "tag"),
        ),
        Option(("--history",), unsupported=True),
    ),
    examples=("pyctr images", "pyctr images --filter dangling=true -q"),
)
