"""Completion, as the shells ask for it."""

import os
import shutil
import subprocess

import pytest

from pyctr.storage.paths import Store
from tests.commands import Cli


def offered(cli: Cli, line: str, shell: str = "bash") -> list[str]:
    """What a shell is offered for a line up to the cursor."""
    words = line.split()
    incomplete = "" if line[-1:].isspace() else words[-1]
    ask = {"_PYCTR_COMPLETE": f"{shell}_complete", "COMP_WORDS": line, "COMP_BREAKS": " :="}
    ask["COMP_CWORD"] = incomplete if shell == "fish" else str(len(words) - bool(incomplete))
    done = subprocess.run(cli.argv()[:1], env={**cli.environment(), **ask}, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.fixture
def names(cli: Cli, store: Store) -> Store:
    """Names of objects on disk, where completion looks."""
    os.makedirs(store.container_names())
    os.makedirs(store.image_names())
    for name in ("web", "worker"):
        open(store.container_name(name), "w").close()
    for name in ("docker.io/library/debian:12", "localhost/web:latest"):
        open(store.image_name(name), "w").close()
    return store


def at(store: Store) -> str:
    return f"pyctr --root {store.root} --runroot {store.runroot}"


def test_commands_and_options(cli: Cli) -> None:
    assert offered(cli, "pyctr comp") == ["plain,completion"]
    assert "plain,run" in offered(cli, "pyctr container ")
    assert offered(cli, "pyctr completion --fi") == ["plain,--file"]
    assert offered(cli, "pyctr --log-level de") == ["plain,debug"]
    assert offered(cli, "pyctr completion --file x") == ["file,x"]
    assert offered(cli, "pyctr --remo") == []


def test_zsh_and_fish(cli: Cli) -> None:
    assert offered(cli, "pyctr comp", "zsh")[:2] == ["plain", "completion"]
    assert offered(cli, "pyctr comp", "fish")[0].startswith("plain,completion\t")


@pytest.mark.parametrize("command", ["stop", "rm", "logs", "start"])
def test_names_of_containers(cli: Cli, names: Store, command: str) -> None:
    assert offered(cli, f"{at(names)} {command} w") == ["plain,web", "plain,worker"]


def test_names_of_images_with_colons(cli: Cli, names: Store) -> None:
    assert offered(cli, f"{at(names)} rmi debian:") == ["plain,12"]
    assert offered(cli, f"{at(names)} rmi localh") == ["plain,localhost/web:latest"]
    assert offered(cli, f"{at(names)} run -it deb") == ["plain,debian:12"]


def test_bash_completes_with_the_script(cli: Cli, names: Store, tmp_path: os.PathLike[str]) -> None:
    """The real bash: loads the script and completes a line."""
    os.symlink(shutil.which(cli.argv()[0]) or cli.argv()[0], f"{tmp_path}/pyctr")
    script = f"""
        PATH={tmp_path}:$PATH
        source <(pyctr completion bash)
        COMP_LINE="pyctr completion --fi" COMP_POINT=21 COMP_WORDS=(pyctr completion --fi) COMP_CWORD=2
        _pyctr_completion pyctr
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], env=cli.environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("--file\n", "")
