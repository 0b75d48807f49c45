"""What a registry is asked to verify credentials, and what a hostile one makes of it."""

import base64
import pathlib

import pytest

from pyctr.image import credentialfile, login
from pyctr.image.credentialfile import CredentialFile
from pyctr.image.credentials import Credentials
from pyctr.image.transport import Access
from pyctr.rootless.errors import PyctrError
from tests.image.servers import Scripted, in_turn, send, serve, silent, status

QUICK = Access(retries=0, connect=5, stall=5)
ME = Credentials("me", "s3cret-word")
BASIC = f"Basic {base64.b64encode(b'me:s3cret-word').decode()}"


def challenge(scripted: Scripted, realm: str = "") -> str:
    return f'Bearer realm="{realm or f"http://{scripted.address}/token"}",service="reg"'


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("quay.io", "quay.io"),
        ("quay.io/", "quay.io"),
        ("https://quay.io", "quay.io"),
        ("https://quay.io/v1/", "quay.io"),
        ("https://quay.io/some/page", "quay.io"),
        ("http://localhost:5000", "localhost:5000"),
        ("quay.io/team/part", "quay.io/team/part"),
        ("quay.io/team/", "quay.io/team"),
        ("quay.io/v2/", "quay.io/v2"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("[::1]:5000", "[::1]:5000"),
        ("localhost", "localhost"),
    ],
)
def test_a_registry_is_named_in_many_ways(text: str, key: str) -> None:
    assert login.account(text).key == key


def test_a_token_shows_that_the_password_is_right(scripted: Scripted) -> None:
    unauthorized = status(401, WWW_Authenticate=challenge(scripted))
    scripted.answers["/v2/"] = in_turn(unauthorized, send(b"{}"))
    scripted.answers["/token"] = send(b'{"token": "t"}')
    login.verify(login.account(scripted.address), ME, QUICK)
    assert scripted.headers("/token")[0]["authorization"] == BASIC
    assert [path for path, _ in scripted.requests if path.startswith("/token")] == ["/token?service=reg"]
    assert scripted.headers("/v2/")[1]["authorization"] == "Bearer t"


@pytest.mark.parametrize("code", [400, 401, 403])
def test_a_refused_token_means_wrong_credentials(scripted: Scripted, code: int) -> None:
    scripted.answers["/v2/"] = status(401, WWW_Authenticate=challenge(scripted))
    scripted.answers["/token"] = status(code)
    with pytest.raises(login.WrongCredentials, match="invalid username/password") as caught:
        login.verify(login.account(scripted.address), ME, QUICK)
    assert ME.password not in f"{caught.value.message} {caught.value.hint}"


def test_a_token_that_is_not_taken_means_wrong_credentials(scripted: Scripted) -> None:
    scripted.answers["/v2/"] = status(401, WWW_Authenticate=challenge(scripted))
    scripted.answers["/token"] = send(b'{"token": "t"}')
    with pytest.raises(login.WrongCredentials):
        login.verify(login.account(scripted.address), ME, QUICK)
    assert scripted.count("/v2/") <= 3


@pytest.mark.parametrize("code", [301, 404, 500])
def test_what_is_no_registry_takes_no_password(
    scripted: Scripted, tmp_path: pathlib.Path, code: int
) -> None:
    scripted.answers["/v2/"] = status(code)
    file = CredentialFile(str(tmp_path / "auth.json"))
    with pytest.raises(PyctrError, match="logging into"):
        login.login(login.account(scripted.address), ME, QUICK, file)
    assert not list(tmp_path.iterdir())


def test_a_redirect_takes_the_password_nowhere(scripted: Scripted) -> None:
    with serve() as other:
        other.answers["/v2/"] = send(b"{}")
        away = status(307, Location=f"http://{other.address}/v2/")
        basic = status(401, WWW_Authenticate='Basic realm="x"')
        scripted.answers["/v2/"] = in_turn(basic, away)
        login.verify(login.account(scripted.address), ME, QUICK)
        assert "authorization" not in other.headers("/v2/")[0]


@pytest.mark.parametrize("path", ["/v2/", "/token"])
def test_a_registry_that_stalls_is_an_error(scripted: Scripted, path: str) -> None:
    scripted.answers["/v2/"] = status(401, WWW_Authenticate=challenge(scripted))
    scripted.answers[path] = silent(scripted)
    with pytest.raises(PyctrError, match="^logging into 127.*no answer in time"):
        login.verify(login.account(scripted.address), ME, QUICK.replace(stall=0.2))


def test_a_failed_writing_keeps_the_old_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CredentialFile(str(tmp_path / "auth.json"))
    credentialfile.save(file, "quay.io", ME)
    before = (tmp_path / "auth.json").read_text()

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PyctrError, match="auth.json cannot be written: No space left") as caught:
        credentialfile.save(file, "quay.io", Credentials("other", "x"))
    assert "--authfile" in str(caught.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == ["auth.json"]
    assert (tmp_path / "auth.json").read_text() == before


def test_what_a_killed_writer_left_is_removed(tmp_path: pathlib.Path) -> None:
    file = CredentialFile(str(tmp_path / "auth.json"))
    for name in (".auth.json.4711", ".auth.json.bak", "auth.json.1", ".other.json.4711"):
        (tmp_path / name).write_text("x")
    credentialfile.save(file, "quay.io", ME)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [".auth.json.bak", ".other.json.4711", "auth.json", "auth.json.1"]
