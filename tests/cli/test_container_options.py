"""The options of run and create against podman's own."""

import subprocess

import pytest

from pyctr.cli import container_options, reader
from pyctr.cli.tables import Command, Option
from pyctr.rootless.errors import PyctrError
from tests.conftest import needs

# What podman-run(1) of version 5.8 has beyond the podman that may be installed here.
LATER = """--cert-dir --creds --gpus --group-entry --health-log-destination --health-max-log-count
--health-max-log-size --health-startup-cmd --health-startup-interval --health-startup-retries
--health-startup-success --health-startup-timeout --hosts-file --no-hostname --preserve-fd
--rdt-class --retry --retry-delay --shm-size-systemd --decryption-key --device-cgroup-rule
--link-local-ip""".split()
# Gone from podman, hidden in it, or click's.
NOT_OURS = {"--help", "--cgroup-manager"}


def options_of_podman(command: str) -> dict[str, str]:
    """Long name -> short name of what `podman COMMAND --help` lists."""
    shown = subprocess.run(["podman", command, "--help"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line in shown.partition("Options:\n")[2].splitlines():
        words = line.replace(",", " ").split()
        if words and words[0].startswith("-"):
            long = next(word for word in words if word.startswith("--"))
            found[long] = words[0] if words[0] != long else ""
    return found


def by_name(options: tuple[Option, ...]) -> dict[str, Option]:
    return {name: option for option in options for name in option.names}


@pytest.mark.parametrize(
    ("command", "options"), [("run", container_options.RUN), ("create", container_options.CREATE)]
)
def test_every_option_of_podman_is_known(command: str, options: tuple[Option, ...]) -> None:
    needs("podman")
    known = by_name(options)
    for long, short in options_of_podman(command).items():
        if long not in NOT_OURS:
            assert long in known, long
            assert not short or known[short] is known[long], short


def test_later_options_of_podman_are_known() -> None:
    assert set(LATER) <= set(by_name(container_options.RUN))


@pytest.mark.parametrize("options", [container_options.RUN, container_options.CREATE])
def test_names_and_dests_are_used_once(options: tuple[Option, ...]) -> None:
    names = [name for option in options for name in option.names]
    dests = [reader.dest(option) for option in options]
    assert len(names) == len(set(names)) and len(dests) == len(set(dests))
    assert not set(dests) & {"replace", "named", "store"}  # attributes of Options


@pytest.mark.parametrize("option", [each for each in container_options.RUN if each.unsupported])
def test_what_is_missing_is_refused_by_name(option: Option) -> None:
    command = Command(
        "run", "", None, container_options.RUN, container_options.ARGUMENTS, interspersed=False
    )
    for name in option.names:
        word = [f"{name}=x"] if name.startswith("--") else [name, "x"]
        with pytest.raises(PyctrError, match=f"pyctr run: {name} is not supported yet"):
            reader.read(command, [*word, "image"])


def test_supported_options_are_described() -> None:
    for option in container_options.RUN:
        assert option.unsupported or option.help, option.names
        assert option.kind == "flag" or option.unsupported or option.metavar, option.names
