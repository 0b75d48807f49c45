"""Removal of trees: nothing stays, nothing else goes."""

import os
import pathlib

import pytest

from pyctr.rootless import userns
from pyctr.rootless.idmap import IdMaps
from pyctr.storage import trees


def test_a_tree_of_ones_own(tmp_path: pathlib.Path) -> None:
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").write_text("x")
    os.mkfifo(top / "pipe")
    (top / "dangling").symlink_to("nowhere")
    trees.remove(str(top))
    assert os.listdir(tmp_path) == []


def test_links_are_not_followed(tmp_path: pathlib.Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "file").write_text("x")
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(keep)
    trees.remove(str(top))
    (tmp_path / "link").symlink_to(keep)
    trees.remove(str(tmp_path / "link"))
    assert (keep / "file").exists() and os.listdir(tmp_path) == ["keep"]


def test_absence_is_success(tmp_path: pathlib.Path) -> None:
    trees.remove(str(tmp_path / "none"))
    trees.remove(str(tmp_path / "none" / "deeper"))


def test_a_single_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("x")
    trees.remove(str(tmp_path / "file"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", (0, 0o400, 0o200, 0o100, 0o500))
def test_folders_without_permissions(mode: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "top" / "work").mkdir(parents=True)
    (tmp_path / "top" / "work" / "file").write_text("x")
    os.chmod(tmp_path / "top" / "work", mode)
    os.chmod(tmp_path / "top", mode)
    trees.remove(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_files_of_subordinate_ids(tmp_path: pathlib.Path, maps: IdMaps) -> None:
    top = str(tmp_path / "top")
    os.mkdir(top)
    userns.call_mapped(maps, foreign, top)
    with pytest.raises(PermissionError):
        os.listdir(f"{top}/theirs")
    trees.remove(top)
    assert os.listdir(tmp_path) == []


def foreign(top: str) -> None:
    os.makedirs(f"{top}/theirs/deep")
    open(f"{top}/theirs/deep/file", "w").close()
    for path in ("theirs/deep/file", "theirs/deep", "theirs"):
        os.chown(f"{top}/{path}", 1000, 1000)
    os.chmod(f"{top}/theirs", 0)


def test_a_tree_deeper_than_any_path_and_than_the_limit_of_descriptors(tmp_path: pathlib.Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    folder = os.open(top, os.O_RDONLY)
    for _level in range(3000):
        os.mkdir("d", dir_fd=folder)
        os.close(os.open("f", os.O_CREAT, dir_fd=folder))
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    trees.remove(str(top))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_removed_is_an_error(tmp_path: pathlib.Path, maps: IdMaps) -> None:
    with pytest.raises(OSError):
        trees.remove("/etc/passwd", maps)
    assert os.path.exists("/etc/passwd")
