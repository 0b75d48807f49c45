"""pyctr volume ..., as a user types it."""

import json
import os
import pathlib
import subprocess
import tarfile
from typing import Any

import pytest

from pyctr.storage import paths, records, volumes
from pyctr.storage.paths import Store
from tests.commands import Cli


def inspect(cli: Cli, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(cli("volume", "inspect", name).stdout)
    return found[0]


def look(cli: Cli, image: str, *words: str, volume: str = "data:/data") -> str:
    """What a command prints in a container that mounts the volume."""
    return cli("run", "--rm", "--network", "none", "-v", volume, image, *words).stdout


def test_create_prints_the_name_and_keeps_what_was_asked_for(cli: Cli) -> None:
    made = cli("volume", "create", "-l", "a=b", "--label", "c", "-o", "o=uid=7", "data")
    assert made.stdout == "data\n"
    found = inspect(cli, "data")
    assert (found["Name"], found["Driver"], found["Scope"]) == ("data", "local", "local")
    assert found["Labels"] == {"a": "b", "c": ""} and found["Options"] == {"o": "uid=7"}
    assert found["UID"] == 7 and found["MountCount"] == 0 and found["NeedsCopyUp"] is True


def test_a_volume_without_a_name_gets_digits(cli: Cli) -> None:
    name = cli("volume", "create").stdout.strip()
    assert len(name) == 64 and cli("volume", "ls", "-q").stdout.split() == [name]


def test_a_name_is_given_once_unless_that_is_ignored(cli: Cli) -> None:
    cli("volume", "create", "-l", "a=1", "data")
    done = cli("volume", "create", "data", check=False)
    assert done.returncode == 125 and "volume with name data already exists" in done.stderr
    assert cli("volume", "create", "--ignore", "-l", "a=2", "data").stdout == "data\n"
    assert inspect(cli, "data")["Labels"] == {"a": "1"}


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["-d", "other"], "driver"),
        (["-o", "type=nfs", "-o", "device=x:/y"], "type 'nfs'"),
        (["-o", "type=ext4", "-o", "device=/dev/vda"], "type 'ext4'"),
        (["-o", "o=size=5m"], "quotas"),
        (["-o", "type=none", "-o", "device=/tmp"], "o=bind"),
        (["-o", "type=none", "-o", "o=bind"], "needs a device"),
        (["-o", "type=none", "-o", "o=bind", "-o", "device=/no/such/folder"], "/no/such/folder"),
        (["-o", "type=tmpfs", "-o", "o=size=much"], "much"),
        (["-o", "type=tmpfs", "-o", "o=nonsense"], "nonsense"),
        (["-o", "o=uid=root"], "uid=root"),
        (["-o", "nonsense=1"], "nonsense"),
        (["-o", "type"], "has no value"),
        (["../data"], "invalid volume name"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(cli: Cli, argv: list[str], told: str) -> None:
    done = cli("volume", "create", *argv, check=False)
    assert done.returncode == 125 and told in done.stderr
    assert cli("volume", "ls", "-q").stdout == ""


FILTERED = [
    ("name=da", ["data"]),
    ("name=^o", ["other"]),
    ("label=a", ["data"]),
    ("label=a=x", []),
    ("label!=a", ["other"]),
    ("driver=local", ["data", "other"]),
    ("opt=o", ["other"]),
    ("scope=local", ["data", "other"]),
    ("anonymous=true", []),
    ("dangling=true", ["data", "other"]),
    ("dangling=false", []),
    ("until=1h", []),
    ("since=data", ["other"]),
]


def test_volumes_are_listed_and_filtered(cli: Cli) -> None:
    cli("volume", "create", "-l", "a=b", "data")
    cli("volume", "create", "-o", "o=uid=1", "other")
    heading, *rows = cli("volume", "ls").stdout.splitlines()
    assert heading.split() == ["DRIVER", "VOLUME", "NAME"]
    assert [row.split() for row in rows] == [["local", "data"], ["local", "other"]]
    for text, names in FILTERED:
        assert cli("volume", "ls", "-q", "--filter", text).stdout.split() == names, text
    assert cli("volume", "ls", "--format", "{{.Name}} {{.Labels.a}}", "-f", "label=a").stdout == "data b\n"
    done = cli("volume", "ls", "--filter", "nonsense=1", check=False)
    assert done.returncode == 125 and "nonsense" in done.stderr


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["rm", "absent"], 1),
        (["rm", "-f", "absent"], 0),
        (["rm"], 125),
        (["rm", "-a", "x"], 125),
        (["rm", "-t", "1", "data"], 125),
        (["rm", "dat"], 0),
        (["exists", "data"], 0),
        (["exists", "dat"], 1),
        (["inspect", "absent"], 125),
        (["reload"], 0),
        (["export", "absent"], 125),
        (["import", "data", "/no/such/file"], 125),
        (["mount"], 125),
    ],
)
def test_exit_codes(cli: Cli, argv: list[str], code: int) -> None:
    cli("volume", "create", "data")
    assert cli("volume", *argv, check=False).returncode == code


