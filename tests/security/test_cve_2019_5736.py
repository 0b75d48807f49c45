"""CVE-2019-5736: a container overwrites the program that set it up through /proc/PID/exe.

With root's interpreter this cannot happen to an ordinary user, so pyctr runs from one that the user owns.
"""

import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests import commands, images
from tests.commands import Cli
from tests.security import hostile

# Run by the interpreter that set the container up, as the kernel starts it for the #! line. What it opened
# stays open in the shell, which is another program: "text file busy" does not protect the interpreter then.
EXPLOIT = """#!/proc/self/exe -S
import os
fd = os.open("/proc/self/exe", os.O_PATH)
os.set_inheritable(fd, True)
os.execv("/bin/sh", ["sh", "-c", f'''
    echo interpreter $(stat -L -c %d:%i /proc/self/fd/{fd})
    {{ echo owned > /proc/self/fd/{fd}; }} 2>/dev/null && echo written
    exit 0'''])
"""

# Looks into every process that appears, until there is something to read. A look counts when the process
# was still the joiner afterwards: a program that has just been executed may be looked into.
WATCHER = """
import os, select
seen = set()
def report(line):
    if line not in seen:
        seen.add(line)
        print(line, flush=True)
def is_hidden(pid):
    try:
        exe = os.readlink(f"/proc/{pid}/exe")
    except PermissionError:
        return True
    except OSError:
        return False
    if not exe.startswith(("/usr/", "/bin/")):
        report(f"saw {exe}")
    return False
def look(pid, what):
    try:
        if what in ("fd", "map_files"):
            os.listdir(f"/proc/{pid}/{what}")
        else:
            os.read(os.open(f"/proc/{pid}/{what}", os.O_RDONLY), 1)
    except OSError:
        return
    if is_hidden(pid):
        report(f"looked into {what}")
print("watching", flush=True)
while not select.select([0], [], [], 0)[0]:
    for pid in os.listdir("/proc"):
        if pid.isdigit() and int(pid) > 1 and is_hidden(pid):
            report("hidden")
            for what in ("environ", "maps", "mem", "fd", "map_files", "root", "cwd"):
                look(pid, what)
"""


@pytest.fixture(scope="module")
def own_program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """pyctr on a copy of the interpreter that belongs to this user."""
    folder = tmp_path_factory.mktemp("own")
    create = [sys.executable, "-m", "venv", "--copies", "--without-pip", str(folder)]
    subprocess.run(create, check=True)
    python = (folder / "bin/python").resolve()
    assert python.stat().st_uid == os.getuid()
    launcher = commands.load_script(commands.CHECKOUT / "packaging" / "launcher.py")
    program = folder / "pyctr"
    paths = [str(commands.CHECKOUT / "src"), *commands.site_folders()]
    program.write_text(launcher.launcher_text(str(python), paths))
    program.chmod(0o755)
    return program


@pytest.fixture
def own_cli(own_program: pathlib.Path) -> Iterator[Cli]:
    command = commands.Cli([str(own_program)])
    yield command
    complaints = command.cleanup()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def assert_intact(own_program: pathlib.Path) -> Callable[[str], None]:
    """Checks what the exploit printed, and that the interpreter is what it was."""
    python = (own_program.parent / "bin/python").resolve()
    before = python.read_bytes()
    file = f"{python.stat().st_dev}:{python.stat().st_ino}"

    def check(output: str) -> None:
        found = re.findall(r"^interpreter (\S+)$", output, re.MULTILINE)
        assert found, f"the exploit did not run: {output}"
        assert file not in found
        assert "written" not in output
        assert python.read_bytes() == before

    return check


def exploiting(cli: Cli, folder: pathlib.Path) -> str:
    return hostile.load_userland(cli, folder, images.Layer().file("exploit", EXPLOIT, 0o755))


def test_an_entrypoint_cannot_reach_the_interpreter(
    own_cli: Cli, assert_intact: Callable[[str], None], tmp_path: pathlib.Path
) -> None:
    image = exploiting(own_cli, tmp_path)
    done = own_cli("run", "--rm", "--network", "none", *hostile.BORROWED, image, "/exploit")
    assert_intact(done.stdout)


def test_a_container_that_is_started_again_cannot_reach_it(
    own_cli: Cli, assert_intact: Callable[[str], None], tmp_path: pathlib.Path
) -> None:
    image = exploiting(own_cli, tmp_path)
    own_cli("create", "--name", "again", "--network", "none", *hostile.BORROWED, image, "/exploit")
    assert_intact(own_cli("start", "--attach", "again").stdout)


def test_an_executed_program_cannot_reach_it(
    own_cli: Cli, assert_intact: Callable[[str], None], tmp_path: pathlib.Path
) -> None:
    image = exploiting(own_cli, tmp_path)
    own_cli("run", "-d", "--name", "box", "--network", "none", *hostile.BORROWED, image, "sleep", "1000")
    assert_intact(own_cli("exec", "box", "/exploit").stdout)


@pytest.mark.parametrize("capability", ["chown", "sys_ptrace"])
def test_a_joiner_cannot_be_looked_into(own_cli: Cli, tmp_path: pathlib.Path, capability: str) -> None:
    """Between setns and execve the joiner is in the container's pid namespace and still runs pyctr."""
    image = hostile.load_userland(own_cli, tmp_path)
    options = ("--network", "none", "--name", "box", "--cap-add", capability, *hostile.BORROWED)
    watcher = own_cli.start(
        *("run", "--rm", "-i", *options, image, "python3", "-ISc", WATCHER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert watcher.stdout and watcher.stdin
    assert watcher.stdout.readline() == "watching\n"
    for _ in range(20):
        own_cli("exec", "box", "true")
    output, _ = watcher.communicate("stop\n", timeout=30)
    assert output.splitlines() == ["hidden"]
