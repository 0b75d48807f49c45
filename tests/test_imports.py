"""The direction of the layers: cli -> engine -> runtime -> {image -> storage, net} -> rootless."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parent.parent
BELOW = {
    "cli": {"engine", "runtime", "image", "storage", "net", "rootless"},
    "engine": {"runtime", "image", "storage", "net", "rootless"},
    "runtime": {"image", "storage", "net", "rootless"},
    "image": {"storage", "rootless"},
    "storage": {"rootless"},
    "net": {"rootless"},
    "rootless": set(),
}


def imported(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("layer", BELOW)
def test_no_layer_imports_upward(layer: str) -> None:
    allowed = BELOW[layer] | {layer, "__version__"}
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in sorted((ROOT / layer).rglob("*.py"))
        for line, name in imported(path)
        if name.startswith("pyctr.") and name.split(".")[1] not in allowed
    ]
    assert not wrong, "\n".join(wrong)


def test_the_package_shows_every_layer() -> None:
    for layer in BELOW:
        assert (ROOT / "src" / "pyctr" / layer).resolve() == ROOT / layer