def test_the_beginning_of_two_names_is_ambiguous(cli: Cli) -> None:
    cli("volume", "create", "data1")
    cli("volume", "create", "data2")
    done = cli("volume", "rm", "data", check=False)
    assert done.returncode == 125 and "data1, data2" in done.stderr


def test_a_volume_in_use_stays_and_the_containers_are_named(cli: Cli, busybox: str) -> None:
    container = cli("create", "-v", "data:/data", busybox).stdout.strip()
    done = cli("volume", "rm", "data", check=False)
    assert done.returncode == 2 and container in done.stderr
    assert cli("volume", "ls", "-q", "--filter", "dangling=true").stdout == ""
    assert cli("volume", "prune", "-f", "--all").stdout == ""
    assert cli("volume", "rm", "-f", "data").stdout == "data\n"
    assert cli("ps", "-aq").stdout == ""


def test_force_spares_a_container_that_cannot_be_read(cli: Cli, store: Store) -> None:
    cli("volume", "create", "data")
    os.makedirs(store.container("a" * 64))
    pathlib.Path(store.container("a" * 64), paths.SPEC).write_text("{")
    done = cli("volume", "rm", "-f", "data", check=False)
    assert done.returncode == 2 and "a" * 64 in done.stderr


def test_prune_takes_anonymous_volumes_and_with_all_the_others(cli: Cli, busybox: str) -> None:
    cli("volume", "create", "data")
    container = cli("create", "-v", "/anonymous", busybox).stdout.strip()
    (anonymous,) = set(cli("volume", "ls", "-q").stdout.split()) - {"data"}
    cli("rm", container)
    assert cli("volume", "prune", "--dry-run").stdout.split() == [anonymous]
    assert "[y/N]" in cli("volume", "prune", input="n\n").stdout
    assert cli("volume", "prune", "-f").stdout.split() == [anonymous]
    assert cli("volume", "prune", "-f", "--filter", "all=true").stdout.split() == ["data"]


def test_anonymous_volumes_go_with_their_container(cli: Cli, busybox: str) -> None:
    cli("run", "--rm", "--network", "none", "-v", "/anonymous", busybox, "true")
    assert cli("volume", "ls", "-q").stdout == ""
    cli("create", "--name", "c", "-v", "/anonymous", busybox)
    cli("rm", "-v", "c")
    assert cli("volume", "ls", "-q").stdout == ""


def test_a_tmpfs_volume_is_limited_and_empty_in_each_container(cli: Cli, busybox: str) -> None:
    cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=64k,noexec", "data")
    mounted = look(cli, busybox, "grep", " /data ", "/proc/mounts")
    assert "tmpfs" in mounted and "size=64k" in mounted and "noexec" in mounted
    look(cli, busybox, "touch", "/data/x")
    assert look(cli, busybox, "ls", "/data") == ""
    done = cli("volume", "mount", "data", check=False)
    assert done.returncode == 125 and "tmpfs" in done.stderr


def test_mount_tells_where_the_data_are(cli: Cli, busybox: str) -> None:
    look(cli, busybox, "sh", "-c", "echo content > /data/file")
    folder = cli("volume", "mount", "data").stdout.strip()
    assert folder == inspect(cli, "data")["Mountpoint"]
    assert cli("unshare", "cat", f"{folder}/file").stdout == "content\n"
    pathlib.Path(folder, "mine").write_text("by the user")
    assert cli("volume", "unmount", "data").stdout == "data\n"
    assert look(cli, busybox, "cat", "/data/mine") == "by the user"
    cli("volume", "reload")
    assert cli("volume", "ls", "-q").stdout == "data\n"


