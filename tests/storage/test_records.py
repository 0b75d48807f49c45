"""Folders and files that records are in, where things are not as they should be."""

import os
import pathlib

import pytest

from pyctr.storage import records


def test_a_folder_behind_a_link_to_nowhere_is_an_error_that_names_it(tmp_path: pathlib.Path) -> None:
    """As where the store is on a disk that is not mounted."""
    (tmp_path / "store").symlink_to(tmp_path / "absent")
    with pytest.raises(FileNotFoundError) as caught:
        records.make_folder(f"{tmp_path}/store/images")
    assert caught.value.filename == f"{tmp_path}/store/images"


def test_folders_are_private_and_made_with_their_parents(tmp_path: pathlib.Path) -> None:
    records.make_folder(f"{tmp_path}/a/b/c")
    records.make_folder(f"{tmp_path}/a/b/c")
    assert os.stat(f"{tmp_path}/a/b").st_mode & 0o777 == 0o700


def test_a_folder_that_is_missing_has_no_names(tmp_path: pathlib.Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).touch()
    assert records.names_in(str(tmp_path)) == ["a", "b"]
    assert records.names_in(f"{tmp_path}/absent") == records.names_in(f"{tmp_path}/a") == []


def test_a_replacement_that_fails_leaves_the_old_file_alone(tmp_path: pathlib.Path) -> None:
    records.write_text(f"{tmp_path}/x", "old", durable=False)
    with pytest.raises(UnicodeEncodeError):
        records.write_text(f"{tmp_path}/x", "\ud800", durable=True)
    assert os.listdir(tmp_path) == ["x"] and records.read_text(f"{tmp_path}/x") == "old"
