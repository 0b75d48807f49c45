"""Users and groups as the image's own /etc/passwd and /etc/group know them.

The files are the image's: they are opened inside its root, must be regular (a FIFO would hang us) and are
bounded.
"""

import os

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.mounts import Root
from pyctr.rootless.values import Value

_LIMIT = 4 << 20  # bytes of passwd or group
_LARGEST = (1 << 31) - 1


class Identity(Value):
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    name: str


def read_inside(root: Root, path: str) -> str:
    """Text of a regular file of the image; empty when it is missing, no file, or larger than 4 MiB."""
    try:
        fd = root.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    try:
        status = os.fstat(fd)
        if status.st_mode & 0o170000 != 0o100000 or status.st_size > _LIMIT:
            return ""
        return os.read(fd, _LIMIT).decode(errors="replace")
    finally:
        os.close(fd)


def _rows(text: str, fields: int) -> "list[list[str]]":
    rows = [line.split(":") for line in text.split("\n") if line and not line.startswith("#")]
    return [row for row in rows if len(row) >= fields]


def _number(word: str) -> int | None:
    if word.isdigit() and word.isascii() and int(word) <= _LARGEST:
        return int(word)
    return None


def look_up(root: Root, user: str, extra_groups: tuple[str, ...] = ()) -> Identity:
    """The identity of `user[:group]`, names or numbers (podman-run(1), --user). PyctrError for an unknown
    name.

    Supplementary groups are those of /etc/group that list the user, unless a group is given.
    """
    user_word, colon, group_word = user.partition(":")
    passwd = _rows(read_inside(root, "/etc/passwd"), 7)
    groups = _rows(read_inside(root, "/etc/group"), 3)
    uid, gid, home, name = _find_user(passwd, user_word or "0")
    member_of = set() if colon and group_word else _member_of(groups, name)
    if colon and group_word:
        gid = _find_group(groups, group_word)
    member_of |= {_find_group(groups, word) for word in extra_groups}
    return Identity(uid, gid, tuple(sorted(member_of | {gid})), home, name)


def _find_user(passwd: "list[list[str]]", word: str) -> "tuple[int, int, str, str]":
    number = _number(word)
    for row in passwd:
        uid, gid = _number(row[2]), _number(row[3])
        if uid is not None and (row[0] == word or uid == number):
            return uid, gid or 0, row[5] or "/", row[0]
    if number is None:
        raise PyctrError(
            f"unable to find user {word}: no matching entries in passwd file",
            "Use a numeric user, or a name that the image's /etc/passwd has.",
        )
    return number, 0, "/root" if number == 0 else "/", ""


def _find_group(groups: "list[list[str]]", word: str) -> int:
    number = _number(word)
    for row in groups:
        gid = _number(row[2])
        if gid is not None and (row[0] == word or gid == number):
            return gid
    if number is None:
        raise PyctrError(
            f"unable to find group {word}: no matching entries in group file",
            "Use a numeric group, or a name that the image's /etc/group has.",
        )
    return number


def _member_of(groups: "list[list[str]]", name: str) -> "set[int]":
    if not name:
        return set()
    found = set()
    for row in groups:
        gid = _number(row[2])
        if gid is not None and len(row) > 3 and name in row[3].split(","):
            found.add(gid)
    return found
