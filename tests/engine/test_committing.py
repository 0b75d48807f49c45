"""commit, export and diff of containers, as a user types them."""

import hashlib
import json
import os
import pathlib
import subprocess
import tarfile

import pytest

from pyctr.storage.paths import Store
from tests import ocirules
from tests.commands import Cli
from tests.conftest import needs
from tests.images import BUSYBOX
from tests.peers import Podman

BOX = "box"
CHANGES = """\
echo new > /etc/new; chown 1000:1000 /etc/new; chmod 4750 /etc/new; ln /etc/new /etc/hard
rm /www/index.html; rm -r /usr; mkdir /usr; echo z > /usr/z; ln -s nowhere /link; mkfifo /fifo
mkdir -p '/odd
name'; touch "/$(printf '%0255d' 7)"; echo text > '/odd
name/file'
"""


@pytest.fixture
def changed(cli: Cli, busybox: str) -> str:
    """A stopped container that has changed much."""
    cli(
        "run",
        "--name",
        BOX,
        "--network",
        "none",
        "-e",
        "MODE=fast",
        "-l",
        "a=b",
        busybox,
        "sh",
        "-c",
        CHANGES,
    )
    return BOX


def test_a_commit_has_all_that_the_container_has(cli: Cli, changed: str) -> None:
    image_id = cli("commit", "-q", changed, "mine:1").stdout.strip()
    script = "stat -c '%u %g %a %h' /etc/new; cat /etc/hard '/odd\nname/file'; readlink /link; test -p /fifo"
    script += "; ls /www /usr; ls / | grep -c 0007"
    done = cli("run", "--rm", "--network", "none", "mine:1", "sh", "-c", script)
    assert done.stdout == "1000 1000 4750 2\nnew\ntext\nnowhere\n/usr:\nz\n\n/www:\n1\n"
    assert cli("image", "inspect", "-f", "{{.Id}}", "localhost/mine:1").stdout.strip() == image_id
    assert cli("diff", changed, "mine:1").stdout == ""


def test_the_config_is_that_of_the_container(cli: Cli, changed: str) -> None:
    words = ["--author", "me", "--message", "why", "-c", "CMD sleep 1", "-c", "ENV X=y"]
    cli("commit", "-q", *words, changed, "mine:1")
    [image] = json.loads(cli("image", "inspect", "mine:1").stdout)
    assert image["Author"] == "me"
    assert image["History"][-1]["comment"] == "why"
    assert image["Config"]["Cmd"] == ["/bin/sh", "-c", "sleep 1"]
    names = [entry.partition("=")[0] for entry in image["Config"]["Env"]]
    assert names == ["PATH", "MODE", "X"]
    assert image["Config"]["Labels"] == {"a": "b"}


def test_volumes_are_declared_when_asked_for(cli: Cli, busybox: str) -> None:
    cli("create", "--name", BOX, "-v", "kept:/kept", "-v", "/anonymous", busybox, "true")
    for words, wanted in (
        ((), {"/anonymous": {}}),
        (("--include-volumes",), {"/kept": {}, "/anonymous": {}}),
    ):
        cli("commit", "-q", *words, BOX, "mine:1")
        [image] = json.loads(cli("image", "inspect", "mine:1").stdout)
        assert image["Config"]["Volumes"] == wanted


@pytest.mark.parametrize("driver", ["vfs", "fuse-overlayfs"])
def test_other_drivers_commit_the_same(cli: Cli, busybox_archive: pathlib.Path, driver: str) -> None:
    if driver != "vfs":
        needs(driver)
    chosen = ("--storage-driver", driver)
    cli(*chosen, "load", "-q", "-i", busybox_archive)
    cli(*chosen, "run", "--name", BOX, "--network", "none", BUSYBOX, "sh", "-c", CHANGES)
    assert "D /usr/bin\n" in cli(*chosen, "diff", BOX).stdout
    for words in ((), ("--squash",)):
        cli(*chosen, "commit", "-q", *words, BOX, "mine:1")
        assert cli(*chosen, "diff", BOX, "mine:1").stdout == ""


