"""What --creds lacks is asked for on a terminal, and nowhere else."""

import pytest

from tests.commands import Cli
from tests.runtime.terminals import terminal

COMMANDS = ("push -q IMAGE REGISTRY/app:1", "pull -q REGISTRY/app:1", "search --list-tags REGISTRY/app")


def words(line: str, image: str, registry: str, creds: str) -> list[str]:
    filled = line.replace("IMAGE", image).replace("REGISTRY", registry).split()
    return [filled[0], "--creds", creds, *filled[1:]]


@pytest.mark.parametrize("line", COMMANDS)
def test_the_password_is_asked_for_and_not_shown(
    cli: Cli, busybox: str, locked_registry: str, line: str
) -> None:
    cli("push", "-q", "--creds", "me:secret", busybox, f"{locked_registry}/app:1")
    with terminal() as term:
        term.run(cli, *words(line, busybox, locked_registry, "me")).read("Password: ")
        term.type("secret\n")
        assert term.end() == 0
        assert "secret" not in term.seen and "Password" not in term.seen


def test_the_user_is_asked_for_too(cli: Cli, busybox: str, locked_registry: str) -> None:
    with terminal() as term:
        term.run(cli, *words(COMMANDS[0], busybox, locked_registry, ":")).read("Username: ")
        term.type("me\n")
        term.read("Password: ")
        term.type("secret\n")
        assert term.end() == 0


def test_an_end_instead_of_a_password_is_an_error(cli: Cli, busybox: str, locked_registry: str) -> None:
    with terminal() as term:
        term.run(cli, *words(COMMANDS[0], busybox, locked_registry, "me")).read("Password: ")
        term.type("\x04")
        term.read("Error: --creds lacks the password")
        assert term.end() == 125


@pytest.mark.parametrize(("creds", "lacks"), [("me", "password"), ("me:", "password"), (":pw", "user")])
@pytest.mark.parametrize("line", COMMANDS)
def test_without_a_terminal_nothing_is_asked(
    cli: Cli, busybox: str, locked_registry: str, line: str, creds: str, lacks: str
) -> None:
    given = words(line, busybox, locked_registry, creds)
    done = cli(*given, check=False, input="secret\n")
    assert done.returncode == 125
    assert done.stderr.startswith(f"Error: --creds lacks the {lacks}, and nobody is there")
    assert "USER:PASSWORD" in done.stderr and "Password:" not in done.stdout
