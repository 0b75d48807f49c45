"""Names of images against the distribution grammar."""

import pytest

from pyctr.image import reference
from pyctr.rootless.errors import PyctrError

DIGEST = "sha256:" + "0123456789abcdef" * 4

VALID = [
    ("busybox", "", "busybox", "", ""),
    ("busybox:1.36", "", "busybox", "1.36", ""),
    ("busybox:latest", "", "busybox", "latest", ""),
    ("library/busybox", "", "library/busybox", "", ""),
    ("user/name:tag", "", "user/name", "tag", ""),
    ("a/b/c/d", "", "a/b/c/d", "", ""),
    ("localhost/x", "localhost", "x", "", ""),
    ("localhost:5000/x:y", "localhost:5000", "x", "y", ""),
    ("127.0.0.1:5000/debian:12", "127.0.0.1:5000", "debian", "12", ""),
    ("127.0.0.1/debian", "127.0.0.1", "debian", "", ""),
    ("[::1]:5000/debian", "[::1]:5000", "debian", "", ""),
    ("[2001:db8::1]/debian:12", "[2001:db8::1]", "debian", "12", ""),
    ("docker.io/busybox", "docker.io", "library/busybox", "", ""),
    ("docker.io/library/busybox", "docker.io", "library/busybox", "", ""),
    ("index.docker.io/busybox", "docker.io", "library/busybox", "", ""),
    ("docker.io/user/busybox", "docker.io", "user/busybox", "", ""),
    ("quay.io/a/b:c", "quay.io", "a/b", "c", ""),
    ("registry-1.example.com/a", "registry-1.example.com", "a", "", ""),
    ("REGISTRY/a", "REGISTRY", "a", "", ""),
    ("Example.com:443/a", "Example.com:443", "a", "", ""),
    ("xn--n3h.com/myimage", "xn--n3h.com", "myimage", "", ""),
    (f"busybox@{DIGEST}", "", "busybox", "", DIGEST),
    (f"busybox:1@{DIGEST}", "", "busybox", "1", DIGEST),
    (f"quay.io:443/a/b:1@{DIGEST}", "quay.io:443", "a/b", "1", DIGEST),
    ("a.b", "", "a.b", "", ""),
    ("a_b", "", "a_b", "", ""),
    ("a__b", "", "a__b", "", ""),
    ("a-b", "", "a-b", "", ""),
    ("a------b", "", "a------b", "", ""),
    ("0", "", "0", "", ""),
    ("a:_tag", "", "a", "_tag", ""),
    ("a:TAG.x-y_z", "", "a", "TAG.x-y_z", ""),
    ("a:" + "t" * 128, "", "a", "t" * 128, ""),
    ("a" * 255, "", "a" * 255, "", ""),
    ("a" * 63, "", "a" * 63, "", ""),
    ("f" * 64 + "/x", "", "f" * 64 + "/x", "", ""),
    ("x:5000", "", "x", "5000", ""),
    ("x/y:5000", "", "x/y", "5000", ""),
]

INVALID = [
    "",
    ":tag",
    "@" + DIGEST,
    "Busybox",
    "user/Busybox",
    "busybox:",
    "busybox:-tag",
    "busybox:.tag",
    "busybox:a/b:",
    "busybox:tag with blank",
    "busybox:" + "t" * 129,
    "busybox:tag:tag",
    "busybox@sha256:abc",
    "busybox@sha256:" + "g" * 64,
    "busybox@sha256:" + "A" * 64,
    "busybox@md5:" + "a" * 32,
    "busybox@",
    f"busybox@{DIGEST}@{DIGEST}",
    "a/",
    "/a",
    "a//b",
    "a/../b",
    "../a",
    "./a",
    "-a",
    "a-",
    "_a",
    "a_",
    ".a",
    "a.",
    "a..b",
    "a___b",
    "a._b",
    "a-_b",
    "a b",
    "a\n",
    "a\0b",
    "a\tb",
    "é",
    "a:é",
    "a/é",
    "localhost/",
    "localhost:/a",
    "localhost:x/a",
    "host.:5/a",
    ".host/a",
    "-host.com/a",
    "host-.com/a",
    "host_name.com/a",
    "[::1/a",
    "[]/a",
    "[x::1]/a",
    "[::1]5000/a",
    "::1/a",
    "http://host/a",
    "docker://busybox",
    "a" * 256,
    "host.com/" + "a" * 250,
    "f" * 64,
    "f" * 64 + ":tag",
    "a%2fb",
    "a$b",
    "a;b",
]


@pytest.mark.parametrize(("text", "domain", "path", "tag", "digest"), VALID)
def test_a_valid_name_is_split(text: str, domain: str, path: str, tag: str, digest: str) -> None:
    assert reference.parse(text) == reference.Reference(path, domain, tag, digest)


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_name_is_refused_with_the_name(text: str) -> None:
    with pytest.raises(PyctrError) as caught:
        reference.parse(text)
    assert repr(text) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("row", VALID)
def test_the_text_of_a_name_parses_to_the_same_name(row: tuple[str, ...]) -> None:
    parsed = reference.parse(row[0])
    assert reference.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("user/x:1", "docker.io/user/x:1"),
        ("localhost/x", "localhost/x:latest"),
        ("docker.io/x", "docker.io/library/x:latest"),
        (f"quay.io/x@{DIGEST}", f"quay.io/x@{DIGEST}"),
    ],
)
def test_normalizing_completes_a_name(text: str, full: str) -> None:
    assert str(reference.normalize(text)) == full


def test_a_short_name_is_looked_for_in_localhost_first() -> None:
    found = [str(name) for name in reference.candidates(reference.parse("busybox"))]
    assert found == ["localhost/busybox:latest", "docker.io/library/busybox:latest"]


def test_a_full_name_has_one_candidate() -> None:
    assert [str(name) for name in reference.candidates(reference.parse("quay.io/a"))] == ["quay.io/a:latest"]
