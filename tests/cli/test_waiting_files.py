"""FIFOs where files are expected: nobody may ever write into them, so nothing waits for that."""

import os
import pathlib
import subprocess

import pytest

from tests.commands import Cli
from tests.images import BUSYBOX

PULL = "pull -q --tls-verify=false 127.0.0.1:1/x:1"


@pytest.fixture
def fifo(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("REGISTRY_AUTH_FILE", PULL),
        ("REGISTRY_AUTH_FILE", "login --get-login 127.0.0.1:1"),
        ("REGISTRY_AUTH_FILE", "logout 127.0.0.1:1"),
        ("CONTAINERS_REGISTRIES_CONF", "pull -q short"),
        ("CONTAINERS_STORAGE_CONF", "images"),
        ("CONTAINERS_CONF", f"create {BUSYBOX}"),
    ],
)
def test_a_file_of_the_configuration(cli: Cli, fifo: pathlib.Path, variable: str, words: str) -> None:
    done = subprocess.run(
        [*cli.argv()[: -4 if variable == "CONTAINERS_STORAGE_CONF" else None], *words.split()],
        env=cli.environment({variable: str(fifo)}),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 125 and f"{fifo} is a FIFO" in done.stderr, done.stderr


def test_docker_has_a_file_of_credentials_too(cli: Cli) -> None:
    folder = pathlib.Path(cli.folder, "home/.docker")
    folder.mkdir()
    os.mkfifo(folder / "config.json")
    done = cli(*PULL.split(), check=False, timeout=20)
    assert done.returncode == 125 and "config.json is a FIFO" in done.stderr


def test_a_pipe_of_the_shell_is_waited_for(cli: Cli, locked_registry: str, busybox: str) -> None:
    """--authfile <(...): its writer may be slower than pyctr."""
    reading, writing = os.pipe()
    words = ("push", "-q", "--tls-verify=false", f"--authfile=/dev/fd/{reading}", busybox)
    child = cli.start(*words, f"{locked_registry}/a", pass_fds=[reading], stderr=subprocess.PIPE)
    os.close(reading)
    os.write(writing, f'{{"auths": {{"{locked_registry}": {{"auth": "bWU6c2VjcmV0"}}}}}}'.encode())
    os.close(writing)
    assert child.communicate(timeout=30)[1] == "" and child.returncode == 0


@pytest.mark.parametrize("place", ["oci", "dir"])
@pytest.mark.parametrize("name", ["index.json", "manifest.json", "oci-layout", "version"])
def test_a_folder_with_an_image(
    cli: Cli, busybox: str, tmp_path: pathlib.Path, place: str, name: str
) -> None:
    """Read and written: a document of it is a FIFO."""
    target = tmp_path / "folder"
    cli("push", "-q", busybox, f"{place}:{target}")
    (target / name).unlink(missing_ok=True)
    os.mkfifo(target / name)
    for words in (("pull", "-q", f"{place}:{target}"), ("push", "-q", busybox, f"{place}:{target}")):
        done = cli(*words, check=False, timeout=20)
        assert done.returncode in (0, 125) and "unexpectedly" not in done.stderr
