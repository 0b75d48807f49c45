"""pyctr search"""

from pyctr.cli.failure import say
from pyctr.cli.format import print_rows
from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.image.search import Match

SHORTENED = 44  # characters of a description
COLUMNS = (("NAME", "Name"), ("DESCRIPTION", "Description"))
COMPATIBLE = (*COLUMNS, ("STARS", "Stars"), ("OFFICIAL", "Official"), ("AUTOMATED", "Automated"))
HEADINGS = {"Index": "INDEX", "Stars": "STARS", "Official": "OFFICIAL", "Automated": "AUTOMATED"}
FILTERS = ("stars", "is-automated", "is-official")
TRUE, FALSE = ("true", "1"), ("false", "0")


def search(options: "Options", arguments: "tuple[str, ...]") -> int:
    if options.limit < 0:
        raise PyctrError(f"--limit {options.limit} is less than 0")
    if options.list_tags:
        return list_tags(arguments[0], options)
    wanted = filters(options.filter)
    rows = [row(each, options) for each in found(arguments[0], options) if fits(each, wanted)]
    print_rows(rows, options.format, COMPATIBLE if options.compatible else COLUMNS, headings=HEADINGS)
    return 0


def found(text: str, options: "Options") -> "list[Match]":
    """What the registry has that the term names; all that are searched where it names none.

    Of several one may fail: that is told. PyctrError when all do.
    """
    from pyctr.image import registries

    domain, term = split(text)
    domains = (domain,) if domain else registries.load(options.store).search
    matches: list[Match] = []
    errors = []
    for each in domains:
        try:
            matches += found_in(each, term, options)
        except PyctrError as error:
            errors.append(error)
    if len(errors) == len(domains):
        raise together(errors)
    for failure in errors:
        say(f"WARNING: {failure.message}")
    return matches


def found_in(domain: str, term: str, options: "Options") -> "list[Match]":
    from pyctr.cli.push import access_of
    from pyctr.image import registries
    from pyctr.image import search as searching

    access = registries.reached(options.store, domain, access_of(options))
    return searching.search(domain, term, access, options.limit or searching.DEFAULT_LIMIT)


def together(errors: "list[PyctrError]") -> PyctrError:
    """One error for those of all registries."""
    if len(errors) == 1:
        return errors[0]
    if not errors:
        return PyctrError(
            "no registry is searched",
            "Begin the term with one, or set unqualified-search-registries in registries.conf.",
        )
    return PyctrError("; ".join([each.message for each in errors]))


def split(text: str) -> "tuple[str, str]":
    """Registry (empty when none is named) and term of `quay.io/name`, `localhost:5000/`, `name`."""
    from pyctr.image import reference

    bare = text.removeprefix("docker://")
    first, slash, rest = bare.partition("/")
    if slash and (first == reference.LOCAL_DOMAIN or "." in first or ":" in first):
        if not reference.is_domain(first):
            raise PyctrError(
                f"{first!r} is not a registry", "Registries look like quay.io or localhost:5000."
            )
        return first, rest
    return "", bare.removeprefix("library/")


def row(match: "Match", options: "Options") -> "dict[str, Any]":
    text = " ".join(match.description.split())
    if len(text) > SHORTENED and not options.no_trunc:
        text = f"{text[:SHORTENED]}..."
    return {
        "Index": match.index,
        "Name": match.name,
        "Description": text,
        "Stars": match.stars,
        "Official": "[OK]" if match.official else "",
        "Automated": "[OK]" if match.automated else "",
        "Tag": "",
    }


def filters(words: "tuple[str, ...]") -> "dict[str, int | bool]":
    """The values of --filter by their keys. Raises PyctrError for what is none."""
    wanted: dict[str, int | bool] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in FILTERS:
            raise PyctrError(f"{key} is an invalid filter", f"Supported are {', '.join(FILTERS)}.")
        if key == "stars" and value.isdecimal():
            wanted[key] = int(value)
        elif key != "stars" and value.lower() in (*TRUE, *FALSE, ""):
            wanted[key] = value.lower() not in FALSE
        else:
            raise PyctrError(f'invalid filter "{word}"', "Write it as stars=3 or is-official=true.")
    return wanted


def fits(match: "Match", wanted: "dict[str, int | bool]") -> bool:
    return (
        match.stars >= wanted.get("stars", 0)
        and match.automated == wanted.get("is-automated", match.automated)
        and match.official == wanted.get("is-official", match.official)
    )


def list_tags(name: str, options: "Options") -> int:
    """Prints the tags of a repository, a line each."""
    from pyctr.cli.push import access_of
    from pyctr.image import reference, registries
    from pyctr.image import search as searching

    if options.filter:
        raise PyctrError("--filter cannot be used with --list-tags")
    of = reference.normalize(name.removeprefix("docker://"))
    access = registries.reached(options.store, of.repository, access_of(options))
    tags = searching.tags(of, access, options.limit)
    rows = [{"Name": of.repository, "Tag": tag} for tag in tags]
    json_rows = [{"Name": of.repository, "Tags": tags}]
    print_rows(rows, options.format, (("NAME", "Name"), ("TAG", "Tag")), json_rows=json_rows)
    return 0


COMMAND = Command(
    name="search",
    summary="Search a registry for images",
    handler=search,
    arguments=(Argument("TERM", 1, 1),),
    options=(
        Option(("--authfile",), "File with credentials for registries", "text", "PATH", complete="file"),
        Option(
            ("--cert-dir",), "Folder with certificates for the registry", "text", "PATH", complete="file"
        ),
        Option(("--compatible",), "Show stars, official and automated too, as docker does"),
        Option(("--creds",), "Credentials; what is missing is asked for", "text", "USER[:PASSWORD]"),
        Option(
            ("--filter", "-f"),
            "Only images that fit: stars=, is-automated=, is-official=",
            "list",
            "FILTER",
        ),
        Option(("--format",), "json, or a Go template", "text", "FORMAT"),
        Option(("--limit",), "Show at most so many (default 25, or all tags)", "int", "N", 0),
        Option(("--list-tags",), "List the tags of a repository"),
        Option(("--no-trunc",), "Do not shorten descriptions"),
        Option(("--tls-verify",), "Demand TLS and verify the registry's certificate", default=True),
    ),
    description="""\
Searches the registry in front of the term for images with the term in their names; without one all that
registries.conf searches for short names (unqualified-search-registries), else docker.io. A registry with a
slash and nothing behind it lists all that it shows: only docker.io has a search of its own, others list
their catalogue, and some do not.""",
    examples=(
        "pyctr search --limit 3 alpine",
        "pyctr search registry.example.com/",
        "pyctr search --list-tags quay.io/podman/stable",
    ),
)
