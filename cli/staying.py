"""What run, start and attach share: which streams the command line takes to the container."""

from pyctr.runtime import attach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options

_STREAMS = ("stdin", "stdout", "stderr")


def plan_of(stdin_open: bool, tty: bool, options: "Options") -> attach.Plan:
    """The plan for the options -i, -t, -a, --detach-keys and --sig-proxy. PyctrError for a wrong word."""
    from pyctr.rootless.errors import PyctrError

    words = getattr(options, "attach", ())  # of start it is a flag: all streams
    chosen = tuple([word.lower() for word in words]) if isinstance(words, tuple) else ()
    for word in chosen:
        if word not in _STREAMS:
            raise PyctrError(f"invalid stream {word!r} for --attach", "Give stdin, stdout or stderr.")
    return attach.Plan(
        stdin=stdin_open and (not chosen or "stdin" in chosen),
        stdout=not chosen or "stdout" in chosen,
        stderr=not chosen or "stderr" in chosen,
        tty=tty,
        detach_keys=options.detach_keys or "",
        sig_proxy=options.sig_proxy,
    )
