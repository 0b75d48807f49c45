"""The pack: all modules of an installed pyctr in one file, for the launcher.

Of 45 ms that a `run` costs, Python's search for 85 modules in their folders takes 5: a stat, an open, three
reads and checks for each. The pack has an index and the compiled code without docstrings, read with one open
and one read a module. It is derived: a pack of another interpreter, or made before the package was last
installed, is left alone.

    8 bytes   length of the head, little endian
    4 bytes   magic number of the interpreter's bytecode
    head      marshal: (code of the finder, stamp, {module: (offset, length)}, packages)
    rest      marshal, for each module: (the modules that it imports when it is executed, its code)
"""

import ast
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

        finder, stamp, index, packages = loads(head)
        exec(finder, names := {{}})
        names["install"](stamp, index, packages, {path!r}, size + 12)
except OSError:
    pass
"""


def write_pack(package: pathlib.Path, target: pathlib.Path) -> None:
    """Writes the pack of the package in the folder `package` (…/pyctr) to `target`, with this
    interpreter's bytecode.
    """
    found = modules(package)
    names = {name for name, _ in found}
    index = {}
    rest = b""
    for name, path in found:
        record = packed(path, names)
        index[name] = (len(rest), len(record))
        rest += record
    packages = tuple(name for name, path in found if path.name == "__init__.py")
    finder = compile(FINDER.read_bytes(), str(FINDER), "exec", dont_inherit=True, optimize=2)
    head = marshal.dumps((finder, stamp(package), index, packages))
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(len(head).to_bytes(8, "little") + importlib.util.MAGIC_NUMBER + head + rest)
    temporary.chmod(0o644)
    temporary.rename(target)


def packed(path: pathlib.Path, names: set[str]) -> bytes:
    """The record of one module: which of the modules `names` it imports at once, and its code."""
    tree = ast.parse(path.read_bytes(), str(path))
    needed = tuple(name for name in imported(tree) if name in names)
    slim = ast.fix_missing_locations(Slimming().visit(tree))
    return marshal.dumps((needed, compile(slim, str(path), "exec", dont_inherit=True, optimize=2)))


def imported(tree: ast.Module) -> list[str]:
    """Names that the module imports when it is executed, in its order: some are no modules."""
    found = []
    for line in tree.body:
        if isinstance(line, ast.Import):
            found += [alias.name for alias in line.names]
        elif isinstance(line, ast.ImportFrom):
            found += [line.module, *(f"{line.module}.{alias.name}" for alias in line.names)]
    return list(dict.fromkeys(found))


class Slimming(ast.NodeTransformer):
    """Takes out what only a type checker reads: annotations of functions and what is under TYPE_CHECKING.

    The annotations of classes stay: the fields of values are read from them.
    """

    def __init__(self) -> None:
        self.in_function = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self.in_function = self.in_function, True
        self.generic_visit(node)
        self.in_function = outer
        node.returns = None
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer, self.in_function = self.in_function, False
        self.generic_visit(node)
        self.in_function = outer
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        if not self.in_function:
            return node
        return ast.Assign([node.target], node.value) if node.value else ast.Pass()

    def visit_If(self, node: ast.If) -> "ast.AST | list[ast.stmt]":
        self.generic_visit(node)
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return node.orelse or ast.Pass()
        return node


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
