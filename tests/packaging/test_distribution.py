"""What pip makes of the checkout: the import package is made of links, and that has to come out right."""

import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable

import pytest

from tests.commands import CHECKOUT

pytestmark = pytest.mark.slow
PACKAGES = ("cli", "engine", "image", "net", "rootless", "runtime", "storage")


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy that pip may write to, without what earlier builds left."""
    ignored = shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "build", "dist", "*.egg-info")
    return pathlib.Path(shutil.copytree(CHECKOUT, tmp_path / "checkout", symlinks=True, ignore=ignored))


def pip(*words: str | pathlib.Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "-q", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def modules_of(checkout: pathlib.Path) -> set[str]:
    """Names under pyctr/ that an installation must have."""
    found = {f"{package}/{name}" for package in PACKAGES for name in relative_files(checkout / package)}
    return found | {"__init__.py", "__main__.py", "py.typed"}


def relative_files(folder: pathlib.Path) -> Iterable[str]:
    return (str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in {".py", ".json"})


def modules_in(wheel: pathlib.Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert all(name.startswith("pyctr/") for name in names)
    return {name.removeprefix("pyctr/") for name in names}


def make_venv(folder: pathlib.Path) -> pathlib.Path:
    """A virtual environment that sees the dependencies of the one we run in."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    outer = [path for path in sys.path if path.endswith("site-packages")]
    (site / "outer.pth").write_text("\n".join(outer))
    return folder


def version_said_by(program: pathlib.Path) -> str:
    """Asked without PYTHONPATH, which leads to this checkout."""
    return subprocess.check_output([program, "--version"], text=True, cwd="/", env={})


def test_wheel_has_every_module_and_runs(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, checkout)
    [wheel] = tmp_path.glob("*.whl")
    assert modules_in(wheel) == modules_of(checkout)
    venv = make_venv(tmp_path / "venv")
    pip("--python", venv / "bin/python", "install", "--no-deps", wheel)
    assert version_said_by(venv / "bin/pyctr").startswith("pyctr version ")


def test_sdist_makes_the_same_wheel(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    sdist = make_sdist(checkout, tmp_path)
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "build.spec", "packaging/install", "tests/conftest.py"} <= names
    pip("wheel", "--no-deps", "--wheel-dir", tmp_path, sdist)
    [wheel] = tmp_path.glob("*.whl")
    assert modules_in(wheel) == modules_of(checkout)


def make_sdist(checkout: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    tools = folder / "tools"
    pip("install", "--target", tools, "setuptools>=77")
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], check=True, cwd=checkout, env={"PYTHONPATH": str(tools)})
    [sdist] = folder.glob("*.tar.gz")
    return sdist


def test_editable_installation_follows_the_checkout(checkout: pathlib.Path, tmp_path: pathlib.Path) -> None:
    venv = make_venv(tmp_path / "venv")
    pip("--python", venv / "bin/python", "install", "--no-deps", "--editable", checkout)
    version = checkout / "src/pyctr/__init__.py"
    version.write_text('__version__ = "9.9"\n')
    assert version_said_by(venv / "bin/pyctr") == "pyctr version 9.9\n"
