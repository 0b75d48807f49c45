"""What run, create and pull have in common: options that say how to pull. On the path of `run`."""

from pyctr.image import pull
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.image.lookup import Found
    from pyctr.image.progress import Progress
    from pyctr.storage.paths import Store

_PLACES = ("docker-archive:", "oci-archive:", "oci:", "dir:")  # of image.places
_LOCAL = "containers-storage:"
_NANOSECONDS = 1_000_000_000


def image_for(store: "Store", name: str, policy: str, options: "Options") -> "Found":
    """The local image that `name` means, and its full name; pulled first if `policy` says so. That of an
    archive or folder is loaded.
    """

    def progress() -> "Progress":
        from pyctr.cli import progress

        return progress.choose(quiet=options.quiet)

    if name.startswith(_PLACES):
        from pyctr.image import loading

        return loading.bring(store, name, pull_options(options), progress)
    if name.startswith(_LOCAL):
        name, policy = name.removeprefix(_LOCAL), "never"
    bare = name.removeprefix("docker://")
    return pull.pull_if_needed(store, bare, policy, pull_options(options), progress)


def pull_options(options: "Options") -> pull.PullOptions:
    """How to pull. Options that a command does not have count as not given."""
    given = vars(options)
    texts = {name: given.get(name) or "" for name in ("platform", "arch", "os", "variant", "cert_dir")}
    return pull.PullOptions(
        **texts,
        creds=_credentials(options) if given.get("creds") else "",
        auth_file=given.get("authfile") or "",
        tls_verify=options.tls_verify if "tls_verify" in options.named else None,
        retries=3 if given.get("retry") is None else options.retry,
        retry_delay=_seconds(given["retry_delay"]) if given.get("retry_delay") else 1.0,
    )


def _credentials(options: "Options") -> str:
    """The value of --creds, asked for once if it is not complete."""
    from pyctr.cli import prompts

    complete = prompts.credentials(vars(options)["creds"])
    vars(options)["creds"] = complete
    return complete


def _seconds(text: str) -> float:
    """A duration such as 500ms or 2s; a bare number is seconds."""
    from pyctr.engine import timestamps

    span = timestamps.duration(text if text[-1:].isalpha() else f"{text}s")
    if span is None or span < 0:
        raise PyctrError(f"invalid duration {text!r}", "Durations look like 500ms, 2s or 1m30s.")
    return span / _NANOSECONDS
