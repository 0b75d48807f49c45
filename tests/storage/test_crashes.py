"""SIGKILL at any system call that changes files, or a disk that is full from there on: nothing is lost."""

import os
import pathlib
import platform
import subprocess
from collections.abc import Iterator

import pytest

from tests import registries
from tests.commands import Cli
from tests.conftest import needs
from tests.storage import operations
from tests.storage.operations import OPERATIONS, Case

POINTS = int(os.environ.get("PYCTR_TEST_POINTS", "16"))  # of each operation, spread over all of it
FEWER = max(1, POINTS // 2)  # those from which on the disk is full
FULL = ("No space left on device", "cannot be written")
WRITING = ("pull", "load", "import", "commit", "rmi", "tag", "tag over", "image prune", "volume create")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, busybox_archive: pathlib.Path) -> pathlib.Path:
    path = tmp_path_factory.mktemp("crashes") / "new.tar"
    operations.write_archive(path)
    return path


@pytest.fixture(scope="module")
def registry_with_new(archive: pathlib.Path) -> Iterator[str]:
    needs("docker-registry", "skopeo")
    with registries.serve() as address:
        argv = ["skopeo", "copy", "-q", "--dest-tls-verify=false"]
        subprocess.run([*argv, f"docker-archive:{archive}", f"docker://{address}/new:1"], check=True)
        yield address


@pytest.fixture
def case(
    cli: Cli, busybox: str, busybox_archive: pathlib.Path, archive: pathlib.Path, registry_with_new: str
) -> Case:
    cli("run", "--rm", "--network", "none", busybox, "true")  # compiles the filter of system calls
    return Case(cli, busybox_archive, archive, registry_with_new)


@pytest.mark.parametrize("step", range(POINTS))
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_kill_loses_nothing(case: Case, name: str, step: int) -> None:
    assert operations.disturb("kill", case, name, step, POINTS).code == -9
    operations.check_afterwards(case, name)


@pytest.mark.parametrize("step", range(FEWER))
@pytest.mark.parametrize("name", WRITING)
def test_a_disk_that_is_full_from_a_call_on_loses_nothing(case: Case, name: str, step: int) -> None:
    """Every write fails from that call on. What says that it has succeeded has."""
    if platform.machine() != "x86_64":
        pytest.skip("the tracer lets calls fail on x86_64 only")
    done = operations.disturb("full", case, name, step, FEWER)
    if done.code == 0:
        assert OPERATIONS[name].done(case)
    else:
        assert any(words in done.told for words in FULL) and "unexpectedly" not in done.told, done.told
    operations.check_afterwards(case, name)