def test_a_volume_can_be_a_folder_of_the_host(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("content")
    cli("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro", "data")
    assert look(cli, busybox, "cat", "/data/file") == "content"
    assert (
        "read-only"
        in cli("run", "--rm", "-v", "data:/data", busybox, "touch", "/data/x", check=False).stderr.lower()
    )
    assert cli("volume", "mount", "data").stdout == f"{tmp_path}\n"
    cli("volume", "rm", "data")
    assert (tmp_path / "file").exists()


def test_the_image_fills_a_fresh_volume_once(cli: Cli, busybox: str) -> None:
    assert "passwd" in look(cli, busybox, "ls", "/etc", volume="data:/etc")
    look(cli, busybox, "rm", "/etc/passwd", volume="data:/etc")
    assert "passwd" not in look(cli, busybox, "ls", "/etc", volume="data:/etc")
    assert inspect(cli, "data")["NeedsCopyUp"] is False
    assert look(cli, busybox, "ls", "/etc", volume="plain:/etc:nocopy") == ""


@pytest.mark.parametrize("left", ["draft", "whole", "moving"])
def test_a_filling_that_was_killed_is_done_again(cli: Cli, busybox: str, store: Store, left: str) -> None:
    """What a SIGKILL leaves after each step of a filling."""
    cli("volume", "create", "data")
    folder = store.volume("data")
    if left == "draft":
        os.mkdir(f"{folder}/{paths.VOLUME_FILL_DRAFT}")
        pathlib.Path(f"{folder}/{paths.VOLUME_FILL_DRAFT}/half").write_text("")
    else:
        os.mkdir(f"{folder}/{paths.VOLUME_FILL}")
        pathlib.Path(f"{folder}/{paths.VOLUME_FILL}/passwd").write_text("from the copy")
        if left == "moving":
            pathlib.Path(f"{folder}/data/group").write_text("moved")
    found = look(cli, busybox, "ls", "/etc", volume="data:/etc").split()
    assert found == (["passwd"] if left == "whole" else ["group", "passwd"])
    assert sorted(os.listdir(folder)) == ["copied", "data", "volume.json"]


def test_data_of_a_user_is_never_replaced_by_a_filling(cli: Cli, busybox: str, store: Store) -> None:
    cli("volume", "create", "data")
    pathlib.Path(f"{store.volume('data')}/data/passwd").write_text("mine")
    assert look(cli, busybox, "cat", "/etc/passwd", volume="data:/etc") == "mine"


@pytest.mark.parametrize("userns", ["keep-id", "keep-id:uid=5,gid=5", "host"])
def test_any_user_namespace_leaves_a_volume_that_can_be_read(cli: Cli, busybox: str, userns: str) -> None:
    cli("run", "--rm", "--network", "none", "--userns", userns, "-v", "data:/etc", busybox, "true")
    assert inspect(cli, "data")["NeedsCopyUp"] is False
    cli("volume", "rm", "data")


def test_the_owner_that_was_chosen_stays(cli: Cli, busybox: str) -> None:
    cli("volume", "create", "--uid", "33", "--gid", "34", "data")
    assert look(cli, busybox, "stat", "-c", "%u %g", "/etc", volume="data:/etc") == "33 34\n"


def fill(cli: Cli, image: str) -> None:
    script = """cd /data; echo content > file; ln file hard; ln -s /etc/passwd link; mkfifo pipe
        mkdir -p dir/deep; chown 5:6 dir; chmod 1750 dir; touch dir/.wh.name"""
    look(cli, image, "sh", "-c", script)


def test_export_and_import_carry_everything(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    fill(cli, busybox)
    archive = tmp_path / "data.tar"
    cli("volume", "export", "data", "-o", archive)
    listed = look(cli, busybox, "sh", "-c", "cd /data; find . | xargs ls -lnd | sort -k9")
    cli("volume", "create", "copy")
    cli("volume", "import", "copy", archive)
    assert (
        look(cli, busybox, "sh", "-c", "cd /data; find . | xargs ls -lnd | sort -k9", volume="copy:/data")
        == listed
    )
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar}
    assert members["./hard"].islnk() and members["./dir"].uid == 5 and members["./dir"].mode == 0o1750


@pytest.mark.parametrize("compress", [["cat"], ["gzip", "-c"], ["zstd", "-qc"], ["xz", "-c"]])
def test_import_reads_compressed_archives_from_standard_input(
    cli: Cli, store: Store, tmp_path: pathlib.Path, compress: list[str]
) -> None:
    (tmp_path / "file").write_text("new")
    tar = subprocess.run(["tar", "-c", "-C", tmp_path, "file"], capture_output=True, check=True).stdout
    packed = subprocess.run(compress, input=tar, capture_output=True, check=True).stdout
    cli("volume", "create", "data")
    data = pathlib.Path(volumes.data_folder(store, "data"))
    (data / "file").write_text("old")
    (data / "other").write_text("stays")
    argv = cli.argv("volume", "import", "data", "-")
    subprocess.run(argv, input=packed, env=cli.environment(), check=True)
    assert (data / "file").read_text() == "new" and (data / "other").read_text() == "stays"


def test_a_hostile_archive_reaches_nothing_outside(cli: Cli, store: Store, tmp_path: pathlib.Path) -> None:
    """Links that lead out, and then files below them."""
    cli("volume", "create", "data")
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("out/planted"))
    cli("volume", "import", "data", archive, check=False)
    assert not (tmp_path / "planted").exists()
    with tarfile.open(archive, "w") as tar:
        tar.addfile(tarfile.TarInfo("../../../planted"))
    done = cli("volume", "import", "data", archive, check=False)
    assert done.returncode == 125 and "climbs out" in done.stderr


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


