"""A machine with this checkout's pyctr on it."""

import hashlib
import pathlib
import tarfile
from collections.abc import Callable

import pytest

from tests import images
from tests.commands import CHECKOUT, load_script, site_folders
from tests.vm import machine

Guest = Callable[[str], machine.Outcome]
SOURCES = ("src", "cli", "engine", "image", "net", "rootless", "runtime", "storage")
DEPENDENCIES = (
    "click",
    "urllib3",
    "isal",
    "backports",
    "pyseccomp*",
    "seccomp*",
    "rich",
    "pygments",
    "jeepney",
)
PRELUDE = """\
set -eu
install -m 755 /job/pyctr /usr/local/bin/pyctr
python3 -m compileall -q /job
as_dev() { su --login dev --command "$1"; }
"""


@pytest.fixture(scope="session")
def debian_machine() -> pathlib.Path:
    """A folder with a bootable disk, made once."""
    if not machine.have_programs():
        pytest.skip("qemu-system-x86_64, mmdebstrap or mke2fs is not installed")
    made_of = pathlib.Path(machine.__file__).read_bytes()
    folder = images.cache_folder() / f"machine-{images.suite()}-{hashlib.sha256(made_of).hexdigest()[:16]}"
    with images.made_once(folder) as temporary:
        if temporary:
            machine.build(temporary)
    return folder


@pytest.fixture
def guest(debian_machine: pathlib.Path, busybox_archive: pathlib.Path, tmp_path: pathlib.Path) -> Guest:
    """`guest(script)` boots and runs a bash script as root, with pyctr and /job/busybox.tar."""

    def run(script: str) -> machine.Outcome:
        job = tmp_path / "job.tar"
        _pack(job, script, busybox_archive)
        return machine.run(debian_machine, job)

    return run


def _pack(job: pathlib.Path, script: str, image: pathlib.Path) -> None:
    launcher = load_script(CHECKOUT / "packaging/launcher.py")
    (job.parent / "job").write_text(PRELUDE + script)
    (job.parent / "pyctr").write_text(launcher.launcher_text("/usr/bin/python3", ["/job/src", "/job/site"]))
    with tarfile.open(job, "w") as tar:
        for name in ("job", "pyctr"):
            tar.add(job.parent / name, name)
        tar.add(image, "busybox.tar")
        for name in SOURCES:
            tar.add(CHECKOUT / name, name, filter=_without_bytecode)
        for pattern in DEPENDENCIES:
            for path in (found for site in site_folders() for found in pathlib.Path(site).glob(pattern)):
                tar.add(path, f"site/{path.name}", filter=_without_bytecode)


def _without_bytecode(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    return None if "__pycache__" in entry.name else entry
