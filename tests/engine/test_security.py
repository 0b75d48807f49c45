"""--security-opt, capabilities, masked paths."""

import pathlib

import pytest

from pyctr.engine import security
from pyctr.engine.request import Security
from pyctr.rootless import capabilities
from pyctr.rootless.errors import PyctrError

DEFAULT = set(capabilities.DEFAULT)


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("no-new-privileges", "no_new_privileges", True),
        ("no-new-privileges=true", "no_new_privileges", True),
        ("no-new-privileges:true", "no_new_privileges", True),
        ("no-new-privileges=false", "no_new_privileges", False),
        ("seccomp=unconfined", "seccomp", "unconfined"),
        ("seccomp:unconfined", "seccomp", "unconfined"),
        ("mask=/a:/b", "masked", ("/a", "/b")),
        ("unmask=ALL", "unmasked", ("ALL",)),
        ("unmask=all", "unmasked", ("ALL",)),
        ("unmask=/proc/*:/sys/firmware", "unmasked", ("/proc/*", "/sys/firmware")),
        ("systempaths=unconfined", "unmasked", ("ALL",)),
        ("label=disable", "seccomp", ""),
        ("apparmor=unconfined", "seccomp", ""),
    ],
)
def test_options(word: str, field: str, value: object) -> None:
    parsed = security.parse((word,), (), ())
    assert getattr(parsed, field) == value
    assert parsed.words == (word,)


@pytest.mark.parametrize(
    "word",
    [
        "",
        "foo",
        "foo=bar",
        "seccomp",
        "seccomp=",
        "seccomp=/absent.json",
        "no-new-privileges=maybe",
        "label=type:svirt_t",
        "label=nested",
        "apparmor=mine",
        "proc-opts=hidepid=2",
        "mask=relative",
        "unmask=/a:b",
        "systempaths=confined",
    ],
)
def test_what_cannot_be_honoured_is_refused(word: str) -> None:
    with pytest.raises(PyctrError):
        security.parse((word,), (), ())


def test_a_seccomp_profile_is_a_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "profile.json").write_text("{}")
    assert (
        security.parse((f"seccomp={tmp_path}/profile.json",), (), ()).seccomp == f"{tmp_path}/profile.json"
    )
    assert security.parse((), (), (), profile="/other.json").seccomp == "/other.json"


@pytest.mark.parametrize(
    ("added", "dropped", "bounding", "ambient"),
    [
        ((), (), DEFAULT, set()),
        (("net_admin",), (), DEFAULT | {"CAP_NET_ADMIN"}, {"CAP_NET_ADMIN"}),
        (("CAP_NET_ADMIN",), ("Chown",), DEFAULT - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}, {"CAP_NET_ADMIN"}),
        ((), ("all",), set(), set()),
        (("net_raw",), ("ALL",), {"CAP_NET_RAW"}, {"CAP_NET_RAW"}),
        (("all",), (), set(capabilities.held()), set(capabilities.held())),
        (("ALL",), ("sys_admin",), *[set(capabilities.held()) - {"CAP_SYS_ADMIN"}] * 2),
    ],
)
def test_capabilities(
    added: tuple[str, ...], dropped: tuple[str, ...], bounding: set[str], ambient: set[str]
) -> None:
    found = security.capability_sets(security.parse((), added, dropped))
    assert (set(found[0]), set(found[1])) == (bounding, ambient)


def test_privileged_has_all_capabilities_and_sees_all() -> None:
    parsed = security.parse((), (), (), privileged=True)
    assert security.capability_sets(parsed) == (capabilities.held(), ())
    assert security.masked_paths(parsed) == () and security.read_only_paths(parsed) == ()


def test_the_configuration_sets_what_one_begins_with() -> None:
    parsed = security.parse((), ("chown",), (), base=("KILL", "CAP_SETUID"))
    assert security.capability_sets(parsed)[0] == ("CAP_CHOWN", "CAP_KILL", "CAP_SETUID")


@pytest.mark.parametrize(
    ("added", "dropped"), [(("foo",), ()), ((), ("foo",)), (("chown",), ("CHOWN",)), (("all",), ("all",))]
)
def test_wrong_capabilities_are_refused(added: tuple[str, ...], dropped: tuple[str, ...]) -> None:
    with pytest.raises(PyctrError):
        security.parse((), added, dropped)


@pytest.mark.parametrize(
    ("words", "hidden", "shown"),
    [
        ((), ["/proc/kcore", "/sys/firmware"], []),
        (("unmask=ALL",), [], ["/proc/kcore", "/sys/firmware"]),
        (("unmask=/proc/*",), ["/sys/firmware"], ["/proc/kcore", "/proc/acpi"]),
        (("unmask=/proc/kcore/",), ["/proc/acpi"], ["/proc/kcore"]),
        (("unmask=/*",), ["/proc/kcore"], []),
        (("mask=/etc/secret", "unmask=ALL"), ["/etc/secret"], ["/proc/kcore"]),
    ],
)
def test_masked_paths(words: tuple[str, ...], hidden: list[str], shown: list[str]) -> None:
    masked = security.masked_paths(security.parse(words, (), ()))
    assert set(hidden) <= set(masked) and not set(shown) & set(masked)


@pytest.mark.parametrize(
    ("unmasked", "count"), [((), 7), (("ALL",), 0), (("/proc/sys",), 6), (("/proc/*",), 1)]
)
def test_read_only_paths(unmasked: tuple[str, ...], count: int) -> None:
    assert len(security.read_only_paths(Security(unmasked=unmasked))) == count
