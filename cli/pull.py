"""pyctr pull"""

from pyctr.cli.tables import Argument, Command, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.storage.paths import Store


def pull(options: "Options", arguments: "tuple[str, ...]") -> int:
    for name in arguments:
        for image_id in pull_one(options.store, name, options):
            print(image_id, flush=True)
    return 0


def pull_one(store: "Store", name: str, options: "Options") -> "list[str]":
    """The ids of what was pulled: one image from a registry, all of an archive."""
    from pyctr.cli import progress, pulling
    from pyctr.image import lookup, places, unchanged
    from pyctr.image import pull as images

    shown = progress.choose(quiet=options.quiet)
    if place := places.parse(name):
        from pyctr.image import load

        loaded = load.load(store, place.path, shown, place.name)
        return [lookup.lookup(store, each).id for each in loaded]
    if options.all_tags:
        pulled = images.pull_tags(store, name, pulling.pull_options(options), shown)
        return list(dict.fromkeys([image.id for image in pulled]))
    if options.policy != "always":
        return [pulling.image_for(store, name, options.policy, options).image.id]
    wanted = pulling.pull_options(options)
    image = unchanged.pulled(store, name, wanted, shown) or images.pull(store, name, wanted, shown)
    return [image.id]


COMMAND = Command(
    name="pull",
    summary="Fetch images from a registry",
    handler=pull,
    arguments=(Argument("IMAGE", 1, -1, complete="image"),),
    options=(
        Option(("--all-tags", "-a"), "Pull every tag of the repository"),
        Option(("--arch",), "Architecture of the image instead of this machine's", "text", "ARCH"),
        Option(("--authfile",), "File with credentials for registries", "text", "PATH", complete="file"),
        Option(
            ("--cert-dir",), "Folder with certificates for the registry", "text", "PATH", complete="file"
        ),
        Option(("--creds",), "Credentials; what is missing is asked for", "text", "USER[:PASSWORD]"),
        Option(("--disable-content-trust",), "Does nothing; docker has it", hidden=True),
        Option(("--os",), "Operating system of the image", "text", "OS"),
        Option(("--platform",), "Platform of the image", "text", "OS/ARCH[/VARIANT]"),
        Option(
            ("--policy",),
            "When to pull: always, missing, never, newer",
            "text",
            "POLICY",
            "always",
            choices=("always", "missing", "never", "newer"),
        ),
        Option(("--quiet", "-q"), "Print nothing but the id"),
        Option(("--retry",), "How often a broken transfer is tried again", "int", "N", 3),
        Option(
            ("--retry-delay",),
            "Wait before the first retry; doubled for each further one",
            "text",
            "DURATION",
        ),
        Option(("--tls-verify",), "Demand TLS and verify the registry's certificate", default=True),
        Option(("--variant",), "Variant of the architecture", "text", "VARIANT"),
        Option(("--decryption-key",), kind="list", unsupported=True),
    ),
    examples=(
        "pyctr pull docker.io/library/alpine",
        "pyctr pull --platform linux/arm64 debian:12",
        "pyctr pull oci:folder:1.0",
    ),
)
