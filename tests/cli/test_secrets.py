"""Passwords are in no message, no log, no record and no command line of a helper; see also test_login."""

import os
import pathlib
import re

import pytest

from tests.commands import Cli

# The password "secret", a wrong one, and both as they are sent.
SECRET = re.compile(r"\bsecret\b|bWU6c2VjcmV0|wr0ng-word|bWU6d3Iwbmctd29yZA")
SPY = """#!/bin/sh
for each in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $each; echo; done 2>/dev/null | grep pyctr > "$0.seen"
echo '{"ServerURL": "x", "Username": "me", "Secret": "secret"}'
"""


def check_no_secret(text: str) -> None:
    found = SECRET.search(text)
    assert not found, text[max(0, found.start() - 200) : found.end() + 200]


def check_store(cli: Cli) -> None:
    """No record, log or cache has one; login keeps them in auth.json, outside of the store."""
    for top in (cli.store.root, cli.store.runroot):
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name not in ("blobs", "layers", "upper")]
            for name in files:
                check_no_secret(pathlib.Path(folder, name).read_bytes().decode("latin-1"))


@pytest.mark.parametrize("creds", ["me:secret", "me:wr0ng-word"])
@pytest.mark.parametrize(
    "words",
    [
        "push -q CREDS busybox DOMAIN/app:1",
        "pull -q CREDS DOMAIN/app:1",
        "pull -aq CREDS DOMAIN/app",
        "search CREDS DOMAIN/app",
        "manifest push -q CREDS list DOMAIN/list:1",
        "manifest add CREDS list docker://DOMAIN/app:1",
    ],
)
def test_credentials_of_the_command_line(
    cli: Cli, busybox: str, locked_registry: str, words: str, creds: str
) -> None:
    cli("push", "-q", "--creds", "me:secret", busybox, f"{locked_registry}/app:1")
    cli("manifest", "create", "list", busybox)
    filled = words.replace("DOMAIN", locked_registry).replace("CREDS", f"--creds={creds}").split()
    done = cli("--log-level=debug", *filled, check=False)
    assert done.returncode == (0 if creds == "me:secret" else 125), done.stderr
    check_no_secret(done.stdout + done.stderr)
    check_store(cli)


def test_credentials_of_a_login(cli: Cli, busybox: str, locked_registry: str) -> None:
    debug = "--log-level=debug"
    done = cli(debug, "login", "-v", "-u", "me", "--password-stdin", locked_registry, input="secret\n")
    for words in (
        f"push -q {busybox} NAME",
        "pull -q NAME",
        "run --rm --pull always --network none NAME true",
    ):
        again = cli(debug, *words.replace("NAME", f"{locked_registry}/app:1").split())
        check_no_secret(done.stdout + done.stderr + again.stdout + again.stderr)
    check_store(cli)


def test_no_process_shows_what_a_helper_gave(
    cli: Cli, busybox: str, locked_registry: str, tmp_path: pathlib.Path
) -> None:
    helper = tmp_path / "docker-credential-spy"
    helper.write_text(SPY)
    helper.chmod(0o755)
    (tmp_path / "auth.json").write_text('{"credsStore": "spy"}')
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    cli("push", "-q", busybox, f"{locked_registry}/app:1", env=env)
    cli("run", "--rm", "--pull", "always", "--network", "none", f"{locked_registry}/app:1", "true", env=env)
    seen = (tmp_path / "docker-credential-spy.seen").read_text()
    assert "--pull always" in seen
    check_no_secret(seen)
