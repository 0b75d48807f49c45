"""Users and groups of an image."""

import os
from pathlib import Path

import pytest

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.mounts import Root
from pyctr.runtime import users

PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment
broken line
web:x:33:34:www:/var/www:/bin/false
nohome:x:7:7:::/bin/false
1000:x:55:56:a name that is a number:/num:/bin/sh
"""
GROUP = """root:x:0:
staff:x:50:web,other
adm:x:4:root
www:x:34:
"""


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return Root(os.open(tmp_path, os.O_PATH))


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", (0, 0, (0, 4), "/root")),
        ("root", (0, 0, (0, 4), "/root")),
        ("0", (0, 0, (0, 4), "/root")),
        ("web", (33, 34, (34, 50), "/var/www")),
        ("33", (33, 34, (34, 50), "/var/www")),
        ("web:staff", (33, 50, (50,), "/var/www")),
        ("web:7", (33, 7, (7,), "/var/www")),
        ("nohome", (7, 7, (7,), "/")),
        ("4242", (4242, 0, (0,), "/")),
        ("4242:17", (4242, 17, (17,), "/")),
        ("1000", (55, 56, (56,), "/num")),
    ],
)
def test_look_up(root: Root, user: str, expected: tuple[int, int, tuple[int, ...], str]) -> None:
    found = users.look_up(root, user)
    assert (found.uid, found.gid, found.groups, found.home) == expected


@pytest.mark.parametrize("user", ["nobody", "web:nogroup", "-1", "99999999999", "²"])
def test_unknown_names_are_errors_that_name_them(root: Root, user: str) -> None:
    with pytest.raises(PyctrError) as caught:
        users.look_up(root, user)
    assert user.split(":")[-1] in caught.value.message


def test_additional_groups(root: Root) -> None:
    assert users.look_up(root, "web", ("adm", "99")).groups == (4, 34, 50, 99)


def test_a_link_out_of_the_root_is_not_followed(root: Root, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.write_text("evil:x:0:0::/:/bin/sh\n")
    (tmp_path / "etc/passwd").unlink()
    (tmp_path / "etc/passwd").symlink_to(outside)
    with pytest.raises(PyctrError):
        users.look_up(root, "evil")


def test_a_fifo_does_not_hang(root: Root, tmp_path: Path) -> None:
    (tmp_path / "etc/passwd").unlink()
    os.mkfifo(tmp_path / "etc/passwd")
    assert users.look_up(root, "12").uid == 12


def test_a_giant_file_is_not_read(root: Root, tmp_path: Path) -> None:
    with open(tmp_path / "etc/passwd", "a") as file:
        file.truncate(1 << 40)
    assert users.look_up(root, "12").uid == 12
