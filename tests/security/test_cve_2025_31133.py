"""CVE-2025-31133: the image's /dev/null is not one, and paths are masked with it."""

import pathlib

import pytest

from tests import images
from tests.commands import Cli
from tests.security import hostile

SHOW = """
stat -c 'null %F %t:%T' /dev/null
for path in /proc/kcore /proc/keys /proc/timer_list; do
    [ -e $path ] && echo "$path $(head -c 100 $path | wc -c)"
done
for path in /proc/sys/kernel/core_pattern /proc/sysrq-trigger; do
    { echo x > $path; } 2>/dev/null && echo "$path written"
done
exit 0
"""


@pytest.mark.parametrize(
    "target",
    ["/proc/sys/kernel/core_pattern", "../proc/sysrq-trigger", "/etc/passwd", "/proc/self/exe", "/nowhere"],
)
def test_a_link_in_place_of_dev_null(cli: Cli, tmp_path: pathlib.Path, target: str) -> None:
    image = hostile.load(cli, tmp_path, images.Layer().symlink("dev/null", target))
    done = cli("run", "--rm", "--network", "none", image, "sh", "-c", SHOW)
    lines = done.stdout.splitlines()
    assert lines[0] == "null character special file 1:3"
    assert len(lines) > 1
    assert all(line.endswith(" 0") for line in lines[1:]), done.stdout


def test_a_file_in_place_of_dev_null(cli: Cli, tmp_path: pathlib.Path) -> None:
    image = hostile.load(cli, tmp_path, images.Layer().file("dev/null", "not empty"))
    done = cli("run", "--rm", "--network", "none", image, "sh", "-c", "cat /dev/null /proc/keys")
    assert done.stdout == ""
