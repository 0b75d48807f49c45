"""The reader and click read every command line alike, and both as pflag does."""

import random
from typing import Any

import pytest

from pyctr.cli import commands, reader, usage
from pyctr.cli.globals import ANYWHERE, GLOBAL
from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

EVERY_KIND = Command(
    name="sample",
    summary="All that a table can hold",
    handler=None,
    interspersed=False,
    options=(
        Option(("--env", "-e"), kind="list"),
        Option(("--tty", "-t")),
        Option(("--interactive", "-i")),
        Option(("--proxy",), default=True),
        Option(("--publish", "-p"), kind="list"),
        Option(("--stop-timeout",), kind="int", default=10),
        Option(("--name",), kind="text"),
        Option(("--hostname", "-h"), kind="text"),
        Option(("--systemd",), kind="optional", implied="true"),
        Option(("--pull",), kind="text", default="missing", choices=("always", "missing", "never")),
        Option(("--dns",), kind="list", default=("1.1.1.1",)),
        Option(("--blkio-weight",), kind="text", unsupported=True),
        Option(("--rm",), dest="remove"),
    ),
    arguments=(Argument("IMAGE"), Argument("COMMAND", 0, -1)),
)
INTERSPERSED = EVERY_KIND.replace(
    name="inter", interspersed=True, arguments=(Argument("A"), Argument("B", 0, 1))
)


SAMPLES = {table.name: table for table in (EVERY_KIND, INTERSPERSED, GLOBAL)}
NAMES = [*SAMPLES, *[name for name in commands.COMMANDS if commands.exists(name)]]


def outcome(read: Any, table: Command, words: list[str]) -> tuple[Any, ...]:
    """What a reader makes of the words, in a form that can be compared."""
    try:
        options, arguments = read(table, list(words))
    except (reader.Unreadable, SystemExit):
        return ("unreadable",)
    except PyctrError as error:
        return ("refused",) if "not supported yet" in error.message else ("unreadable",)
    return ("read", dict(options.__dict__), arguments)


def by_table(table: Command, words: list[str]) -> Any:
    return reader.read(table, words, ANYWHERE)


JUNK = ("img", "-", "--", "--help", "-h", "--unknown", "--root=/x", "--log-level", "")
VALUES = (
    "",
    "x",
    "a=b",
    "5",
    "-1",
    "0x10",
    "07",
    "true",
    "false",
    "T",
    "-",
    "--",
    "always",
    "-x",
    "1.1.1.1",
    "ä b",
)


def random_line(random_: random.Random, table: Command) -> list[str]:
    """Words that are mostly right for the table."""
    words: list[str] = []
    for _ in range(random_.randint(0, 5)):
        option = random_.choice(table.options or EVERY_KIND.options)
        name, value = random_.choice(option.names), random_.choice(VALUES)
        form = random_.randint(0, 9)
        if form < 2:
            words.append(name)
        elif form < 4:
            words += [name, value]
        elif form < 6:
            words.append(f"{name}={value}")
        elif form < 7:
            words.append(name + value)
        elif form < 8:
            shorts = [name[1] for each in table.options for name in each.names if len(name) == 2] or ["x"]
            words.append("-" + "".join(random_.choices(shorts, k=random_.randint(1, 3))) + value)
        else:
            words.append(random_.choice(JUNK))
    return words + random_.choices(("img", "sh", "-c", "--tty"), k=random_.randint(0, 2))


