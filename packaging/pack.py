"""The pack: all modules of an installed pyctr in one file, for the launcher.

Of 45 ms that a `run` costs, Python's search for 85 modules in their folders takes 5: a stat, an open, three
reads and checks for each. The pack has an index and the compiled code without docstrings, read with one open
and one read a module. It is derived: a pack of another interpreter, or made before the package was last
installed, is left alone.

    8 bytes   length of the head, little endian
    4 bytes   magic number of the interpreter's bytecode
    head      marshal: (code of the finder, stamp, {module: (is a package, file, offset, length)})
    rest      marshal: the code of each module
"""

import importlib.util
import marshal
import os
import pathlib
import sys

FINDER = pathlib.Path(__file__).with_name("packfinder.py")
LAUNCHED = """\
try:
    with open({path!r}, "rb") as file:
        size, magic = int.from_bytes(file.read(8), "little"), file.read(4)
        head = file.read(size)
    from _frozen_importlib_external import MAGIC_NUMBER

    if magic == MAGIC_NUMBER:
        from marshal import loads

        finder, stamp, index = loads(head)
        exec(finder, names := {{}})
        names["install"](stamp, index, {path!r}, size + 12)
except OSError:
    pass
"""


def write_pack(package: pathlib.Path, target: pathlib.Path) -> None:
    """Writes the pack of the package in the folder `package` (…/pyctr) to `target`, with this
    interpreter's bytecode.
    """
    index = {}
    code = b""
    for name, path in modules(package):
        compiled = marshal.dumps(
            compile(path.read_bytes(), str(path), "exec", dont_inherit=True, optimize=2)
        )
        index[name] = (path.name == "__init__.py", str(path), len(code), len(compiled))
        code += compiled
    finder = compile(FINDER.read_bytes(), str(FINDER), "exec", dont_inherit=True, optimize=2)
    head = marshal.dumps((finder, stamp(package), index))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(len(head).to_bytes(8, "little") + importlib.util.MAGIC_NUMBER + head + code)
    temporary.chmod(0o644)
    temporary.rename(target)


def modules(package: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """Name and file of every module of the package. Its folders may be links (a checkout)."""
    found = []
    for folder, _, names in os.walk(package, followlinks=True):
        for name in names:
            path = pathlib.Path(folder, name)
            if path.suffix == ".py":
                parts = ("pyctr", *path.relative_to(package).with_suffix("").parts)
                found.append((".".join(part for part in parts if part != "__init__"), path))
    return sorted(found)


def stamp(package: pathlib.Path) -> tuple[str, int, int]:
    """What changes when the package is installed anew."""
    path = package / "__init__.py"
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size


def launcher_lines(path: pathlib.Path) -> str:
    """What the launcher does with the pack at `path`: use it, if it is there and fits."""
    return LAUNCHED.format(path=str(path))


if __name__ == "__main__":
    write_pack(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
