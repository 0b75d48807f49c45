"""Containers and login sessions."""

import pytest

from tests.vm.conftest import Guest

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.timeout(900)]

START = """\
as_dev 'pyctr load -q -i /job/busybox.tar >/dev/null'
as_dev 'pyctr run -d --name idle localhost/busybox sleep 1000000 >/dev/null'
"""
LOOK = """\
as_dev 'pyctr ps --format "{{.Names}} {{.State}}"'
as_dev 'pyctr exec idle echo inside'
as_dev 'pyctr rm -f -t 0 idle >/dev/null; pyctr ps -aq; pgrep -u dev -f [s]leep; true'
"""


def test_detached_container_survives_the_logout_of_a_lingering_user(guest: Guest) -> None:
    outcome = guest("loginctl enable-linger dev\n" + START + LOOK)
    assert outcome == ("idle running\ninside\n", 0)


def test_container_is_managed_after_the_runtime_folder_has_vanished(guest: Guest) -> None:
    outcome = guest(START + "umount --lazy /run/user/1000\n" + LOOK)
    assert outcome == ("idle running\ninside\n", 0)
