"""Questions to who sits at the terminal."""

import sys

from pyctr.rootless.errors import PyctrError


def line(prompt: str, unanswered: PyctrError) -> str:
    """A line of standard input; `unanswered` is raised at its end."""
    print(prompt, end="", flush=True)
    text = sys.stdin.readline()
    if not text:
        raise unanswered
    return text.rstrip("\r\n")


def secret(unanswered: PyctrError) -> str:
    """A password, which a terminal does not show; `unanswered` is raised at the end of the input."""
    if not sys.stdin.isatty():
        return line("Password: ", unanswered)
    import getpass

    try:
        return getpass.getpass("Password: ")
    except EOFError:
        raise unanswered from None


def credentials(text: str) -> str:
    """The value of --creds with what it lacks of user:password asked for. PyctrError without a terminal."""
    user, _, password = text.partition(":")
    if user and password:
        return text
    missing = PyctrError(
        f"--creds lacks the {'password' if user else 'user'}, and nobody is there to be asked",
        "Give --creds USER:PASSWORD where there is no terminal, or log in with pyctr login.",
    )
    if not sys.stdin.isatty():
        raise missing
    user = user or line("Username: ", missing)
    return f"{user}:{password or secret(missing)}"