@pytest.mark.parametrize("name", NAMES, ids=[name or "pyctr" for name in NAMES])
def test_reader_and_click_agree(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the reader reads, click reads alike; what it cannot read, click refuses or answers with help."""
    table = SAMPLES[name] if name in SAMPLES else commands.load(name)
    random_ = random.Random(name)
    readable = 0
    for _ in range(600):
        words = random_line(random_, table)
        ours, clicks = outcome(by_table, table, words), outcome(usage.read, table, words)
        assert ours == clicks, words
        readable += ours[0] == "read"
    capsys.readouterr()
    assert readable > 5


PFLAG = [  # words, attribute, value, arguments
    ("-it img", "tty", True, ("img",)),
    ("-itp 80:80 img", "publish", ("80:80",), ("img",)),
    ("-p8080:80 -p=81:81 img", "publish", ("8080:80", "81:81"), ("img",)),
    ("-e A=1 --env B=2 --env=C=3 img", "env", ("A=1", "B=2", "C=3"), ("img",)),
    ("-h web img", "hostname", "web", ("img",)),
    ("--proxy=false img", "proxy", False, ("img",)),
    ("--proxy img", "proxy", True, ("img",)),
    ("-t=false img", "tty", False, ("img",)),
    ("--systemd img", "systemd", "true", ("img",)),
    ("--systemd=always img", "systemd", "always", ("img",)),
    ("img", "systemd", None, ("img",)),
    ("--stop-timeout -1 img", "stop_timeout", -1, ("img",)),
    ("--name -t img", "name", "-t", ("img",)),
    ("--name= img", "name", "", ("img",)),
    ("-- -t img", "tty", False, ("-t", "img")),
    ("img -- -t", "tty", False, ("img", "--", "-t")),
    ("img -t", "tty", False, ("img", "-t")),
    ("--dns 9.9.9.9 img", "dns", ("9.9.9.9",), ("img",)),
    ("img", "dns", ("1.1.1.1",), ("img",)),
    ("--rm img", "remove", True, ("img",)),
    ("--log-level debug img", "log_level", "debug", ("img",)),
]


@pytest.mark.parametrize("read", [by_table, usage.read], ids=["reader", "click"])
@pytest.mark.parametrize(("line", "name", "value", "arguments"), PFLAG)
def test_rules_of_pflag(read: Any, line: str, name: str, value: object, arguments: tuple[str, ...]) -> None:
    options, words = read(EVERY_KIND, line.split())
    assert (getattr(options, name), words) == (value, arguments)


def test_interspersed_options() -> None:
    options, words = reader.read(INTERSPERSED, ["a", "-t", "--", "-i"])
    assert (options.tty, options.interactive, words) == (True, False, ("a", "-i"))


def test_named_holds_what_was_on_the_line() -> None:
    options, _ = reader.read(EVERY_KIND, ["--proxy", "--rm", "img"])
    assert options.named == {"proxy", "remove"}


def test_store_follows_the_folders() -> None:
    options, _ = reader.read(EVERY_KIND, ["--root=/x", "--runroot", "/y", "img"], ANYWHERE)
    assert (options.store.root, options.store.runroot) == ("/x", "/y")


ERRORS = [
    ("--foo img", "unknown flag: --foo"),
    ("-Z img", "unknown shorthand flag: 'Z' in -Z"),
    ("-itZ img", "unknown shorthand flag: 'Z' in -itZ"),
    ("--name", "flag needs an argument: --name"),
    ("--stop-timeout x img", "invalid argument"),
    ("--stop-timeout x img", "--stop-timeout"),
    ("--pull sometimes img", "must be one of always, missing, never"),
    ("--tty=maybe img", "must be true or false"),
    ("", "requires at least 1 arg(s), only received 0"),
    ("--blkio-weight 5 img", "pyctr sample: --blkio-weight is not supported yet"),
]


@pytest.mark.parametrize(("line", "message"), ERRORS)
def test_errors_say_what_is_wrong(line: str, message: str) -> None:
    with pytest.raises(PyctrError) as caught:
        usage.read(EVERY_KIND, line.split())
    assert message in caught.value.message
    assert caught.value.exit_code == 125
    assert "pyctr sample --help" in (caught.value.hint or "")


def test_the_reader_refuses_unsupported_options_itself() -> None:
    with pytest.raises(PyctrError, match="--blkio-weight is not supported yet"):
        reader.read(EVERY_KIND, ["--blkio-weight", "5", "img"])


def test_a_typing_error_gets_a_suggestion() -> None:
    with pytest.raises(PyctrError) as caught:
        usage.read(EVERY_KIND, ["--interactve", "img"])
    assert "Did you mean --interactive?" in (caught.value.hint or "")
