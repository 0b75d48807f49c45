"""`pyctr completion`: the script that completes commands in a shell."""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options

SHELLS = ("bash", "zsh", "fish")


def print_script(options: "Options", arguments: "tuple[str, ...]") -> int:
    """Prints the script of a shell, or writes it to a file."""
    shell = arguments[0]
    if shell not in SHELLS:
        raise PyctrError(f"there is no completion for {shell}", f"Shells: {', '.join(SHELLS)}")
    from pyctr.cli import clickbridge, completing

    text = completing.script(clickbridge.TableGroup(), shell, "pyctr")
    if options.file:
        with open(options.file, "w") as file:
            file.write(text)
    else:
        print(text, end="")
    return 0


COMMAND = Command(
    name="completion",
    summary="Print the script that completes commands in a shell",
    description="Prints a script for bash, zsh or fish. Loaded by the shell, it completes commands, "
    "options, and the names of containers, images and volumes.",
    handler=print_script,
    options=(
        Option(("--file", "-f"), "Write the script to this file instead", "text", "FILE", complete="file"),
        Option(("--no-desc",), "Accepted for podman's sake; bash shows no descriptions", hidden=True),
    ),
    arguments=(Argument("SHELL"),),
    examples=(
        "source <(pyctr completion bash)",
        "pyctr completion bash -f ~/.local/share/bash-completion/completions/pyctr",
        "pyctr completion fish -f ~/.config/fish/completions/pyctr.fish",
    ),
)
