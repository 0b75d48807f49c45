"""The launcher script starts pyctr without `site`, wherever the interpreter is."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from pyctr import __version__
from tests.commands import CHECKOUT, load_script, site_folders

launcher = load_script(CHECKOUT / "packaging" / "launcher.py")


def install(path: pathlib.Path, python: str) -> pathlib.Path:
    path.write_text(launcher.launcher_text(python, [str(CHECKOUT / "src"), *site_folders()]))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("folder", ["plain", "with blank", "l" * 140, 'quote"$HOME`x\\'])
def test_it_starts_whatever_the_interpreter_is_called(tmp_path: pathlib.Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    python = tmp_path / folder / "python3"
    python.symlink_to(pathlib.Path(sys.executable).resolve())
    program = install(tmp_path / "pyctr", str(python))
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"pyctr version {__version__}\n", "")


def test_words_arrive_as_they_are(tmp_path: pathlib.Path) -> None:
    program = install(tmp_path / "pyctr", sys.executable)
    done = subprocess.run([program, "a b  'c'"], capture_output=True, text=True)
    assert "unrecognized command `pyctr a b  'c'`" in done.stderr


def test_the_environment_of_python_does_not_reach_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "os.py").write_text("raise SystemExit('taken over')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('taken over')")
    program = install(tmp_path / "pyctr", sys.executable)
    environment = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere", "PYTHONINSPECT": "1"}
    done = subprocess.run(
        [program, "--version"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_link_to_it_works(tmp_path: pathlib.Path) -> None:
    install(tmp_path / "pyctr", sys.executable)
    (tmp_path / "docker").symlink_to(tmp_path / "pyctr")
    assert subprocess.run([shutil.which(tmp_path / "docker") or "", "--version"]).returncode == 0
