"""What a user is told when a command fails, and the exit code."""

import errno
import os
import sys

from pyctr.rootless.errors import PyctrError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def report(error: BaseException, *, debug: bool = False) -> int:
    """Prints `Error: message` and a hint on standard error; the exit code. `debug` adds the traceback."""
    if debug:
        print_traceback(error)
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError):
        silence()
        return 141  # as a program ends that SIGPIPE kills
    message, hint, code = describe(error)
    say(f"Error: {message}", *([hint] if hint else []))
    return code


def describe(error: BaseException) -> "tuple[str, str | None, int]":
    """The message, the hint and the exit code of an error."""
    if isinstance(error, PyctrError):
        return error.message, error.hint, error.exit_code
    if isinstance(error, OSError):
        return describe_os(error)
    if isinstance(error, MemoryError):
        return "not enough memory", None, 125
    return (
        f"pyctr failed unexpectedly: {type(error).__name__}: {error}",
        "This is a defect of pyctr; with --log-level=debug it shows where.",
        125,
    )


def describe_os(error: OSError) -> "tuple[str, str | None, int]":
    """What an error of the system means for the user."""
    given = (error.filename, error.filename2)
    names = [os.fsdecode(name) for name in given if isinstance(name, (str, bytes))]
    what = error.strerror or str(error)
    message = f"{' -> '.join(names)}: {what}" if names else what
    hint = None
    if error.errno in NO_SPACE:
        hint = "Make room there (pyctr rmi and pyctr rm free space), or choose another place with --root."
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "Too many files are open: raise the limit with `ulimit -n`."
    elif error.errno == errno.EROFS:
        hint = "The file system is read-only: choose another place with --root."
    return message, hint, 125


def warn_kept(reason: str) -> None:
    """Tells why a removal has freed no space, if there is a reason."""
    if reason:
        say(f"WARNING: no space was freed, since a broken record may need it: {reason}")


def say(*lines: str) -> None:
    """Lines on standard error; a stream that is gone is no failure.

    What an archive or a registry says of itself can be among them: it must not drive the terminal.
    """
    text = "\n".join(lines)
    if sys.stderr is None:  # it was closed before the start: print would take standard output
        return
    try:
        print(_tame(text), file=sys.stderr, flush=True)
    except OSError:
        pass


def _tame(text: str) -> str:
    """The text without control characters, but for line ends and tabs."""
    tame = [letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1] for letter in text]
    return "".join(tame)


def print_traceback(error: BaseException) -> None:
    import traceback

    say("".join(traceback.format_exception(error)).rstrip())


def silence() -> None:
    """What is still buffered for a reader that went away goes to /dev/null."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)