@pytest.mark.parametrize("image_format", ["oci", "docker"])
def test_podman_runs_what_was_committed(
    cli: Cli, changed: str, podman: Podman, tmp_path: pathlib.Path, image_format: str
) -> None:
    cli("commit", "-q", "-f", image_format, changed, "mine:1")
    cli("save", "-q", "--format", "oci-dir", "-o", tmp_path / "layout", "mine:1")
    ocirules.check_layout(tmp_path / "layout")
    loaded = podman("load", "-q", "-i", tmp_path / "layout").stdout.partition(": ")[2].strip()
    podman("create", "--name", "committed", loaded, "true")
    try:
        podman("export", "-o", tmp_path / "root.tar", "committed")
        with tarfile.open(tmp_path / "root.tar") as archive:
            found = {member.name.rstrip("/"): member for member in archive}
        assert (found["etc/new"].uid, found["etc/new"].mode & 0o7777) == (1000, 0o4750)
        assert {"etc/hard", "odd\nname/file", "usr/z", "fifo", f"{7:0255d}"} <= found.keys()
        assert not {"www/index.html", "usr/bin"} & found.keys()
    finally:
        podman("rm", "-f", "committed")
        podman("rmi", "-f", loaded)


def test_diff_says_what_podman_would(cli: Cli, changed: str) -> None:
    rows = [line.split(" ", 1) for line in cli("diff", changed).stdout.splitlines()]
    found = {path: kind for kind, path in rows}
    assert found.pop(f"/{7:0255d}") == "A"
    assert found == {
        **{"/etc": "C", "/etc/new": "A", "/etc/hard": "A", "/fifo": "A", "/link": "A", "/odd\\nname": "A"},
        **{"/odd\\nname/file": "A", "/usr": "C", "/usr/bin": "D", "/usr/z": "A"},
        **{"/www": "C", "/www/index.html": "D"},
    }
    told = json.loads(cli("diff", "--format", "json", changed).stdout)
    assert told["deleted"] == ["/usr/bin", "/www/index.html"]
    assert "/odd\nname" in told["added"]


def test_diff_of_two_images(cli: Cli, changed: str, busybox: str) -> None:
    cli("commit", "-q", changed, "mine:1")
    forth = cli("image", "diff", "mine:1", busybox).stdout
    back = cli("image", "diff", busybox, "mine:1").stdout
    assert "D /www/index.html\n" in forth
    assert "A /www/index.html\n" in back
    assert "D /usr/z\n" in back
    assert cli("diff", busybox, busybox).stdout == ""
    top = [line for line in cli("diff", "mine:1").stdout.splitlines() if not line.endswith(" /run")]
    assert top == cli("diff", changed).stdout.splitlines()


@pytest.mark.parametrize("kind", ["container", "image"])
def test_diff_takes_the_kind_it_is_told(cli: Cli, busybox: str, changed: str, kind: str) -> None:
    """The name of the other kind is as unknown as one that nothing has."""
    for name in ("nothing", busybox if kind == "container" else changed):
        done = cli(kind, "diff", name, check=False)
        assert done.returncode == 125
        assert name in done.stderr


def test_export_and_import_go_round(cli: Cli, changed: str, tmp_path: pathlib.Path) -> None:
    cli("export", "-o", tmp_path / "root.tar", changed)
    cli("import", "-q", tmp_path / "root.tar", "flat:1")
    assert cli("diff", changed, "flat:1").stdout == ""
    with (tmp_path / "piped.tar").open("wb") as file:
        cli("export", changed, stdout=file)
    assert (tmp_path / "piped.tar").read_bytes() == (tmp_path / "root.tar").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["piped.tar", "root.tar"]


def test_squash_makes_one_layer(cli: Cli, changed: str) -> None:
    cli("commit", "-q", "--squash", changed, "flat:1")
    [image] = json.loads(cli("image", "inspect", "flat:1").stdout)
    assert len(image["RootFS"]["Layers"]) == len(image["History"]) == 1
    assert cli("diff", changed, "flat:1").stdout == ""


