"""pyctr image tree"""

from pyctr.cli.format import plain
from pyctr.cli.tables import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyctr.cli.reader import Options
    from pyctr.engine.imagehistory import Node


def tree(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.engine import imagehistory
    from pyctr.image import lookup
    from pyctr.storage import images

    image = lookup.lookup(options.store, arguments[0])
    print(f"Image ID: {image.id[:12]}")
    print(f"Tags:     [{plain(' '.join(images.names_of(options.store, image.id)))}]")
    print(f"Size:     {size(image.size)}")
    print("Image Layers" if image.layers else "No Image Layers")
    nodes = imagehistory.stack(options.store, image)
    if options.whatrequires:
        nodes[-1:] = (
            [nodes[-1].replace(above=imagehistory.dependents(options.store, image))] if nodes else []
        )
    print("\n".join(lines(nodes)))
    return 0


def lines(nodes: "Sequence[Node]", indent: str = "") -> "Iterator[str]":
    """A branch a line, as `tree` draws them."""
    for at, node in enumerate(nodes):
        last = at == len(nodes) - 1
        names = f" Top Layer of: [{plain(' '.join(node.names))}]" if node.names else ""
        yield f"{indent}{'└── ' if last else '├── '}ID: {node.id[:12]} Size: {size(node.size):>7}{names}"
        yield from lines(node.above, indent + ("    " if last else "│   "))


def size(number: float) -> str:
    """A size in powers of 1000 with four digits, without a blank: 2.145MB."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while number >= 999.95 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.4g}{units[0]}"


COMMAND = Command(
    name="image tree",
    summary="Show the layers of an image",
    handler=tree,
    arguments=(Argument("IMAGE", complete="image"),),
    options=(Option(("--whatrequires",), "Also the images that are built on it"),),
    examples=("pyctr image tree debian", "pyctr image tree --whatrequires debian"),
)
