"""Commands and options as plain tables: one description, read by two readers.

`cli/reader.py` parses a command line straight from a table, without click (9 to 25 ms of start-up). Whatever
it cannot read (help, an error, completion) goes through the click command that `cli/clickbridge.py` makes.
"""

from pyctr.rootless.values import Value


class Option(Value):
    """One option. Its value reaches the command as `options.<dest>`.

    `kind`: flag (True; --x=false works too), text, int, list (text, repeatable; the value is a tuple),
    optional (text that may be left out: --x or --x=value, `implied` when left out).
    `dest` is made from the first long name unless given. `unsupported` ones are podman's and refused by
    name. `complete` says what the shell offers for the value: container, image, volume, network, file or
    nothing.
    """

    names: tuple[str, ...]  # long name first: ("--env", "-e")
    help: str = ""
    kind: str = "flag"
    metavar: str = ""
    default: object = None
    implied: str = ""
    dest: str = ""
    choices: tuple[str, ...] = ()
    complete: str = ""
    hidden: bool = False
    unsupported: bool = False


class Argument(Value):
    """Positional words: `minimum` to `maximum` of them (-1 is any number)."""

    metavar: str
    minimum: int = 1
    maximum: int = 1
    complete: str = ""


class Command(Value):
    """One command. `handler` is called as handler(options, arguments) and returns the exit code.

    With `interspersed` False the options end at the first positional word (run, create, exec): the rest is
    the container's.
    """

    name: str  # "run", "image inspect"
    summary: str
    handler: object
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    interspersed: bool = True
    description: str = ""
    examples: tuple[str, ...] = ()
    headings: tuple[tuple[str, str], ...] = ()  # (long name, heading of the help from this option on)
