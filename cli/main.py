"""The way into the program: find the command, read its line, call it, tell what failed."""

import gc
import os
import sys

from pyctr.cli import commands, reader
from pyctr.cli.globals import ANYWHERE, GLOBAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn


_RARELY = (100_000, 50, 100)  # a short command makes no garbage worth the 1.5 ms that looking for it takes


def main() -> "NoReturn":
    """Runs the program and leaves it."""
    gc.set_threshold(*_RARELY)
    words = sys.argv[1:]
    try:
        open_standard_streams()
        prepare_output()
        code = dispatch(words)
        flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 125
    except BaseException as error:
        from pyctr.cli.failure import report

        code = report(error, debug=wants_debug(words))
    leave(code)


def open_standard_streams() -> None:
    """Opens /dev/null where a standard stream is closed: a socket or a lock would get its number."""
    while (fd := os.open("/dev/null", os.O_RDWR)) < 3:
        os.set_inheritable(fd, True)
    os.close(fd)


def prepare_output() -> None:
    """Names are printed as the bytes they are, also those that are no text in the user's locale."""
    if sys.stdout is not None:
        unicode = sys.stdout.encoding == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")  # type: ignore[union-attr]


def leave(code: int) -> "NoReturn":
    """Ends the process without the interpreter's teardown (5 ms). What was printed gets out first."""
    try:
        flush()
    except OSError:
        code = code or 125
    os._exit(code)


def flush() -> None:
    """Writes out what was printed. OSError when it cannot be (a full disk, a reader that went away).

    That nobody hears what was said on standard error does not make a failure of what was done.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        pass


def dispatch(words: "list[str]") -> int:
    """The exit code of the command line `words`."""
    if "_PYCTR_COMPLETE" in os.environ:
        from pyctr.cli import usage

        return usage.complete(os.environ["_PYCTR_COMPLETE"])
    try:
        options, rest = reader.read(GLOBAL, words)
    except reader.Unreadable:
        from pyctr.cli import usage

        usage.explain_global(words)
    if options.version:
        from pyctr import __version__

        print(f"pyctr version {__version__}")
        return 0
    line = [*rest[1:], "--help"] if rest[:1] == ("help",) else list(rest)
    found = commands.resolve(line)
    if found is not None:
        return run(*found, options)
    from pyctr.cli import usage

    if line in ([], ["--help"]):
        usage.explain_global(["--help"])
    usage.explain_unknown(line)


def run(name: str, words: "list[str]", outer: reader.Options) -> int:
    """Loads one command, reads its words and calls it. `outer` are the options before the command."""
    command = commands.load(name)
    try:
        options, arguments = reader.read(command, words, ANYWHERE)
    except reader.Unreadable:
        from pyctr.cli import usage

        options, arguments = usage.read(command, words)
    inherited = {key: getattr(outer, key) for key in outer.named - options.named}
    handler: Callable[[reader.Options, tuple[str, ...]], int] = command.handler  # type: ignore[assignment]
    return handler(reader.with_values(options, inherited) if inherited else options, arguments)


def wants_debug(words: "list[str]") -> bool:
    """Whether a failure shows its traceback: also when the words could not be read."""
    return "--log-level=debug" in words or ("--log-level", "debug") in zip(words, words[1:], strict=False)
