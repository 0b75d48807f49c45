"""What the shell offers while a command line is typed: click's completion, with names from the store."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ShellComplete,
    get_completion_class,
    split_arg_string,
)

from pyctr.storage.paths import Store, default_store, unquote_component

VARIABLE = "_PYCTR_COMPLETE"

# bash takes `:` and `=` for the ends of words, so the words it counts are not those of the program: the
# line up to the cursor is sent instead, and what stands before the last colon is cut from the answers.
BASH = """\
%(complete_func)s() {
    local answer type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_BREAKS="$COMP_WORDBREAKS" \
%(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """bash, with names that hold colons (images with tags)."""

    source_template = BASH

    @staticmethod
    def _check_version() -> None:
        """click starts a bash to ask it for its version; whoever loads the script has one."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)[1:]
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words, incomplete

    def complete(self) -> str:
        words, incomplete = self.get_completion_args()
        typed = incomplete.partition("=")[2] if incomplete.startswith("--") else incomplete
        cut = typed.rfind(":") + 1 if ":" in os.environ.get("COMP_BREAKS", "") else 0
        found = self.get_completions(words, incomplete)
        return "\n".join([f"{item.type},{str(item.value)[cut:]}" for item in found])


def shell_class(shell: str) -> type[ShellComplete] | None:
    """The completion of one shell; None when it is not supported."""
    return Bash if shell == "bash" else get_completion_class(shell)


def script(command: click.Command, shell: str, program: str) -> str:
    """The script that a shell loads. ValueError for a shell that is not known."""
    found = shell_class(shell)
    if found is None:
        raise ValueError(shell)
    return found(command, {}, program, VARIABLE).source()


def answer(command: click.Command, instruction: str, environment: Mapping[str, str]) -> int:
    """Prints what may follow the words in the environment; `instruction` is <shell>_complete."""
    shell, _, verb = instruction.partition("_")
    found = shell_class(shell)
    if found is None or verb != "complete" or "COMP_WORDS" not in environment:
        return 1
    try:
        text = found(command, {}, "pyctr", VARIABLE).complete()
    except Exception:  # a broken store or half a word: the shell offers nothing, and shows no error
        return 1
    sys.stdout.write(text + "\n" if text else "")
    return 0


def candidates(
    ctx: click.Context, kind: str, incomplete: str, choices: tuple[str, ...]
) -> list[CompletionItem[Any]]:
    """What an option or argument may be, as far as the store knows."""
    if kind in ("file", "dir"):
        return [CompletionItem(incomplete, type=kind)]
    names = choices or names_of(kind, store_of(ctx))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def store_of(ctx: click.Context) -> Store:
    """The store that the words before the command choose."""
    given = ctx.find_root().params
    return default_store(given.get("root") or None, given.get("runroot") or None)


def names_of(kind: str, store: Store) -> list[str]:
    """The names of all objects of a kind, sorted; none when the folder cannot be read."""
    if kind == "container":
        return listing(store.container_names())
    if kind == "volume":
        return listing(store.volumes())
    if kind == "image":
        full = [unquote_component(name) for name in listing(store.image_names())]
        return sorted({name for each in full for name in (each, short(each))})
    return ["bridge", "host", "none", "pasta", "slirp4netns"] if kind == "network" else []


def listing(folder: str) -> list[str]:
    try:
        return sorted([name for name in os.listdir(folder) if not name.startswith(("tmp.", "."))])
    except OSError:
        return []


def short(reference: str) -> str:
    """An image name as people type it."""
    for prefix in ("docker.io/library/", "localhost/"):
        reference = reference.removeprefix(prefix)
    return reference.removesuffix(":latest")
