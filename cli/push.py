"""pyctr push"""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.image.lookup import Found
    from pyctr.image.places import Place
    from pyctr.image.rendering import Wishes
    from pyctr.image.transport import Access

_ELSEWHERE = ("docker-daemon:", "containers-storage:")


def push(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import lookup, places

    name, to = arguments[0], arguments[1] if len(arguments) > 1 else ""
    refuse_elsewhere(to)
    meant = lookup.meant(options.store, name)
    if meant.is_list:
        from pyctr.cli import manifest

        manifest.push_list(meant, to, options)
        return 0
    found = lookup.find(options.store, name)
    if place := places.parse(to):
        write_digest(save(found, place, options), options)
        return 0
    write_digest(send(found, to, options), options)
    return 0


def send(found: "Found", to: str, options: "Options") -> str:
    """Brings an image to a registry, unless that has it; the digest of its manifest there."""
    from pyctr.cli import progress
    from pyctr.image import places, unchanged

    target, wishes = places.destination(found, to), wishes_of(options)
    shown = progress.choose(quiet=options.quiet)
    tls_verify = options.tls_verify if "tls_verify" in options.named else None
    if digest := unchanged.pushed(options.store, found.image, target, wishes, tls_verify, shown):
        return digest
    from pyctr.image import push as images

    return images.push(options.store, found.image, target, wishes, access_of(options), shown)


def save(found: "Found", place: "Place", options: "Options") -> str:
    """Writes an image to an archive or folder; the digest of its manifest there."""
    from pyctr.cli import progress
    from pyctr.image import saving

    wishes = wishes_of(options)
    if not wishes.format and place.transport in ("oci", "oci-archive"):
        wishes = wishes.replace(format="oci")
    given = (place.name,) if place.name else (found.name,) if place.is_file() and found.name else ()
    chosen = saving.Chosen(found.image, given)
    return saving.save(options.store, [chosen], place, wishes, progress.choose(quiet=options.quiet))


def refuse_elsewhere(to: str) -> None:
    """Raises PyctrError for a destination that is no registry."""
    if to.startswith(_ELSEWHERE):
        raise PyctrError(
            f"push to {to.partition(':')[0]}: is not supported yet", "Push to a registry instead."
        )


def write_digest(digest: str, options: "Options") -> None:
    """Does what --digestfile says."""
    if options.digestfile:
        with open(options.digestfile, "w") as file:
            file.write(digest)


def wishes_of(options: "Options") -> "Wishes":
    """What the manifest and the layers shall be: what containers.conf says holds for plain layers only."""
    from pyctr.engine import config
    from pyctr.image.rendering import Wishes

    named, level = options.compression_format or "", options.compression_level
    force = options.force_compression if "force_compression" in options.named else bool(named)
    usual = config.load(options.store)
    if not named:
        named = usual_compression(usual.compression_format)
        level = usual.compression_level if level is None else level
    return Wishes(format=options.format or "", compression=named, force=force, level=level)


def usual_compression(text: str) -> str:
    """The compression of containers.conf; zstd:chunked is zstd with an index, which is left out."""
    kind = "zstd" if text == "zstd:chunked" else text
    if kind not in ("", "gzip", "zstd"):
        raise PyctrError(
            f"containers.conf has the compression_format {text!r}, which is not supported",
            "Set gzip or zstd there, or use --compression-format.",
        )
    return kind


def access_of(options: "Options") -> "Access":
    """How the registry is reached."""
    from pyctr.cli import pulling
    from pyctr.image import transfer

    return transfer.access(pulling.pull_options(options))


COMMAND = Command(
    name="push",
    summary="Send an image to a registry",
    handler=push,
    arguments=(Argument("IMAGE", 1, 1, complete="image"), Argument("DESTINATION", 0, 1)),
    options=(
        Option(("--authfile",), "File with credentials for registries", "text", "PATH", complete="file"),
        Option(
            ("--cert-dir",), "Folder with certificates for the registry", "text", "PATH", complete="file"
        ),
        Option(
            ("--compression-format",),
            "Compress all layers with gzip or zstd",
            "text",
            "FORMAT",
            choices=("gzip", "zstd"),
        ),
        Option(("--compression-level",), "1 (fast) to 9 (small) for gzip, to 20 for zstd", "int", "LEVEL"),
        Option(("--creds",), "Credentials; what is missing is asked for", "text", "USER[:PASSWORD]"),
        Option(
            ("--digestfile",), "Write the digest of the manifest to a file", "text", "PATH", complete="file"
        ),
        Option(("--disable-content-trust",), "Does nothing; docker has it", hidden=True),
        Option(
            ("--force-compression",),
            "Compress again what is compressed otherwise; implied by --compression-format",
        ),
        Option(
            ("--format", "-f"),
            "Manifest to write: oci or v2s2, instead of the image's own",
            "text",
            "FORMAT",
            choices=("oci", "v2s2"),
        ),
        Option(("--quiet", "-q"), "No progress"),
        Option(("--remove-signatures",), "Push no signatures; pyctr never does"),
        Option(("--retry",), "How often a broken transfer is tried again", "int", "N", 3),
        Option(
            ("--retry-delay",),
            "Wait before the first retry; doubled for each further one",
            "text",
            "DURATION",
        ),
        Option(("--tls-verify",), "Demand TLS and verify the registry's certificate", default=True),
        Option(("--compress",), unsupported=True),
        Option(("--encrypt-layer",), kind="list", unsupported=True),
        Option(("--encryption-key",), kind="list", unsupported=True),
        Option(("--sign-by",), kind="text", unsupported=True),
        Option(("--sign-by-sigstore",), kind="text", unsupported=True),
        Option(("--sign-by-sigstore-private-key",), kind="text", unsupported=True),
        Option(("--sign-by-sq-fingerprint",), kind="text", unsupported=True),
        Option(("--sign-passphrase-file",), kind="text", unsupported=True),
    ),
    description="""\
Sends an image to where its name says, or to another name: `pyctr push alpine registry.example.com/alpine`.

What was pulled is sent as it came, byte by byte, and so has the same digest there. Layers of other images
that are not compressed get gzip, or what containers.conf says (compression_format, compression_level). What
the registry has already is not sent again; what another of its repositories is known to have, it shares.""",
    examples=(
        "pyctr push registry.example.com/team/app:1",
        "pyctr push app docker://registry.example.com/team/app:1",
        "pyctr push --compression-format zstd --digestfile app.digest app registry.example.com/app",
    ),
)
