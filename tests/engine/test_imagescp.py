"""Images over ssh: a real sshd, started by ssh itself instead of a connection, and a second store there."""

import os
import pathlib
import shlex
import stat
import subprocess
from collections.abc import Iterator

import pytest

from pyctr.engine import imagescp
from pyctr.engine.imagescp import End
from pyctr.rootless.errors import PyctrError
from tests import commands
from tests.commands import Cli
from tests.conftest import needs

SSHD = "/usr/sbin/sshd"
SERVER = """\
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PidFile none
SetEnv PATH={folder}/there:{path}
"""
CLIENT = """\
Host there
    ProxyCommand {sshd} -i -f {folder}/server
    IdentityFile {folder}/key
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
    BatchMode yes
"""


def script(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def there(cli: Cli, pyctr_program: list[str], tmp_path: pathlib.Path) -> Iterator[Cli]:
    """The pyctr on a host called `there`; `cli` finds the way in its PATH."""
    needs("ssh", SSHD)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    path = os.environ["PATH"]
    (tmp_path / "server").write_text(SERVER.format(folder=tmp_path, path=path))
    (tmp_path / "client").write_text(CLIENT.format(folder=tmp_path, sshd=SSHD))
    script(tmp_path / "here/ssh", f'exec /usr/bin/ssh -F {tmp_path}/client "$@"')
    other = commands.Cli(pyctr_program)
    script(tmp_path / "there/pyctr", f'exec {shlex.join(other.argv())} "$@"')
    yield other
    complaints = other.cleanup()
    assert not complaints, "\n".join(complaints)


def copy(cli: Cli, tmp_path: pathlib.Path, *words: str, check: bool = True) -> commands.Result:
    path = {"PATH": f"{tmp_path}/here:{os.environ['PATH']}"}
    return cli("image", "scp", "-q", *words, env=path, check=check)


def test_an_image_goes_there_and_comes_back(
    cli: Cli, there: Cli, busybox: str, tmp_path: pathlib.Path
) -> None:
    copy(cli, tmp_path, busybox, "there::")
    copy(cli, tmp_path, busybox, "there::other:2")
    listed = there("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout.split()
    image_id = cli("images", "-q").stdout.strip()
    assert sorted(listed) == sorted([busybox, image_id, "localhost/other:2", image_id])
    cli("rmi", busybox)
    assert copy(cli, tmp_path, "there::other:2", "back:1").stdout == "Loaded image: localhost/other:2\n"
    names = cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert sorted(names) == ["localhost/back:1", "localhost/other:2"]
    assert copy(cli, tmp_path, "there::other:2", "there::").returncode == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("there::nothing:1",), "there"),
        (("busybox", "nowhere.invalid::"), "nowhere.invalid"),
        (("nothing", "there::"), "nothing: image not known"),
        (("busybox",), "both ends are here"),
        (("--", "busybox", "-oProxyCommand=touch::"), "no host"),
        (("there::x", "there::y"), "cannot be renamed"),
    ],
)
def test_failures_name_their_end(
    cli: Cli, there: Cli, busybox: str, tmp_path: pathlib.Path, words: tuple[str, ...], complaint: str
) -> None:
    done = copy(cli, tmp_path, *words, check=False)
    assert done.returncode == 125
    assert complaint in done.stderr


def test_words_for_the_other_side_are_quoted() -> None:
    argv = End("host", "x; rm -r /").command(["save", "x; rm -r /"])
    assert argv[:3] == ["ssh", "--", "host"]
    assert argv[3].endswith(" save 'x; rm -r /'")


def test_other_users_of_this_machine_are_reached_through_sudo() -> None:
    end = imagescp.parse("other@localhost::alpine")
    assert (end.host, end.image) == ("other@localhost", "alpine")
    assert end.command(["load"])[:5] == ["sudo", "-i", "-u", "other", "--"]


@pytest.mark.parametrize("text", ["::alpine", "-x::alpine"])
def test_a_host_is_needed_before_the_colons(text: str) -> None:
    with pytest.raises(PyctrError):
        imagescp.parse(text)
