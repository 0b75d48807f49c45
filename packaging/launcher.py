"""The program that an installation gets as `pyctr`.

pip's own script costs 10 ms more: it loads `site`, re and importlib.metadata. This one starts Python
without `site` (-S) and without the user's environment and folders (-I), and adds the folders it was told
itself. Whoever installs it compiles those folders too: a user cannot write bytecode into root's, and
compiling takes 100 ms a call.
"""

import os
from collections.abc import Iterable

LONGEST_SHEBANG = 127  # bytes; older kernels cut what is longer

# The folders come last: names of the standard library are then found without a look into them.
BODY = """\
import sys

sys.path += {paths!r}
{pack}from pyctr.cli.main import main

main()
"""


def launcher_text(python: str, paths: Iterable[str], pack: str = "") -> str:
    """The text of an executable script: pyctr on the interpreter `python`, with `paths` to import from.

    `paths` are absolute: the folder that holds the package `pyctr`, and those of its dependencies.
    `pack` are the lines of `pack.launcher_lines`.
    """
    body = BODY.format(paths=list(paths), pack=pack)
    shebang = f"#!{python} -IS\n"
    if len(os.fsencode(shebang)) <= LONGEST_SHEBANG and not any(letter.isspace() for letter in python):
        return shebang + body
    # Shell and Python at once: to the shell the first line after #! is an exec, to Python it is a string.
    quoted = python.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f"#!/bin/sh\n''''exec \"{quoted}\" -IS \"$0\" \"$@\" # '''\n{body}"
