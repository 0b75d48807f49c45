"""Advice after failures, on what this machine really says."""

import errno
import os
import pathlib
import shutil
import subprocess

import pytest

from pyctr.rootless import diagnose, probes
from pyctr.rootless.probes import FAIL, OK, WARN, Finding


@pytest.mark.parametrize(
    "number, word",
    [(errno.ENOSPC, "lsns"), (errno.EINVAL, "CONFIG_USER_NS"), (errno.EPERM, "security module|seccomp")],
)
def test_user_namespaces(number: int, word: str) -> None:
    hint = diagnose.advise(OSError(number, ""), "userns")
    assert any(each in hint for each in word.split("|")) or "sysctl" in hint


@pytest.mark.parametrize("what, path", [("fuse", "/dev/fuse"), ("tun", "/dev/net/tun")])
def test_devices(what: str, path: str) -> None:
    hint = diagnose.advise(PermissionError(errno.EACCES, ""), what)
    assert path in hint and ("chmod" if os.path.exists(path) else "modprobe") in hint


@pytest.mark.parametrize("number, word", [(errno.ENODEV, "modprobe overlay"), (errno.EINVAL, "--root")])
def test_overlay(number: int, word: str) -> None:
    assert word in diagnose.advise(OSError(number, ""), "overlay")


def test_programs_come_with_the_command_of_this_distribution() -> None:
    hint = diagnose.advise(FileNotFoundError(errno.ENOENT, ""), "pasta")
    assert hint == "As root: apt-get install passt" or not pathlib.Path("/etc/debian_version").exists()
    assert diagnose.advise(OSError(), "something else") == diagnose.DOCTOR


def test_id_maps_without_the_helpers(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    helper = tmp_path / "newuidmap"
    helper.write_text("")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    hint = diagnose.advise(OSError(errno.EPERM, ""), "idmap")
    assert str(helper) in hint and "chmod u+s" in hint


def test_a_set_uid_program_has_privilege(tmp_path: pathlib.Path) -> None:
    plain = tmp_path / "plain"
    shutil.copy("/bin/true", plain)
    assert not diagnose.has_privilege(str(plain))
    plain.chmod(0o4755)
    assert diagnose.has_privilege(str(plain))


def test_the_kernel_has_two_numbers() -> None:
    release = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout
    assert release.startswith("{}.{}".format(*diagnose.kernel_version()))


def test_this_machine_passes_all_probes_that_containers_need(tmp_path: pathlib.Path) -> None:
    found = {each.name: each for each in probes.probe_all(str(tmp_path / "root"))}
    needed = ("user namespaces", "subordinate ids", "id maps", "network device", "seccomp", "disk")
    assert [found[name] for name in needed if found[name].status != OK] == []
    assert os.listdir(tmp_path / "root") == []
    for each in found.values():
        assert each.status == OK or each.fix, each


def test_a_probe_that_breaks_is_a_finding() -> None:
    def broken_probe() -> Finding:
        raise PermissionError(errno.EPERM, "Operation not permitted", "/thing")

    found = probes.attempt(broken_probe)
    assert (found.name, found.status) == ("broken probe", FAIL) and "/thing" in found.detail


@pytest.mark.parametrize(
    "pasta, slirp, statuses", [(OK, FAIL, [OK, WARN]), (FAIL, OK, [WARN, OK]), (FAIL, FAIL, [FAIL, FAIL])]
)
def test_one_network_program_is_enough(pasta: str, slirp: str, statuses: list[str]) -> None:
    given = [Finding("pasta", pasta, "", "x"), Finding("slirp4netns", slirp, "", "x")]
    assert [each.status for each in probes.networks(given)] == statuses


def test_what_a_child_cannot_do_is_told_by_its_errno() -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "")

    assert probes.in_child(fail) == errno.ENOSPC
    assert probes.in_child(os.getpid) == 0


def test_programs_that_fail_are_quoted() -> None:
    assert probes.run(["/bin/true"]) == ""
    assert probes.run(["/bin/sh", "-c", "echo one >&2; echo two >&2; exit 1"]) == "two"
    assert "No such file" in probes.run(["/does/not/exist"])