def test_a_running_container_is_committed(cli: Cli, busybox: str) -> None:
    script = "mkdir /volume/inside; echo x > /new; sync; touch /volume/ready; sleep inf"
    cli("run", "-d", "--name", BOX, "-v", "kept:/volume", "--network", "none", busybox, "sh", "-c", script)
    cli("exec", BOX, "sh", "-c", "until test -e /volume/ready; do sleep 0.01; done")
    cli("commit", "-q", BOX, "mine:1")
    done = cli("run", "--rm", "--network", "none", "mine:1", "sh", "-c", "cat /new; ls /volume")
    assert done.stdout == "x\n"


def test_a_name_that_is_a_mark_is_refused(cli: Cli, busybox: str) -> None:
    cli("run", "--name", BOX, "--network", "none", busybox, "touch", "/etc/.wh.passwd")
    for words in ((), ("--squash",)):
        done = cli("commit", *words, BOX, "mine:1", check=False)
        assert done.returncode == 125
        assert "/etc/.wh.passwd" in done.stderr
        assert "Rename or remove" in done.stderr
    assert cli("images", "-q", "mine").stdout == ""
    cli("image", "prune", "-f")
    assert not [name for name in os.listdir(f"{cli.store.root}/blobs/sha256") if name.startswith("tmp.")]


def test_the_deletion_of_a_name_too_long_for_a_mark_is_refused(cli: Cli, busybox: str) -> None:
    name = "n" * 254
    cli("run", "--name", "one", "--network", "none", busybox, "touch", f"/{name}")
    cli("commit", "-q", "one", "long:1")
    cli("run", "--name", BOX, "--network", "none", "long:1", "rm", f"/{name}")
    done = cli("commit", BOX, check=False)
    assert "--squash" in done.stderr
    cli("commit", "-q", "-s", BOX, "short:1")
    assert cli("diff", BOX, "short:1").stdout == ""


