"""Which credentials a registry gets."""

import base64
import json
import os
import pathlib

import pytest

from pyctr.image import credentials
from pyctr.image.credentials import ANONYMOUS, Credentials
from pyctr.rootless.errors import PyctrError

HUB = "https://index.docker.io/v1/"


def auth(user: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The file that REGISTRY_AUTH_FILE names."""
    path = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    return path


@pytest.mark.parametrize(
    ("keys", "domain", "path", "user"),
    [
        (["quay.io"], "quay.io", "a/b", "quay.io"),
        (["quay.io", "quay.io/a"], "quay.io", "a/b", "quay.io/a"),
        (["quay.io", "quay.io/a/b"], "quay.io", "a/b", "quay.io/a/b"),
        (["quay.io/other"], "quay.io", "a/b", ""),
        (["quay.io"], "quay.io:443", "a", ""),
        (["127.0.0.1:5000"], "127.0.0.1:5000", "a", "127.0.0.1:5000"),
        (["https://quay.io"], "quay.io", "a", "https://quay.io"),
        (["https://quay.io/v2/"], "quay.io", "a", "https://quay.io/v2/"),
        ([HUB], "docker.io", "library/busybox", HUB),
        (["docker.io"], "docker.io", "library/busybox", "docker.io"),
        ([], "quay.io", "a", ""),
    ],
)
def test_the_longest_fitting_name_wins(
    file: pathlib.Path, keys: list[str], domain: str, path: str, user: str
) -> None:
    entries = {
        key: {"auth": base64.b64encode(f"{number}:x".encode()).decode()} for number, key in enumerate(keys)
    }
    file.write_text(json.dumps({"auths": entries}))
    found = credentials.find(domain, path)
    assert found == (Credentials(str(keys.index(user)), "x") if user else ANONYMOUS)


def test_a_password_may_have_colons(file: pathlib.Path) -> None:
    file.write_text(json.dumps({"auths": {"quay.io": auth("me", "a:b:c")}}))
    assert credentials.find("quay.io", "x") == Credentials("me", "a:b:c")


def test_an_identity_token_is_kept(file: pathlib.Path) -> None:
    file.write_text(json.dumps({"auths": {"quay.io": {**auth("me"), "identitytoken": "t"}}}))
    assert credentials.find("quay.io", "x").identity_token == "t"


def test_the_usual_places_are_looked_at_in_order(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    for name in ("HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    docker = tmp_path / "HOME" / ".docker" / "config.json"
    podman = tmp_path / "XDG_RUNTIME_DIR" / "containers" / "auth.json"
    for path, user in ((docker, "docker"), (podman, "podman")):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"auths": {"quay.io": auth(user)}}))
        assert credentials.find("quay.io", "x").user == user


def test_a_named_file_must_exist(file: pathlib.Path) -> None:
    with pytest.raises(PyctrError, match=str(file)):
        credentials.find("quay.io", "x")


def test_without_files_one_is_anonymous() -> None:
    assert credentials.find("quay.io", "x") == ANONYMOUS


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"auths": {"quay.io": {"auth": "%%%"}}}', '{"auths": {"quay.io": {"auth": 7}}}']
)
def test_a_broken_file_is_an_error_with_its_name(file: pathlib.Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(PyctrError, match=str(file)):
        credentials.find("quay.io", "x")


@pytest.fixture
def helper(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A credential helper named `test`: a script to write."""
    path = tmp_path / "docker-credential-test"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return path


def write_helper(path: pathlib.Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\nread server\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
def test_a_credential_helper_is_asked(file: pathlib.Path, helper: pathlib.Path, key: str) -> None:
    write_helper(helper, """echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}" """)
    file.write_text(json.dumps({key: {"quay.io": "test"} if key == "credHelpers" else "test"}))
    assert credentials.find("quay.io", "x") == Credentials("quay.io", "s")


@pytest.mark.parametrize("entry", [{}, {"auth": ""}, {"email": "me@example.com"}])
def test_an_empty_entry_hides_no_helper(
    file: pathlib.Path, helper: pathlib.Path, entry: dict[str, str]
) -> None:
    """Docker writes it for every registry that a credsStore knows."""
    write_helper(helper, """echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}" """)
    file.write_text(json.dumps({"auths": {"quay.io": entry}, "credsStore": "test"}))
    assert credentials.find("quay.io", "x") == Credentials("quay.io", "s")


def test_a_helper_that_knows_nothing_is_no_error(file: pathlib.Path, helper: pathlib.Path) -> None:
    write_helper(helper, "echo credentials not found in native keychain; exit 1")
    file.write_text('{"credsStore": "test"}')
    assert credentials.find("quay.io", "x") == ANONYMOUS


@pytest.mark.parametrize("body", ["echo broken; exit 3", "echo nonsense", "echo '[]'", 'echo "{}"'])
def test_a_broken_helper_is_an_error_with_its_name(
    file: pathlib.Path, helper: pathlib.Path, body: str
) -> None:
    write_helper(helper, body)
    file.write_text('{"credsStore": "test"}')
    with pytest.raises(PyctrError, match="docker-credential-test"):
        credentials.find("quay.io", "x")


@pytest.mark.parametrize("name", ["absent", "../evil"])
def test_a_missing_helper_is_an_error_with_its_name(file: pathlib.Path, name: str) -> None:
    file.write_text(json.dumps({"credsStore": name}))
    with pytest.raises(PyctrError, match=name):
        credentials.find("quay.io", "x")


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(Credentials("me", "secret", "secret"))


def test_the_option_is_split_at_the_first_colon() -> None:
    assert credentials.from_option("me:a:b") == Credentials("me", "a:b")
    for text in ("me", ":x", ""):
        with pytest.raises(PyctrError, match="--creds"):
            credentials.from_option(text)
