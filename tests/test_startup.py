"""The start-up budget: what may be loaded by the commands that have to be fast.

Every module costs time in every call. Who needs another one here imports it inside the function that needs
it, or adds it to a list below and says what it costs: `python -X importtime -I -S`.
"""

import os
import re
import subprocess
import sys

import pytest

from tests import commands
from tests.commands import Cli

# What the interpreter loads by itself, and what os and ctypes bring.
INTERPRETER = """_abc _codecs _collections_abc _frozen_importlib_external _io _signal _stat _weakref abc codecs
    encodings encodings.aliases encodings.utf_8 genericpath io marshal os posix posixpath stat time
    zipimport""".split()
CTYPES = "_ctypes _struct ctypes ctypes._endian struct types".split()
# C modules, under 0.3 ms each.
SMALL = "_json _socket array errno fcntl pwd select termios binascii resource _locale".split()
ALLOWED = {*INTERPRETER, *CTYPES, *SMALL}

# Named, so that the failure says what a growing list would hide.
NEVER = set(
    """asyncio click collections contextlib dataclasses datetime email enum functools hashlib http inspect
    jeepney json logging pathlib pydantic pyroute2 random re rich shutil signal site socket sqlite3 ssl
    subprocess tarfile tempfile threading traceback typing urllib urllib3 uuid warnings""".split()
)
# Parts of pyctr that a started container has no use for.
FOREIGN = {
    "pyctr.cli": ("clickbridge", "completing", "gotemplate", "gofunctions", "failure", "usage"),
    "pyctr.image": ("registry", "transport", "tokens", "archive", "load", "transfer", "keeping"),
    "pyctr.storage": ("unpack", "tarstream", "compression", "workers", "layerbuild", "sweep"),
}


def loaded(cli: Cli, *words: str) -> set[str]:
    """Every module that a command and its children load."""
    paths = [str(commands.CHECKOUT / "src"), *commands.site_folders()]
    code = (
        f"import sys; sys.path += {paths!r}; sys.argv[0] = 'pyctr'; from pyctr.cli.main import main; main()"
    )
    argv = [sys.executable, "-X", "importtime", "-IS", "-c", code, *cli.argv(*words)[1:]]
    done = subprocess.run(
        argv, env=cli.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, re.sub(r"^import time:.*\n", "", done.stderr, flags=re.MULTILINE)
    return set(re.findall(r"import time: +\d+ \| +\d+ \| +([\w.]+)", done.stderr))


def too_much(modules: set[str]) -> str:
    """The modules that break the budget, in words."""
    own = {name for name in modules if name.split(".")[0] == "pyctr"}
    foreign = {f"{package}.{name}" for package, names in FOREIGN.items() for name in names}
    return " ".join(sorted((modules - own - ALLOWED) | (own & foreign)))


@pytest.fixture
def warm(cli: Cli, busybox: str) -> str:
    """The image, after a first run: that one compiles the system call filter and keeps it."""
    cli("run", "--rm", busybox, "true")
    return busybox


@pytest.fixture
def running(cli: Cli, busybox: str) -> str:
    """The name of a container that runs until it is stopped."""
    cli("run", "-d", "--name", "web", "--network", "none", busybox, "sleep", "inf")
    return "web"


def test_run(cli: Cli, warm: str) -> None:
    assert too_much(loaded(cli, "run", "--rm", warm, "true")) == ""


def test_run_detached(cli: Cli, warm: str) -> None:
    assert too_much(loaded(cli, "run", "-d", warm, "true")) == ""


def test_run_with_many_options(cli: Cli, warm: str, tmp_path: "os.PathLike[str]") -> None:
    os.chmod(tmp_path, 0o755)
    words = f"-i -e A=1 -v {tmp_path}:/data -w /tmp --read-only --cap-drop all --user 1:1 -l a=b".split()
    assert too_much(loaded(cli, "run", "--rm", *words, warm, "true")) == ""


def test_start(cli: Cli, warm: str) -> None:
    cli("create", "--name", "made", warm, "true")
    assert too_much(loaded(cli, "start", "-a", "made")) == ""


def test_exec(cli: Cli, running: str) -> None:
    assert too_much(loaded(cli, "exec", running, "true")) == ""


@pytest.mark.parametrize("words", ["ps", "ps -a", "ps -q"])
def test_ps(cli: Cli, running: str, words: str) -> None:
    assert too_much(loaded(cli, *words.split())) == ""


@pytest.mark.parametrize("words", ["logs web", "inspect web", "stop -t 0 web", "rm -f -t 0 web", "kill web"])
def test_other_commands(cli: Cli, running: str, words: str) -> None:
    assert too_much(loaded(cli, *words.split())) == ""


def test_the_lists_agree() -> None:
    assert not NEVER & ALLOWED


def test_the_entry_is_small(cli: Cli) -> None:
    modules = loaded(cli, "--version")
    assert too_much(modules) == ""
    own = {name for name in modules if name.startswith("pyctr")}
    assert own == {
        *(
            "pyctr",
            "pyctr.cli",
            "pyctr.cli.commands",
            "pyctr.cli.globals",
            "pyctr.cli.main",
            "pyctr.cli.reader",
        ),
        *("pyctr.cli.tables", "pyctr.rootless", "pyctr.rootless.errors", "pyctr.rootless.values"),
    }
