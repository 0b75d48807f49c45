"""pyctr login and logout against a real registry, with podman and a terminal as witnesses."""

import fcntl
import json
import os
import pathlib
import pty
import stat
import subprocess
import termios
from typing import Any

import pytest

from tests import registries
from tests.commands import Cli
from tests.conftest import needs
from tests.peers import Podman

PASSWORD = "se:cr et"
WRONG = "wr0ng-pass"
BASE64 = "bWU6c2VjcmV0"  # me:secret


def auth_file(cli: Cli) -> pathlib.Path:
    return pathlib.Path(cli.folder, "xdg/containers/auth.json")


def document(path: pathlib.Path) -> Any:
    return json.loads(path.read_text())


def login(cli: Cli, registry: str, *options: object, **how: Any) -> "subprocess.CompletedProcess[str]":
    how.setdefault("input", "secret\n")
    return cli("login", "-u", "me", "--password-stdin", *options, registry, **how)


def test_credentials_are_tried_and_kept(cli: Cli, locked_registry: str) -> None:
    assert login(cli, locked_registry).stdout == "Login Succeeded!\n"
    assert document(auth_file(cli)) == {"auths": {locked_registry: {"auth": BASE64}}}
    assert stat.S_IMODE(auth_file(cli).stat().st_mode) == 0o600
    assert os.listdir(auth_file(cli).parent) == ["auth.json"]


def test_wrong_credentials_are_not_kept_and_never_shown(cli: Cli, locked_registry: str) -> None:
    options = ("--log-level=debug", "login", "-u", "me", "--password", WRONG)
    done = cli(*options, locked_registry, check=False)
    assert done.returncode == 125
    assert f'logging into "{locked_registry}": invalid username/password' in done.stderr
    assert not auth_file(cli).exists()
    assert WRONG not in done.stdout + done.stderr
    assert "Basic" not in done.stdout + done.stderr


def test_who_is_logged_in_is_told(cli: Cli, locked_registry: str) -> None:
    done = cli("login", "--get-login", locked_registry, check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        125,
        f"Error: not logged into {locked_registry}",
    )
    login(cli, locked_registry)
    assert cli("login", "--get-login", locked_registry).stdout == "me\n"


def test_what_is_kept_is_used_again(cli: Cli, locked_registry: str) -> None:
    login(cli, locked_registry)
    done = cli("login", locked_registry)
    assert done.stdout.splitlines()[1:] == [
        f"Existing credentials are valid. Already logged in to {locked_registry}"
    ]


def test_the_credentials_are_asked_for(cli: Cli, locked_registry: str) -> None:
    done = cli("login", locked_registry, input="me\nsecret\n")
    assert done.stdout == "Username: Password: Login Succeeded!\n"


def test_a_terminal_does_not_show_the_password(cli: Cli, locked_registry: str) -> None:
    master, terminal = pty.openpty()
    try:
        child = cli.start(
            *("login", "-u", "me", locked_registry),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        shown = b""
        while b"Password: " not in shown:
            shown += os.read(master, 1000)
        os.write(master, b"secret\n")
        assert child.wait(30) == 0
        shown += os.read(master, 1000)
        assert b"Login Succeeded!" in shown and b"secret" not in shown
    finally:
        os.close(master)


def test_an_end_instead_of_a_password_is_an_error(cli: Cli, locked_registry: str) -> None:
    """Ctrl-d at the question."""
    master, terminal = pty.openpty()
    try:
        child = cli.start(
            *("login", "-u", "me", locked_registry),
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)
        shown = b""
        while b"Password: " not in shown:
            shown += os.read(master, 1000)
        os.write(master, b"\x04")
        _, told = child.communicate(timeout=30)
    finally:
        os.close(master)
    assert child.returncode == 125
    assert told.startswith("Error: nobody answers") and "--password-stdin" in told


def test_nobody_to_ask_is_an_error(cli: Cli, locked_registry: str) -> None:
    done = cli("login", locked_registry, check=False)
    assert done.returncode == 125 and "--password-stdin" in done.stderr


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["-p", "x", "--password-stdin", "-u", "me"], "cannot be used together"),
        (["--password-stdin"], "--username"),
        (["-u", "a:b", "-p", "x"], "colon"),
        (["-u", "me", "-p", "x", "--authfile", "a", "--compat-auth-file", "b"], "together"),
        (["--secret", "x"], "not supported"),
    ],
)
def test_contradictions_are_refused(cli: Cli, options: list[str], word: str) -> None:
    done = cli("login", *options, "127.0.0.1:1", check=False, input="x")
    assert done.returncode == 125 and word in done.stderr


