"""Which entry of an index fits a machine."""

import os

import pytest

from pyctr.image import manifest, platform
from pyctr.image.manifest import Descriptor, Index, Invalid, Platform
from pyctr.rootless.errors import PyctrError


def index(*names: str) -> Index:
    """An index with an entry a platform; an empty name has none. The size tells which."""
    entries = []
    for number, name in enumerate(names):
        found = Platform(*name.split("/")) if name else None
        entries.append(Descriptor(manifest.OCI_MANIFEST, f"sha256:{number:064}", number, found))
    return Index(manifest.OCI_INDEX, tuple(entries))


@pytest.mark.parametrize(
    ("wanted", "offered", "chosen"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/amd64", ["windows/amd64", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64", ["linux/amd64/v3"], 0),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v3"], 1),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/arm64/v8", ["linux/arm64", "linux/arm64/v8"], 1),
        ("linux/arm64", ["linux/arm64/v8"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm/v7", ["linux/arm/v8", "linux/arm/v7"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v6"], 1),
        ("linux/arm/v6", ["linux/arm"], 0),
        ("linux/amd64", ["unknown/unknown", "linux/amd64"], 1),
        ("linux/amd64", ["linux/mips", ""], 1),
        ("linux/s390x", ["linux/amd64", "linux/s390x"], 1),
    ],
)
def test_the_best_entry_is_chosen(wanted: str, offered: list[str], chosen: int) -> None:
    assert platform.choose(index(*offered), Platform(*wanted.split("/")), "x").size == chosen


@pytest.mark.parametrize(
    ("wanted", "offered"),
    [
        ("linux/amd64", ["linux/arm64"]),
        ("linux/amd64", []),
        ("linux/arm/v6", ["linux/arm/v7"]),
        ("linux/amd64/v3", ["linux/amd64"]),
    ],
)
def test_no_entry_is_an_error_with_what_there_is(wanted: str, offered: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        platform.choose(index(*offered), Platform(*wanted.split("/")), "x")
    assert wanted in caught.value.message
    assert caught.value.hint is not None and (", ".join(offered) or "none") in caught.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [("linux/arm64", "linux/arm64"), ("linux/arm/v7", "linux/arm/v7"), ("windows/x86_64", "windows/amd64")],
)
def test_a_platform_is_read(text: str, found: str) -> None:
    assert str(platform.wanted(text)).removesuffix("/v8") == found


@pytest.mark.parametrize("text", ["linux", "linux/", "/amd64", "linux/arm/v7/x", "linux//v7"])
def test_a_wrong_platform_is_refused(text: str) -> None:
    if text == "linux":
        assert platform.wanted(text).architecture == platform.host().architecture
        return
    with pytest.raises(PyctrError, match=repr(text)):
        platform.wanted(text)


def test_platform_and_its_parts_exclude_each_other() -> None:
    with pytest.raises(PyctrError, match="--platform"):
        platform.wanted("linux/arm64", arch="arm64")


def test_the_parts_fill_up_what_is_not_said() -> None:
    assert str(platform.wanted(arch="s390x")) == "linux/s390x"
    assert platform.wanted() == platform.host()


def test_the_host_is_this_machine() -> None:
    expected = {"x86_64": "linux/amd64", "aarch64": "linux/arm64/v8"}
    machine = os.uname().machine
    assert str(platform.host()) == expected.get(machine, str(platform.host()))


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        ("linux/amd64", "linux/amd64", False),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/amd64", "linux/arm64", True),
        ("linux/amd64", "windows/amd64", True),
        ("linux/amd64", "", False),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/amd64/v3", "linux/amd64/v3", False),
        ("linux/amd64/v1", "linux/amd64", False),
        ("linux/arm64", "linux/arm64/v8", False),
        ("linux/arm64/v8", "linux/arm64", False),
        ("linux/arm64/v9", "linux/arm64/v8", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm/v6", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm", False),
        ("linux/arm", "linux/arm/v5", False),
    ],
)
def test_an_image_is_for_a_platform_or_not(wanted: str, found: str, expected: bool) -> None:
    its = Platform(*(found.split("/") if found else ("", "")))
    assert platform.mismatch(Platform(*wanted.split("/")), its) is expected
