"""The house rules that a program can check."""

import ast
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parent.parent
LAYERS = ("cli", "engine", "image", "net", "rootless", "runtime", "storage")
LONGEST = 500  # lines of a module: what is longer has two nouns in it

# The project speaks of itself alone: no names of a workplace, its tools and its numbers. Written in
# halves, so that this file does not find itself.
FOREIGN = [
    *("cla" + "ude", "anthr" + "opic", "open" + "ai", "chat" + "gpt", "co" + "pilot", r"\bl" + r"lms?\b"),
    *(
        "language " + "model",
        "sub" + r"-?agent",
        "the br" + r"ief\b",
        r"\biss" + r"ues? #?\d",
        "the iss" + "ue on",
    ),
    *(r"(?<![\w.}])/wo" + r"rk/", r"iss" + r"ues show", r"/tmp/br" + "ief"),
]


def modules() -> list[pathlib.Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


every_module = pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))


def tracked() -> list[pathlib.Path]:
    """The files that git knows, or in a copy without it the sources."""
    argv = ["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z"]
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        folders = (*LAYERS, "docs", "packaging", "tests", "src")
        return [
            path
            for folder in folders
            for path in (ROOT / folder).rglob("*")
            if "__pycache__" not in str(path)
        ]
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_the_project_speaks_of_itself_alone() -> None:
    pattern = re.compile("|".join(FOREIGN), re.IGNORECASE)
    found = []
    for path in tracked():
        if path.is_symlink() or not path.is_file():
            continue
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0]}")
    assert not found, "\n".join(found)


@every_module
def test_modules_are_short(path: pathlib.Path) -> None:
    assert len(path.read_text().splitlines()) < LONGEST


@every_module
def test_modules_say_what_they_are(path: pathlib.Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@every_module
def test_only_the_command_line_prints_and_exits(path: pathlib.Path) -> None:
    if path.is_relative_to(ROOT / "cli"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in ("print", "sys.exit", "exit", "sys.stdout.write"), (
                node.lineno
            )


@every_module
def test_values_have_real_annotations(path: pathlib.Path) -> None:
    """rootless/values.py reads the annotations of a value's fields."""
    text = path.read_text()
    if re.search(r"^class \w+\(Value\)", text, re.MULTILINE):
        assert "from __future__ import annotations" not in text


@every_module
def test_no_work_is_put_off_without_a_reason(path: pathlib.Path) -> None:
    """TODO, FIXME and XXX alone say nothing."""
    assert not re.search(r"\b(TODO|FIXME|XXX)\b(?!: \w)", path.read_text())