@pytest.mark.parametrize("name", ["", "A B", "quay.io:x", "../../etc", "quay.io/Team", "quay.io//x", "-"])
def test_what_is_no_registry_is_refused(cli: Cli, name: str) -> None:
    done = cli("login", "-u", "me", "-p", "x", "--", name, check=False)
    assert done.returncode == 125 and "is not a registry" in done.stderr


def test_other_entries_of_the_file_stay(cli: Cli, locked_registry: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "auth.json"
    kept: dict[str, dict[str, Any]] = {
        "auths": {"quay.io": {"auth": "eDp5", "email": "x"}},
        "HttpHeaders": {"A": "b"},
    }
    path.write_text(json.dumps(kept))
    path.chmod(0o644)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    done = login(cli, f"https://{locked_registry}/", "-v", "--authfile", link)
    assert done.stdout.splitlines() == [f"Used: {path}", "Login Succeeded!"]
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o600
    entries = {**kept["auths"], locked_registry: {"auth": BASE64}}
    assert document(path) == {**kept, "auths": entries}


def test_older_spellings_are_replaced(cli: Cli, locked_registry: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "auth.json"
    old = {"auth": "b2xkOm9sZA=="}
    path.write_text(json.dumps({"auths": {f"http://{locked_registry}/v1/": old, locked_registry: old}}))
    login(cli, locked_registry, "--authfile", path)
    assert document(path)["auths"] == {locked_registry: {"auth": BASE64}}


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": 7}'])
def test_a_broken_file_is_told_and_not_touched(
    cli: Cli, locked_registry: str, tmp_path: pathlib.Path, text: str
) -> None:
    path = tmp_path / "auth.json"
    path.write_text(text)
    done = login(cli, locked_registry, "--authfile", path, check=False)
    assert done.returncode == 125 and str(path) in done.stderr
    assert path.read_text() == text


def test_a_folder_that_cannot_be_made_is_told(cli: Cli, locked_registry: str) -> None:
    done = login(cli, locked_registry, "--authfile", "/proc/nothing/auth.json", check=False)
    assert done.returncode == 125 and "/proc/nothing" in done.stderr


def test_podman_reads_what_was_kept_and_pyctr_what_podman_keeps(
    cli: Cli, podman: Podman, locked_registry: str, tmp_path: pathlib.Path
) -> None:
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    login(cli, locked_registry, "--authfile", ours)
    assert podman("login", "--get-login", "--authfile", ours, locked_registry).stdout == "me\n"
    options = ("--tls-verify=false", "-u", "me", "-p", "secret", "--authfile", theirs)
    podman("login", *options, locked_registry)
    assert cli("login", "--get-login", "--authfile", theirs, locked_registry).stdout == "me\n"
    assert document(ours) == document(theirs)
    cli("logout", "--authfile", theirs, locked_registry)
    assert podman("login", "--get-login", "--authfile", theirs, locked_registry, check=False).returncode


def test_a_logout_takes_one_away_or_all(cli: Cli, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "auth.json"
    entry = {"auth": "eDp5"}
    path.write_text(json.dumps({"auths": {"quay.io": entry, "quay.io/team": entry, "example.com": entry}}))
    options = ("--authfile", path)
    assert cli("logout", *options, "quay.io/team").stdout == ("Removed login credentials for quay.io/team\n")
    assert sorted(document(path)["auths"]) == ["example.com", "quay.io"]
    done = cli("logout", *options, "ghcr.io", check=False)
    assert done.returncode == 125 and "not logged into ghcr.io" in done.stderr
    cli("logout", *options, "--all")
    assert document(path) == {"auths": {}}


def test_a_logout_tells_that_dockers_file_has_some(cli: Cli) -> None:
    folder = pathlib.Path(cli.folder, "home/.docker")
    folder.mkdir()
    entry = {"https://index.docker.io/v1/": {"auth": "eDp5"}}
    (folder / "config.json").write_text(json.dumps({"auths": entry}))
    done = cli("logout", check=False)
    assert done.returncode == 125 and "--compat-auth-file" in done.stderr
    cli("logout", "--compat-auth-file", folder / "config.json", "docker.io")
    assert document(folder / "config.json") == {"auths": {}}


HELPER = """#!/usr/bin/env python3
import json, pathlib, sys
path = pathlib.Path(__file__).with_name("kept.json")
kept = json.loads(path.read_text()) if path.exists() else {}
text = sys.stdin.read()
if sys.argv[1] == "store":
    entry = json.loads(text)
    kept[entry["ServerURL"]] = entry
elif sys.argv[1] == "get" and text in kept:
    print(json.dumps(kept[text]))
elif sys.argv[1] == "erase" and text in kept:
    del kept[text]
elif sys.argv[1] == "list":
    print(json.dumps({key: value["Username"] for key, value in kept.items()}))
else:
    sys.exit("no" if print("credentials not found in native keychain") else 1)
path.write_text(json.dumps(kept))
"""


@pytest.mark.parametrize("named", ["credHelpers", "credsStore"])
def test_a_helper_keeps_the_credentials(
    cli: Cli, locked_registry: str, tmp_path: pathlib.Path, named: str
) -> None:
    helper, path = tmp_path / "docker-credential-test", tmp_path / "auth.json"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    value = {locked_registry: "test"} if named == "credHelpers" else "test"
    path.write_text(json.dumps({named: value}))
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    options = ("--authfile", path)
    done = login(cli, locked_registry, "-v", *options, env=env)
    assert done.stdout.splitlines()[0] == "Used: docker-credential-test"
    assert BASE64 not in path.read_text() and "secret" not in path.read_text()
    assert cli("login", "--get-login", *options, locked_registry, env=env).stdout == "me\n"
    assert "Already logged in" in cli("login", *options, locked_registry, env=env).stdout
    cli("logout", *options, locked_registry, env=env)
    assert document(tmp_path / "kept.json") == {}
    login(cli, locked_registry, *options, env=env)
    cli("logout", "--all", *options, env=env)
    assert document(tmp_path / "kept.json") == {}


def test_a_name_space_stays_in_the_file_beside_a_store(
    cli: Cli, busybox: str, locked_registry: str, tmp_path: pathlib.Path
) -> None:
    """What login keeps is what push finds and logout removes; the helper knows nothing of it."""
    helper, path = tmp_path / "docker-credential-test", tmp_path / "auth.json"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    path.write_text('{"credsStore": "test"}')
    how: dict[str, Any] = {"env": {"PATH": f"{tmp_path}:{os.environ['PATH']}"}}
    space, options = f"{locked_registry}/team", ("--authfile", path)
    assert login(cli, space, "-v", *options, **how).stdout.splitlines()[0] == f"Used: {path}"
    cli("push", "-q", *options, busybox, f"{space}/app:1", **how)
    cli("logout", *options, space, **how)
    assert document(path) == {"auths": {}, "credsStore": "test"}
    assert cli("pull", *options, f"{space}/app:1", check=False, **how).returncode == 125


def test_a_helper_takes_the_place_of_an_older_entry(
    cli: Cli, locked_registry: str, tmp_path: pathlib.Path
) -> None:
    helper, path = tmp_path / "docker-credential-test", tmp_path / "auth.json"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    old = {"auth": "b2xkOm9sZA=="}
    path.write_text(json.dumps({"auths": {locked_registry: old, "quay.io": old}, "credsStore": "test"}))
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    login(cli, locked_registry, "--authfile", path, env=env)
    assert document(path) == {"auths": {"quay.io": old}, "credsStore": "test"}
    assert cli("login", "--get-login", "--authfile", path, locked_registry, env=env).stdout == "me\n"


def test_a_helper_that_echoes_the_secret_does_not_spread_it(
    cli: Cli, locked_registry: str, tmp_path: pathlib.Path
) -> None:
    helper, path = tmp_path / "docker-credential-test", tmp_path / "auth.json"
    helper.write_text('#!/bin/sh\necho "cannot keep $(cat)"; exit 3\n')
    helper.chmod(0o755)
    path.write_text(json.dumps({"credHelpers": {locked_registry: "test"}}))
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = login(cli, locked_registry, "--authfile", path, env=env, check=False)
    assert done.returncode == 125 and "docker-credential-test" in done.stderr
    assert "secret" not in done.stderr.replace('"Secret"', "") and "***" in done.stderr


def test_a_pull_uses_what_login_has_kept(cli: Cli, locked_registry: str) -> None:
    name = f"{locked_registry}/absent"
    before = cli("pull", name, check=False).stderr
    login(cli, locked_registry)
    after = cli("pull", name, check=False).stderr
    assert "denied" in before and "denied" not in after


def certificate(folder: pathlib.Path) -> dict[str, object]:
    """A self-signed certificate for 127.0.0.1, as the registry's configuration names it."""
    paths = {"certificate": str(folder / "ca.crt"), "key": str(folder / "server.key")}
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-out", paths["certificate"], "-keyout", paths["key"]]
    subprocess.run(argv, check=True, capture_output=True)
    return dict(paths)


def test_certificates_are_checked_and_can_be_given(cli: Cli, busybox: str, tmp_path: pathlib.Path) -> None:
    needs("docker-registry", "openssl")
    tls: registries.Section = {"tls": certificate(tmp_path)}
    with registries.serve_with_password({"http": tls}) as registry:
        strict = login(cli, registry, "--tls-verify=true", check=False)
        assert strict.returncode == 125 and "certificate" in strict.stderr
        assert not auth_file(cli).exists()
        trusting = ("--tls-verify=true", "--cert-dir", tmp_path)
        login(cli, registry, *trusting)
        cli("push", "-q", *trusting, busybox, f"{registry}/app")
        refused = cli("push", "-q", "--tls-verify", busybox, f"{registry}/app", check=False)
        assert refused.returncode == 125 and "certificate" in refused.stderr
        cli("push", "-q", "--tls-verify=false", busybox, f"{registry}/app:2")
        assert (
            cli("search", "--format", "{{.Name}}", *trusting, f"{registry}/").stdout == f"{registry}/app\n"
        )


def test_without_a_registry_the_first_that_is_searched_is_meant(
    cli: Cli, locked_registry: str, tmp_path: pathlib.Path
) -> None:
    conf = tmp_path / "registries.conf"
    conf.write_text(f'unqualified-search-registries = ["{locked_registry}", "quay.io"]')
    env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
    cli("login", "-u", "me", "-p", "secret", env=env)
    assert list(document(auth_file(cli))["auths"]) == [locked_registry]
    assert cli("login", "--get-login", env=env).stdout == "me\n"
    assert cli("logout", env=env).stdout == f"Removed login credentials for {locked_registry}\n"
    conf.write_text("unqualified-search-registries = []")
    for words in (["login", "-u", "me", "-p", "x"], ["logout"]):
        done = cli(*words, env=env, check=False)
        assert done.returncode == 125 and "no registry is named" in done.stderr
