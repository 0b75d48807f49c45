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
LOGOUT = "loginctl terminate-user dev 2>/dev/null || true\n"


def test_detached_container_survives_the_logout_of_a_lingering_user(guest: Guest) -> None:
    outcome = guest("loginctl enable-linger dev\n" + START + LOOK)
    assert outcome == ("idle running\ninside\n", 0)


def test_container_is_managed_after_the_runtime_folder_has_vanished(guest: Guest) -> None:
    vanished = "while [ -e /run/user/1000 ]; do busybox usleep 50000; done\n"
    outcome = guest(START + vanished + LOOK)
    assert outcome == ("idle running\ninside\n", 0)


def test_logout_that_kills_the_user_leaves_a_container_that_is_known_to_be_dead(guest: Guest) -> None:
    look = (
        """as_dev 'pyctr ps -a --format "{{.Names}} {{.State}}"; pyctr rm idle >/dev/null; pyctr ps -aq'\n"""
    )
    assert guest(START + LOGOUT + look) == ("idle exited\n", 0)
