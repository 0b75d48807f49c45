"""Pseudoterminals by descriptor: no path of a container is followed to reach one (CVE-2025-52565)."""

import fcntl
import os

TIOCSPTLCK = 0x40045431
TIOCGPTPEER = 0x5441
TIOCSCTTY = 0x540E
TIOCGWINSZ = 0x5413
TIOCSWINSZ = 0x5414


def open_pair(devpts: int) -> tuple[int, int]:
    """(master, terminal) of a new pseudoterminal in the devpts instance whose root folder is `devpts`."""
    master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=devpts)
    fcntl.ioctl(master, TIOCSPTLCK, (0).to_bytes(4, "little"))
    terminal = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    return master, terminal


def set_size(fd: int, rows: int, columns: int) -> None:
    """Sets the window size; the foreground process group gets SIGWINCH."""
    fcntl.ioctl(fd, TIOCSWINSZ, rows.to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4))


def size(fd: int) -> tuple[int, int]:
    """(rows, columns); OSError when `fd` is no terminal."""
    data = fcntl.ioctl(fd, TIOCGWINSZ, bytes(8))
    return int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")


def make_controlling(fd: int) -> None:
    """Makes a terminal the controlling one of this session, which this process leads."""
    fcntl.ioctl(fd, TIOCSCTTY, 0)