def test_a_sparse_giant_costs_nothing(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    script = "truncate -s 600G /giant; echo end >> /giant; truncate -s 2G /empty"
    cli("run", "--name", BOX, "--network", "none", busybox, "sh", "-c", script)
    cli("commit", "-q", BOX, "giant:1")
    seen = "stat -c %s /giant /empty; tail -c 4 /giant"
    done = cli("run", "--rm", "--network", "none", "giant:1", "sh", "-c", seen)
    assert done.stdout == f"{(600 << 30) + 4}\n{2 << 30}\nend\n"
    cli("save", "-q", "-o", tmp_path / "a.tar", "giant:1")
    assert (tmp_path / "a.tar").stat().st_size < 10 << 20


def test_podman_reads_sparse_files(cli: Cli, busybox: str, podman: Podman, tmp_path: pathlib.Path) -> None:
    """Small enough to be written out whole, which podman does."""
    script = "echo start > /sparse; truncate -s 100M /sparse; echo end >> /sparse; sha256sum /sparse"
    told = cli("run", "--name", BOX, "--network", "none", busybox, "sh", "-c", script).stdout.split()[0]
    cli("commit", "-q", BOX, "sparse:1")
    cli("save", "-q", "-o", tmp_path / "a.tar", "sparse:1")
    assert (tmp_path / "a.tar").stat().st_size < 10 << 20
    podman("load", "-q", "-i", tmp_path / "a.tar")
    podman("create", "--name", "sparse", "localhost/sparse:1", "true")
    try:
        podman("cp", "sparse:/sparse", tmp_path / "copy")
        assert hashlib.sha256((tmp_path / "copy").read_bytes()).hexdigest() == told
    finally:
        podman("rm", "-f", "sparse")
        podman("rmi", "-f", "localhost/sparse:1")


def test_sockets_are_left_out(cli: Cli, busybox: str, store: Store) -> None:
    cli("run", "--name", BOX, "--network", "none", busybox, "touch", "/file")
    code = "import socket; socket.socket(socket.AF_UNIX).bind('socket')"
    cli("unshare", "sh", "-c", f'cd {upper(cli, store)} && exec python3 -c "{code}"')
    assert "A /socket" in cli("diff", BOX).stdout
    cli("commit", "-q", BOX, "mine:1")
    assert cli("diff", BOX, "mine:1").stdout == "A /socket\n"


def upper(cli: Cli, store: Store) -> str:
    """The upper layer of the container."""
    return f"{store.containers()}/{cli('inspect', '-f', '{{.Id}}', BOX).stdout.strip()}/upper"


def test_capabilities_and_attributes_survive(cli: Cli, busybox: str, store: Store) -> None:
    cli("run", "--name", BOX, "--network", "none", busybox, "cp", "/bin/busybox", "/able")
    capability = "0x0100000200040000000000000000000000000000"  # cap_net_raw+ep, revision 2
    folder = upper(cli, store)
    code = f"import os; value = bytes.fromhex('{capability[2:]}'); "
    code += f"os.setxattr('{folder}/able', 'security.capability', value); "
    code += f"os.setxattr('{folder}/able', 'user.note', b'\\xff')"
    cli("unshare", "python3", "-c", code)
    cli("commit", "-q", BOX, "able:1")
    cli("export", "-o", f"{cli.folder}/root.tar", BOX)
    with tarfile.open(f"{cli.folder}/root.tar") as archive:
        headers = archive.getmember("able").pax_headers
    assert (
        headers["SCHILY.xattr.security.capability"].encode("utf-8", "surrogateescape").hex()
        == capability[2:]
    )
    assert headers["SCHILY.xattr.user.note"].encode("utf-8", "surrogateescape") == b"\xff"
    assert cli("diff", BOX, "able:1").stdout == ""


def test_ids_are_those_inside_whatever_the_map(cli: Cli, busybox: str) -> None:
    script = "touch /tmp/mine; id -u"
    words = ["--userns", "keep-id", "--name", BOX, "--network", "none"]
    uid = cli("run", *words, busybox, "sh", "-c", script).stdout.strip()
    cli("commit", "-q", BOX, "mine:1")
    done = cli("run", "--rm", "--network", "none", "-u", "0", "mine:1", "stat", "-c", "%u", "/tmp/mine")
    assert done.stdout.strip() == uid == str(os.getuid())


def test_pause_freezes_or_says_why_not(cli: Cli, busybox: str) -> None:
    cli("run", "-d", "--name", BOX, "--network", "none", busybox, "sleep", "inf")
    done = cli("commit", "-q", "--pause", BOX, "mine:1", check=False)
    if done.returncode:
        assert "cannot be paused" in done.stderr
        assert cli("images", "-q", "mine").stdout == ""
    assert cli("exec", BOX, "echo", "alive").stdout == "alive\n"
    cli("stop", "-t", "0", BOX)
    cli("commit", "-q", "--pause", BOX, "mine:2")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("commit nothing", "nothing"),
        ("commit box UPPER", "lower case"),
        ("commit -c NONSENSE=1 box", "NONSENSE"),
        ("commit --config /nonexistent box", "/nonexistent"),
        ("export nothing", "nothing"),
        ("export -o /nonexistent/x box", "/nonexistent"),
        ("diff nothing", "nothing"),
        ("diff", "one or two"),
    ],
)
def test_errors_name_their_object(cli: Cli, busybox: str, words: str, complaint: str) -> None:
    cli("create", "--name", BOX, busybox, "true")
    done = cli(*words.split(), check=False)
    assert done.returncode == 125
    assert complaint in done.stderr
    assert cli("images", "-q").stdout.count("\n") == 1


def test_a_container_without_its_image_is_told_so(cli: Cli, tmp_path: pathlib.Path) -> None:
    (tmp_path / "root").mkdir()
    program = subprocess.run(["which", "busybox"], capture_output=True, text=True).stdout.strip()
    (tmp_path / "root/true").write_bytes(pathlib.Path(program).read_bytes())
    cli("create", "--name", BOX, "--rootfs", tmp_path / "root", "/true")
    assert "--rootfs" in cli("commit", BOX, check=False).stderr
    cli("export", "-o", tmp_path / "root.tar", BOX)
    with tarfile.open(tmp_path / "root.tar") as archive:
        assert "true" in archive.getnames()


@pytest.mark.parametrize("words", [("save", "-q", BUSYBOX), ("export", BOX)])
def test_a_reader_that_goes_away_ends_it(cli: Cli, busybox: str, words: tuple[str, ...]) -> None:
    cli("create", "--name", BOX, busybox, "true")
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        done = cli(*words, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, "")
