"""Capabilities: names, --cap-add and --cap-drop, and what a process really holds afterwards."""

import os
import subprocess
from collections.abc import Callable

import pytest

from pyctr.rootless import capabilities, userns
from pyctr.rootless.errors import PyctrError

DEFAULT_MASK = 0x800405FB


def held_after(sets: capabilities.CapabilitySets, uid: int) -> dict[str, int]:
    """The Cap* lines of a program that is executed as `uid` of a new user namespace after `give_up`."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.dup2(write, 1)
            userns.enter_mapped(userns.default_maps())
            capabilities.give_up(sets, _become(uid))
            os.execv("/bin/cat", ["cat", "/proc/self/status"])
        finally:
            os._exit(1)
    os.close(write)
    with open(read) as file:
        status = file.read()
    assert os.waitpid(child, 0)[1] == 0
    lines = [line.split() for line in status.splitlines() if line.startswith("Cap")]
    return {name.removesuffix(":"): int(value, 16) for name, value in lines}


def _become(uid: int) -> Callable[[], None]:
    def become() -> None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)

    return become


def test_names_are_those_of_the_library() -> None:
    """capsh is libcap's program and prints each number's name."""
    for name, number in capabilities.CAPABILITIES.items():
        shown = subprocess.run(
            ["capsh", f"--decode={1 << number:x}"], capture_output=True, text=True, check=True
        )
        assert shown.stdout.strip().upper().endswith(f"={name}")


def test_last_capability_is_the_kernels() -> None:
    with open("/proc/sys/kernel/cap_last_cap") as file:
        assert capabilities.last_capability() == int(file.read())


@pytest.mark.parametrize("word", ["net_raw", "NET_RAW", "cap_net_raw", "CAP_NET_RAW"])
def test_normalize_takes_every_spelling(word: str) -> None:
    assert capabilities.normalize(word) == "CAP_NET_RAW"


def test_an_unknown_capability_is_named() -> None:
    with pytest.raises(PyctrError, match="unknown capability: fly"):
        capabilities.normalize("fly")


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), ("CAP_CHOWN", "CAP_KILL")),
        (("net_raw",), ("kill",), ("CAP_CHOWN", "CAP_NET_RAW")),
        ((), ("all",), ()),
        (("net_raw",), ("ALL",), ("CAP_NET_RAW",)),
        (("chown",), (), ("CAP_CHOWN", "CAP_KILL")),
    ],
)
def test_merge(add: tuple[str, ...], drop: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert capabilities.merge(("CAP_CHOWN", "CAP_KILL"), add, drop) == expected


def test_merge_of_all_is_what_the_kernel_knows_without_what_is_dropped() -> None:
    merged = capabilities.merge((), ("all",), ("sys_admin",))
    assert set(merged) == set(capabilities.held()) - {"CAP_SYS_ADMIN"}


@pytest.mark.parametrize(("add", "drop"), [(("all",), ("all",)), (("kill",), ("kill",))])
def test_merge_refuses_contradictions(add: tuple[str, ...], drop: tuple[str, ...]) -> None:
    with pytest.raises(PyctrError):
        capabilities.merge((), add, drop)


def test_root_holds_the_bounding_set_and_inherits_nothing() -> None:
    sets = capabilities.sets_for(capabilities.DEFAULT, (), is_root=True)
    held = held_after(sets, 0)
    assert held == {
        "CapInh": 0,
        "CapPrm": DEFAULT_MASK,
        "CapEff": DEFAULT_MASK,
        "CapBnd": DEFAULT_MASK,
        "CapAmb": 0,
    }


@pytest.mark.parametrize(("ambient", "kept"), [((), 0), (("CAP_NET_RAW",), 1 << 13)])
def test_another_user_holds_what_was_asked_for(ambient: tuple[str, ...], kept: int) -> None:
    bounding = (*capabilities.DEFAULT, *ambient)
    held = held_after(capabilities.sets_for(bounding, ambient, is_root=False), 1000)
    assert held.pop("CapBnd") == DEFAULT_MASK | kept
    assert set(held.values()) == {kept}