KEEPING = {
    "a character device": (entry("d", tarfile.CHRTYPE), ""),
    "a block device": (entry("d", tarfile.BLKTYPE), ""),
    "a link to nothing": (entry("d", tarfile.LNKTYPE, "absent"), "is missing"),
    "a link below a file": (entry("d", tarfile.LNKTYPE, "file/absent"), "is missing"),
    "a link to itself": (entry("file", tarfile.LNKTYPE, "file"), "to itself"),
    "a link to itself by another name": (entry("file", tarfile.LNKTYPE, "here/file"), ""),
}


@pytest.mark.parametrize("kind", KEEPING)
def test_an_entry_that_cannot_be_made_removes_nothing(
    cli: Cli, store: Store, tmp_path: pathlib.Path, kind: str
) -> None:
    cli("volume", "create", "data")
    data = pathlib.Path(volumes.data_folder(store, "data"))
    (data / "d").mkdir()
    (data / "here").symlink_to(".")
    for name in ("file", "d/precious"):
        (data / name).write_text("kept")
    made, told = KEEPING[kind]
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        tar.addfile(made)
    done = cli("volume", "import", "data", tmp_path / "data.tar", check=False)
    assert told in done.stderr and done.returncode == (125 if told else 0), done.stderr
    assert (data / "file").read_text() == (data / "d/precious").read_text() == "kept"
    assert sorted(os.listdir(data)) == ["d", "file", "here"]


def test_a_link_takes_the_place_of_the_folder_of_its_target(
    cli: Cli, store: Store, tmp_path: pathlib.Path
) -> None:
    cli("volume", "create", "data")
    data = pathlib.Path(volumes.data_folder(store, "data"))
    (data / "d").mkdir()
    (data / "d/file").write_text("kept")
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        tar.addfile(entry("d", tarfile.LNKTYPE, "d/file"))
    cli("volume", "import", "data", tmp_path / "data.tar")
    assert (data / "d").read_text() == "kept" and os.listdir(data) == ["d"]


def test_export_follows_no_link(cli: Cli, store: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "secret").write_text("secret")
    cli("volume", "create", "data")
    os.symlink(tmp_path, f"{volumes.data_folder(store, 'data')}/link")
    cli("volume", "export", "data", "-o", tmp_path / "data.tar")
    with tarfile.open(tmp_path / "data.tar") as tar:
        assert [member.name for member in tar] == [".", "./link"]


def test_an_export_to_nowhere_names_the_file(cli: Cli, tmp_path: pathlib.Path) -> None:
    cli("volume", "create", "data")
    done = cli("volume", "export", "data", "-o", tmp_path / "absent" / "x.tar", check=False)
    assert done.returncode == 125 and f"cannot write {tmp_path}/absent/x.tar" in done.stderr


def test_a_failed_export_leaves_no_file(cli: Cli, tmp_path: pathlib.Path) -> None:
    cli("volume", "export", "absent", "-o", tmp_path / "data.tar", check=False)
    assert os.listdir(tmp_path) == []


def test_a_broken_volume_is_shown_and_can_be_removed(cli: Cli, store: Store) -> None:
    cli("volume", "create", "data")
    pathlib.Path(f"{store.volume('data')}/{paths.VOLUME_RECORD}").write_text('{"version": 99}')
    assert cli("volume", "ls").stdout.splitlines()[1].split() == ["broken", "data"]
    done = cli("volume", "inspect", "data", check=False)
    assert done.returncode == 125 and "newer" in done.stderr
    assert cli("volume", "prune", "-f", "--all").stdout == ""
    assert cli("volume", "rm", "data").stdout == "data\n"


def test_rm_does_not_wait_for_a_pull(cli: Cli, store: Store) -> None:
    """A pull holds the store lock for as long as it takes."""
    cli("volume", "create", "data")
    with records.lock_file(store.store_lock(), shared=True):
        cli("volume", "rm", "data", timeout=20)


def test_inspect_finds_volumes_too(cli: Cli) -> None:
    cli("volume", "create", "data")
    for argv in (["inspect", "data"], ["inspect", "--type", "volume", "data"]):
        assert cli(*argv, "--format", "{{.Name}}").stdout == "data\n"


def test_deep_folders_are_exported_and_imported(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    script = "cd /data; i=0; while [ $i -lt 1200 ]; do mkdir d; cd d; i=$((i+1)); done; touch end"
    look(cli, busybox, "sh", "-c", script)
    cli("volume", "export", "data", "-o", tmp_path / "data.tar")
    cli("volume", "create", "copy")
    cli("volume", "import", "copy", tmp_path / "data.tar")
    assert look(cli, busybox, "find", "/data", "-name", "end", volume="copy:/data").count("/d/") == 600
    cli("volume", "rm", "-af")
