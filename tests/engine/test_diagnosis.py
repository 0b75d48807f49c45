"""What doctor says of storage drivers."""

from pyctr.engine import diagnosis
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.probes import FAIL, OK
from tests.commands import Cli


def test_drivers_that_work() -> None:
    lacks = PyctrError("not installed", "Install it.")
    found = diagnosis.storage_drivers({"overlay": None, "fuse-overlayfs": lacks, "vfs": None})
    assert (found.status, found.detail) == (OK, "overlay, vfs work; fuse-overlayfs: not installed")


def test_no_driver_works() -> None:
    found = diagnosis.storage_drivers(
        {"overlay": PyctrError("no kernel", "Get one."), "vfs": PyctrError("full")}
    )
    assert (found.status, found.detail, found.fix) == (FAIL, "overlay: no kernel; vfs: full", "Get one.")


def test_doctor_tries_them(cli: Cli) -> None:
    shown = cli("doctor", check=False).stdout
    assert "storage drivers: overlay, " in shown
