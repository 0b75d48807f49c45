"""The program that an installation gets as `pyctr`, and the bytecode it needs.

pip's own script costs 10 ms more: it loads `site`, re and importlib.metadata. This one starts Python without `site`
(-S) and without the user's environment and folders (-I), and adds the folders it was told itself.
"""

import os
import py_compile
from collections.abc import Iterable

LONGEST_SHEBANG = 127  # bytes; older kernels cut what is longer

# The folders come last: names of the standard library are then found without a look into them.
BODY = """\
import sys

sys.path += {paths!r}
from pyctr.cli.main import main

main()
"""


def launcher_text(python: str, paths: Iterable[str]) -> str:
    """The text of an executable script: pyctr on the interpreter `python`, with `paths` to import from.

    `paths` are absolute: the folder that holds the package `pyctr`, and those of its dependencies.
    """
    body = BODY.format(paths=list(paths))
    shebang = f"#!{python} -IS\n"
    if len(os.fsencode(shebang)) <= LONGEST_SHEBANG and not any(letter.isspace() for letter in python):
        return shebang + body
    # Shell and Python at once: to the shell the first line after #! is an exec, to Python it is a string.
    quoted = python.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f"#!/bin/sh\n''''exec \"{quoted}\" -IS \"$0\" \"$@\" # '''\n{body}"


def compile_package(folder: str) -> int:
    """Writes the bytecode of every module under `folder` (links included, unlike compileall); how many there are.

    To be run at installation by the owner of the folder, with the interpreter of the launcher: users cannot write
    bytecode into a folder of root's, and every call would compile anew (100 ms).
    """
    count = 0
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if name.endswith(".py"):
                py_compile.compile(os.path.join(parent, name), doraise=True)
                count += 1
    return count
