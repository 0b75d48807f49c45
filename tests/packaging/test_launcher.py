"""The launcher script starts pyctr without `site`, wherever the interpreter is."""

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from pyctr import __version__
from tests.commands import CHECKOUT, load_script, site_folders

launcher = load_script(CHECKOUT / "packaging" / "launcher.py")
pack = load_script(CHECKOUT / "packaging" / "pack.py")


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


@pytest.fixture
def packed(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """A launcher with a pack, and the copy of the package that both are for."""
    package = tmp_path / "lib" / "pyctr"
    shutil.copytree(CHECKOUT / "src" / "pyctr", package, ignore=shutil.ignore_patterns("__pycache__"))
    pack.write_pack(package, tmp_path / "pyctr.pack")
    program = tmp_path / "pyctr"
    paths = [str(package.parent), *site_folders()]
    program.write_text(
        launcher.launcher_text(sys.executable, paths, pack.launcher_lines(tmp_path / "pyctr.pack"))
    )
    program.chmod(0o755)
    return program, package


def opened(program: pathlib.Path, *words: str) -> str:
    """The files that a command opens."""
    argv = ["strace", "-f", "-e", "trace=open,openat", "-o", "/dev/stderr", str(program), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stderr


def test_modules_come_from_the_pack(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, package = packed
    files = opened(program, "ps", "--help")
    assert "pyctr.pack" in files
    assert str(package) not in files


def test_what_the_pack_lacks_comes_from_the_package(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, package = packed
    text = program.read_text().replace("names[", "index.pop('pyctr.cli.ps'); names[")
    program.write_text(text)
    assert f"{package}/cli" in opened(program, "ps", "--help")


EVERY_MODULE = """
import sys
names = list(index)
for name in names:
    __import__(name)
wrong = [name for name in names if type(sys.modules[name].__spec__.loader).__name__ != "Pack"]
from pyctr.runtime.spec import Mount
print(len(names), wrong, sys.modules["pyctr.cli.ps"].__file__, list(Mount.fields())[:2])
"""
AT_ONCE = """
import threading
names = [name for name in index if name.startswith(("pyctr.engine.", "pyctr.image."))]
start = threading.Barrier(4)
def load(names):
    start.wait()
    for name in names:
        __import__(name)
threads = [threading.Thread(target=load, args=(names[::step],)) for step in (1, -1, 2, -2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
import sys
print(len(sys.modules.keys() & set(names)) == len(names))
"""


REPLACED = """
import os
import pyctr.cli.main
with open(f"{path}.new", "wb") as file:
    file.write(bytes(1000))
os.rename(f"{path}.new", path)
from pyctr.engine import signals
print(signals.parse_signal("HUP"), type(signals.__spec__.loader).__name__)
"""
CROSSING = """
import threading
start = threading.Barrier(2)
def load(name):
    start.wait()
    __import__(name)
threads = [threading.Thread(target=load, args=(name,)) for name in ("pyctr.fetching", "urllib.request")]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("loaded")
"""


def instead_of_main(program: pathlib.Path, code: str) -> str:
    """What `code` prints in the launcher's place."""
    text = program.read_text()
    program.write_text(text[: text.index("from pyctr.cli.main")] + code)
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout


def test_every_module_can_come_from_the_pack(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, package = packed
    count = len(pack.modules(package))
    expected = f"{count} [] {package}/cli/ps.py ['kind', 'target']\n"
    assert instead_of_main(program, EVERY_MODULE) == expected


def test_threads_can_import_from_the_pack_at_once(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, _ = packed
    assert instead_of_main(program, AT_ONCE) == "True\n"


def test_threads_may_import_what_a_packed_module_imports(
    packed: tuple[pathlib.Path, pathlib.Path],
) -> None:
    program, package = packed
    (package / "fetching.py").write_text("import urllib.request\n")
    pack.write_pack(package, program.with_name("pyctr.pack"))
    text = program.read_text()
    for _ in range(4):
        program.write_text(text)
        assert instead_of_main(program, CROSSING) == "loaded\n"


def test_a_pack_that_an_upgrade_replaces_is_left_alone(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    """By commands that run meanwhile: what they still load comes from the folders."""
    program, _ = packed
    code = f"path = {str(program.with_name('pyctr.pack'))!r}{REPLACED}"
    assert instead_of_main(program, code) == "1 SourceFileLoader\n"


def test_a_failure_shows_the_line_of_the_module(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, package = packed
    code = "from pyctr.engine import signals\nsignals.parse_signal(None)\n"
    text = program.read_text()
    program.write_text(text[: text.index("from pyctr.cli.main")] + code)
    done = subprocess.run([program], capture_output=True, text=True)
    lines = (package / "engine" / "signals.py").read_text().split("\n")
    [number] = re.findall(rf'File "{package}/engine/signals.py", line (\d+), in parse_signal', done.stderr)
    assert lines[int(number) - 1].strip() in done.stderr


def test_a_pack_of_an_older_installation_is_left_alone(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, package = packed
    (package / "__init__.py").write_text('__version__ = "99.1"\n')
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert done.stdout == "pyctr version 99.1\n"


def test_a_pack_of_another_interpreter_is_left_alone(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, package = packed
    file = program.with_name("pyctr.pack")
    data = bytearray(file.read_bytes())
    data[8:12] = b"\1\2\3\4"
    file.write_bytes(data)
    assert str(package) in opened(program, "--version")


def test_without_its_pack_the_launcher_works(packed: tuple[pathlib.Path, pathlib.Path]) -> None:
    program, _ = packed
    program.with_name("pyctr.pack").unlink()
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"pyctr version {__version__}\n", "")
