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

# What the interpreter loads by itself, and what os brings.
INTERPRETER = """_abc _codecs _collections_abc _frozen_importlib_external _io _signal _stat _weakref
    abc codecs encodings encodings.aliases encodings.utf_8 genericpath io marshal os posix posixpath
    stat time zipimport""".split()
CTYPES = ["_ctypes"]
# C modules, under 0.3 ms each.
SMALL = "_json _socket errno fcntl gc pwd select termios binascii resource _locale".split()
ALLOWED = {*INTERPRETER, *CTYPES, *SMALL}

# Named, so that the failure says what a growing list would hide.
NEVER = set(
    """asyncio click collections contextlib dataclasses datetime email enum functools hashlib http
    inspect jeepney json logging pathlib pydantic pyroute2 random re rich shutil signal site socket
    sqlite3 ssl subprocess tarfile tempfile threading traceback typing urllib urllib3 uuid
    warnings""".split()
)
# The modules of pyctr that the commands may load, without their prefix.
ENTRY = """cli cli.commands cli.globals cli.main cli.reader cli.tables rootless rootless.errors
    rootless.values""".split()
PS = """cli.format cli.ps cli.psrows engine engine.containers engine.listing engine.timestamps
    engine.truth net net.model rootless.idmap rootless.jsontext runtime runtime.spec runtime.state
    storage storage.paths storage.records""".split()
INSIDE = """engine engine.containers engine.truth net net.model rootless.capabilities rootless.cfunctions
    rootless.idmap
    rootless.jsontext rootless.mounts rootless.processes rootless.seccomp rootless.syscalls
    rootless.terminal rootless.userns runtime runtime.attach runtime.frames runtime.init
    runtime.logfile runtime.logs runtime.messages runtime.pipes runtime.program runtime.spec runtime.state
    runtime.streams runtime.users storage storage.paths storage.records""".split()
EXEC = [*INSIDE, *"cli.exec engine.environment engine.executing engine.request runtime.session".split()]
START = """cli.start cli.staying engine.names engine.removal engine.starting engine.words
    net.drivers net.link net.names net.pasta net.ports net.route net.slirp4netns net.uplink
    rootless.cgroups runtime.birth runtime.launch runtime.monitor runtime.nethelper runtime.rootfs
    storage.drivers storage.overlay
    storage.trees""".split()
RUN = """cli.container_namespaces cli.container_network cli.container_options cli.container_request
    cli.making cli.pulling cli.run engine.config engine.create engine.environment
    engine.imagedefaults engine.limits engine.mounts engine.mountwords engine.process engine.request
    engine.security engine.signals engine.sizes image runtime.copyup image.lookup image.pull
    image.reference storage.choice storage.confcache storage.images storage.layers
    storage.volumes""".split()
OWN = {
    "version": ENTRY,
    "ps": [*ENTRY, *PS],
    "exec": [*ENTRY, *EXEC],
    "start": [*ENTRY, *INSIDE, *START],
    "run": [*ENTRY, *INSIDE, *START, *RUN],
}
# Parts of pyctr that no other command has a use for while it succeeds.
ELSEWHERE = """cli.clickbridge cli.completing cli.gotemplate cli.gofunctions cli.failure cli.usage
    image.registry image.transport image.tokens image.archive image.load image.transfer
    image.keeping storage.unpack storage.tarstream storage.compression storage.workers
    storage.layerbuild storage.sweep storage.changes storage.merged storage.whiteouts storage.vfs
    storage.fuseoverlayfs storage.llfusedriver storage.serving storage.trial storage.configuration""".split()


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


def too_much(modules: set[str], command: str = "") -> str:
    """The modules that break the budget of a command, in words."""
    own = {name.removeprefix("pyctr.") for name in modules if name.startswith("pyctr.")}
    foreign = {name for name in modules if name.split(".")[0] != "pyctr"} - ALLOWED
    wrong = own - set(OWN[command]) if command else own & set(ELSEWHERE)
    return " ".join(sorted(foreign) + sorted([f"pyctr.{name}" for name in wrong]))


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
    assert too_much(loaded(cli, "run", "--rm", warm, "true"), "run") == ""


def test_run_detached(cli: Cli, warm: str) -> None:
    assert too_much(loaded(cli, "run", "-d", warm, "true"), "run") == ""


def test_run_with_many_options(cli: Cli, warm: str, tmp_path: "os.PathLike[str]") -> None:
    words = f"-i -e A=1 -v {tmp_path}:/data -w /tmp --read-only --cap-drop all --user 1:1 -l a=b".split()
    cli("run", "--rm", *words, warm, "true")  # compiles the filter for these capabilities
    assert too_much(loaded(cli, "run", "--rm", *words, warm, "true"), "run") == ""


def test_start(cli: Cli, warm: str) -> None:
    cli("create", "--name", "made", warm, "true")
    assert too_much(loaded(cli, "start", "-a", "made"), "start") == ""


def test_exec(cli: Cli, running: str) -> None:
    assert too_much(loaded(cli, "exec", running, "true"), "exec") == ""


@pytest.mark.parametrize("words", ["ps", "ps -a", "ps -q"])
def test_ps(cli: Cli, running: str, words: str) -> None:
    assert too_much(loaded(cli, *words.split()), "ps") == ""


@pytest.mark.parametrize("words", ["logs web", "inspect web", "stop -t 0 web", "rm -f -t 0 web", "kill web"])
def test_other_commands(cli: Cli, running: str, words: str) -> None:
    assert too_much(loaded(cli, *words.split())) == ""


def test_the_entry_is_small(cli: Cli) -> None:
    assert too_much(loaded(cli, "--version"), "version") == ""


def test_the_lists_agree() -> None:
    assert not NEVER & ALLOWED
    for names in OWN.values():
        assert not set(ELSEWHERE) & set(names)
