"""Containers go on while they are read: what vanishes meanwhile is left out, and everything else is told."""

import io
import os
import pathlib
import stat
import tarfile
from collections.abc import Iterator

import pytest

from pyctr.rootless.idmap import IdMaps
from pyctr.storage import blobs, changes, containertar
from pyctr.storage.drivers import Tree
from pyctr.storage.merged import Merged
from pyctr.storage.paths import Store
from pyctr.storage.pins import Pin
from pyctr.storage.tarwriter import TarWriter
from pyctr.storage.whiteouts import dialect_of
from tests.commands import Cli

WORK = "while :; do mkdir -p $0/a/b/c; touch $0/a/1 $0/a/b/2 $0/a/b/c/3; ln -s x $0/a/4; rm -r $0/a; done"
BUSY = f"for top in /tmp/1 /tmp/2 /tmp/3; do sh -c '{WORK}' $top & done; wait"


def open_folder(path: pathlib.Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY)


@pytest.fixture
def top(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder to be read: three entries of each kind that the reader looks into."""
    for name in ("a", "b", "c"):
        (tmp_path / "top" / name).mkdir(parents=True)
        (tmp_path / "top" / name / "inside").touch()
    return tmp_path / "top"


def test_a_file_that_vanishes_from_a_listing(top: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    class Late:
        """Names as they are read, of files of which one is gone then."""

        def __init__(self, folder: int) -> None:
            with real(folder) as found:
                self._entries = list(found)
            (top / "b" / "inside").unlink()
            (top / "b").rmdir()

        def __enter__(self) -> Iterator["os.DirEntry[str]"]:
            return iter(self._entries)

        def __exit__(self, *_exc: object) -> None:
            pass

    folder = open_folder(top)
    monkeypatch.setattr(os, "scandir", Late)
    assert sorted(dialect_of("overlay").read(folder).entries) == [b"a", b"c"]
    os.close(folder)


@pytest.mark.parametrize("successor", ["nothing", "a file", "a link"])
def test_a_folder_that_vanishes_before_it_is_entered(top: pathlib.Path, successor: str) -> None:
    found = []
    for path, _child in containertar.walk(Merged([open_folder(top)], dialect_of("overlay"))):
        found.append(path)
        if path == b"b":
            replace(top / "b", successor)
    assert found == [b"a", b"a/inside", b"b", b"c", b"c/inside"]


def replace(folder: pathlib.Path, successor: str) -> None:
    (folder / "inside").unlink()
    folder.rmdir()
    if successor == "a file":
        folder.touch()
    if successor == "a link":
        folder.symlink_to("c")


def test_changes_leave_out_what_vanishes(tmp_path: pathlib.Path) -> None:
    lower, upper = tmp_path / "lower" / "diff", tmp_path / "upper"
    for folder in (lower, upper):
        (folder / "d").mkdir(parents=True)
        (folder / "l").symlink_to("x")
        os.utime(folder / "l", ns=(0, 0), follow_symlinks=False)
    (upper / "a").touch()
    found = []
    for change in changes.changes("vfs", Tree(str(tmp_path), ("lower",), str(tmp_path))):
        found.append((change.kind, change.path))
        if change.path == b"a":
            (upper / "d").rmdir()
            (upper / "l").unlink()
    assert (changes.ADDED, b"a") in found
    assert not [path for kind, path in found if kind == changes.ADDED and path != b"a"]


def test_a_hard_link_leads_to_an_entry_that_is_in_the_archive(top: pathlib.Path) -> None:
    """The first of three names vanishes before it was written."""
    (top / "1").write_text("content")
    for name in ("2", "3"):
        (top / name).hardlink_to(top / "1")
    status, folder, written = (top / "1").stat(), open_folder(top), io.BytesIO()
    (top / "1").unlink()
    writer = TarWriter(written.write)
    for leaf in (b"1", b"2", b"3"):
        writer.add(leaf, status, folder, leaf)
    writer.finish()
    os.close(folder)
    written.seek(0)
    with tarfile.open(fileobj=written) as archive:
        assert [(member.name, member.linkname) for member in archive] == [("2", ""), ("3", "2")]


def test_a_layer_leaves_out_what_is_in_a_folder_that_vanished(
    own_store: Store, maps: IdMaps, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkdir(f"{disk}/upper")
    pathlib.Path(f"{disk}/upper/new").touch()
    status = os.stat(f"{disk}/upper/new")
    told = [changes.Change(changes.ADDED, path, status) for path in (b"gone/file", b"new/file", b"new")]
    monkeypatch.setattr(changes, "changes", lambda *_: iter(told))
    with Pin(own_store) as pin:
        digest, _ = containertar.write_layer(pin, maps, "overlay", Tree("", (), disk), whole=False)
        with blobs.open_blob(own_store, digest) as blob, tarfile.open(fileobj=blob) as archive:
            assert archive.getnames() == ["new"]


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK])
def test_what_became_something_else_is_not_in_the_archive(top: pathlib.Path, kind: int) -> None:
    (top / "1").symlink_to("a") if kind != stat.S_IFLNK else (top / "1").touch()
    status, folder, written = (top / "1").lstat(), open_folder(top), io.BytesIO()
    writer = TarWriter(written.write)
    writer.add(b"1", os.stat_result([kind | 0o644, *status[1:]]), folder, b"1")
    os.close(folder)
    assert written.getvalue() == b""


def test_a_busy_container_can_be_read(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    cli("run", "-d", "--name", "box", "--network", "none", busybox, "sh", "-c", BUSY)
    cli("exec", "box", "sh", "-c", "until test -d /tmp/3; do :; done")
    for number in range(8):
        cli("diff", "box")
        cli("commit", "-q", "box", f"mine:{number}")
        cli("export", "-o", tmp_path / "root.tar", "box")
    cli("rm", "-f", "-t", "0", "box")
