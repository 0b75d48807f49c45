"""Talking to registries: real ones with TLS and passwords, scripted ones that redirect and want tokens."""

import base64
import contextlib
import pathlib
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from pyctr.image import manifest, reference, transport
from pyctr.image.credentials import Credentials
from pyctr.image.registry import Repository
from pyctr.image.session import Absent, Denied
from pyctr.image.tokens import parse_challenge
from pyctr.image.transport import Access
from pyctr.rootless.errors import PyctrError
from tests import registries
from tests.image.servers import Sample, Scripted, send, serve, status

QUICK = Access(retries=0, connect=5, stall=5)
ME = Credentials("me", "secret")
BASIC = f"Basic {base64.b64encode(b'me:secret').decode()}"


def manifest_of(name: str, access: Access = QUICK) -> bytes:
    parsed = reference.parse(name)
    return Repository(parsed, access).manifest(parsed.digest or parsed.tag)[0]


@pytest.fixture
def sample(scripted: Scripted) -> Sample:
    return Sample(scripted)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ('Bearer realm="https://a/b",service="s",scope="x:y:pull,push"',
         ("bearer", {"realm": "https://a/b", "service": "s", "scope": "x:y:pull,push"})),
        ("Basic realm=simple", ("basic", {"realm": "simple"})),
        ('BEARER Realm = "a\\"b" , x=y', ("bearer", {"realm": 'a"b', "x": "y"})),
        ("Negotiate", ("negotiate", {})),
        ('Bearer realm="open', ("bearer", {"realm": "open"})),
        ("", ("", {})),
        ('Bearer realm="a\\', ("bearer", {"realm": "a\\"})),
    ],
)  # fmt: skip
def test_challenges_are_parsed(text: str, parsed: tuple[str, dict[str, str]]) -> None:
    assert parse_challenge(text) == parsed


@pytest.mark.parametrize(
    ("domain", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.1.2.3", True),
        ("[::1]:5000", True),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com", False),
        ("128.0.0.1", False),
        ("example.com:5000", False),
    ],
)
def test_loopback_is_told_by_the_name(domain: str, loopback: bool) -> None:
    assert transport.is_loopback(domain) is loopback


def test_basic_credentials_are_sent_when_asked_for(sample: Sample, scripted: Scripted) -> None:
    path = f"{sample.path}/manifests/latest"
    good = scripted.answers[path]
    demand(scripted, path, 'Basic realm="x"', lambda got: got == BASIC, good)
    manifest_of(sample.reference, QUICK.replace(credentials=ME))
    assert [headers.get("authorization") for headers in scripted.headers(path)] == [None, BASIC]


def demand(scripted: Scripted, path: str, challenge: str, accepts: object, good: object) -> None:
    """Answers 401 with a challenge until the Authorization header is right."""

    def answer(handler: object) -> None:
        got = handler.headers.get("Authorization")  # type: ignore[attr-defined]
        (good if accepts(got) else status(401, WWW_Authenticate=challenge))(handler)  # type: ignore[operator]

    scripted.answers[path] = answer


def bearer(sample: Sample, scripted: Scripted, realm: str = "") -> str:
    """Makes the manifest need the token `t`; its path."""
    path = f"{sample.path}/manifests/latest"
    realm = realm or f"http://{scripted.address}/token"
    challenge = f'Bearer realm="{realm}",service="reg",scope="repository:sample:pull"'
    demand(scripted, path, challenge, lambda got: got == "Bearer t", scripted.answers[path])
    return path


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_a_token_is_fetched_when_asked_for(sample: Sample, scripted: Scripted, field: str) -> None:
    path = bearer(sample, scripted)
    scripted.answers["/token"] = send(f'{{"{field}": "t"}}'.encode())
    manifest_of(sample.reference, QUICK.replace(credentials=ME))
    assert scripted.headers("/token")[0]["authorization"] == BASIC
    asked = next(asked for asked, _ in scripted.requests if asked.startswith("/token"))
    assert asked == "/token?service=reg&scope=repository%3Asample%3Apull"
    assert scripted.headers(path)[-1]["authorization"] == "Bearer t"


def test_an_identity_token_is_exchanged(sample: Sample, scripted: Scripted) -> None:
    bearer(sample, scripted)
    scripted.answers["/token"] = send(b'{"access_token": "t"}')
    manifest_of(sample.reference, QUICK.replace(credentials=Credentials(identity_token="refresh")))
    assert "authorization" not in scripted.headers("/token")[0]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a\\r\\nX: y"}', b"x"])
def test_a_wrong_token_is_refused(sample: Sample, scripted: Scripted, body: bytes) -> None:
    bearer(sample, scripted)
    scripted.answers["/token"] = send(body)
    with pytest.raises(PyctrError, match="/token"):
        manifest_of(sample.reference)


@pytest.mark.parametrize("realm", ["http://example.com/token", "ftp://example.com", "x", ""])
def test_passwords_do_not_go_unencrypted_to_strangers(
    sample: Sample, scripted: Scripted, realm: str
) -> None:
    from pyctr.image.tokens import Authorizer

    to = transport.Transport("example.com", QUICK)
    challenge = f'Bearer realm="{realm}"'
    with pytest.raises(PyctrError, match="not safe"):
        Authorizer(to, "x", ME).renew([challenge], "", "https://example.com/v2/x/manifests/y")


def test_a_token_that_is_never_taken_ends(sample: Sample, scripted: Scripted) -> None:
    path = bearer(sample, scripted)
    scripted.answers["/token"] = send(b'{"token": "wrong"}')
    with pytest.raises(Denied, match="manifest latest in .*sample"):
        manifest_of(sample.reference)
    assert scripted.count(path) <= 3


def test_a_redirect_to_another_host_gets_no_credentials(sample: Sample, scripted: Scripted) -> None:
    path = f"{sample.path}/manifests/latest"
    with serve() as other:
        other.answers["/elsewhere"] = scripted.answers[path]
        away = status(307, Location=f"http://{other.address}/elsewhere")
        demand(scripted, path, 'Basic realm="x"', lambda got: got == BASIC, away)
        manifest_of(sample.reference, QUICK.replace(credentials=ME))
        assert "authorization" not in other.headers("/elsewhere")[0]


@pytest.mark.parametrize("whose", [ME, Credentials(identity_token="refresh")], ids=["password", "token"])
@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_another_host_that_asks_for_credentials_gets_none(
    sample: Sample, scripted: Scripted, whose: Credentials, scheme: str
) -> None:
    """CVE-2020-15157: the host that a registry redirects to answers 401 and names its own token server."""
    with serve() as other:
        challenge = f'{scheme} realm="http://{other.address}/token",service="x"'
        other.answers["/elsewhere"] = status(401, WWW_Authenticate=challenge)
        other.answers["/token"] = send(b'{"token": "t"}')
        away = status(307, Location=f"http://{other.address}/elsewhere")
        scripted.answers[f"{sample.path}/manifests/latest"] = away
        with pytest.raises(Denied):
            manifest_of(sample.reference, QUICK.replace(credentials=whose))
        assert [path for path, _ in other.requests] == ["/elsewhere"]


def test_a_redirect_within_the_host_keeps_them(sample: Sample, scripted: Scripted) -> None:
    path = f"{sample.path}/manifests/latest"
    scripted.answers["/elsewhere"] = scripted.answers[path]
    demand(scripted, path, 'Basic realm="x"', lambda got: got == BASIC, status(302, Location="/elsewhere"))
    manifest_of(sample.reference, QUICK.replace(credentials=ME))
    assert scripted.headers("/elsewhere")[0]["authorization"] == BASIC


def test_redirects_without_end_are_an_error(sample: Sample, scripted: Scripted) -> None:
    path = f"{sample.path}/manifests/latest"
    scripted.answers[path] = status(302, Location=path)
    with pytest.raises(PyctrError, match="redirects"):
        manifest_of(sample.reference)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_redirects_to_other_schemes_are_an_error(sample: Sample, scripted: Scripted, target: str) -> None:
    scripted.answers[f"{sample.path}/manifests/latest"] = status(302, Location=target)
    with pytest.raises(PyctrError, match="unknown scheme"):
        manifest_of(sample.reference)


def test_what_a_registry_says_cannot_drive_the_terminal(sample: Sample, scripted: Scripted) -> None:
    body = b'{"errors": [{"message": "\\u001b[31mred\\u0007"}]}'
    scripted.answers[f"{sample.path}/manifests/latest"] = send(body, code=404)
    with pytest.raises(PyctrError) as caught:
        manifest_of(sample.reference)
    assert caught.value.message.isprintable() and "red" in caught.value.message


def test_a_refused_connection_is_told_at_once() -> None:
    with pytest.raises(PyctrError, match="127.0.0.1:1.*Connection refused"):
        manifest_of("127.0.0.1:1/x:y", QUICK.replace(retries=5))


def test_without_tls_a_strict_caller_gets_nothing(sample: Sample) -> None:
    with pytest.raises(PyctrError, match="TLS") as caught:
        manifest_of(sample.reference, QUICK.replace(tls_verify=True))
    assert caught.value.hint is not None and "--tls-verify=false" in caught.value.hint


@pytest.fixture
def certificate(tmp_path: pathlib.Path) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    found = str(tmp_path / "ca.crt"), str(tmp_path / "server.key")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", found[0], "-keyout", found[1]]
    subprocess.run(argv, check=True, capture_output=True)
    return found


@pytest.fixture
def tls_registry(certificate: tuple[str, str]) -> Iterator[str]:
    """host:port of a registry that speaks TLS and wants me:secret."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    tls: dict[str, object] = {"certificate": certificate[0], "key": certificate[1]}
    # bcrypt of "secret"
    hashed = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
    passwords = pathlib.Path(certificate[0]).with_name("htpasswd")
    passwords.write_text(f"me:{hashed}\n")
    auth: dict[str, object] = {"htpasswd": {"realm": "test", "path": str(passwords)}}
    with contextlib.ExitStack() as stack:
        extra: dict[str, dict[str, object]] = {"http": {"tls": tls}, "auth": auth}
        yield stack.enter_context(registries.serve(extra))


def test_tls_and_basic_passwords_of_a_real_registry(tls_registry: str, certificate: tuple[str, str]) -> None:
    folder = str(pathlib.Path(certificate[0]).parent)
    name = f"{tls_registry}/absent:latest"
    access = QUICK.replace(tls_verify=True, cert_dir=folder)
    with pytest.raises(Denied, match="manifest latest in .*absent"):
        manifest_of(name, access)
    with pytest.raises(Absent, match="manifest unknown"):
        manifest_of(name, access.replace(credentials=ME))


def test_an_unknown_certificate_is_refused_by_a_strict_caller(tls_registry: str) -> None:
    with pytest.raises(PyctrError, match="certificate verify failed"):
        manifest_of(f"{tls_registry}/absent:latest", QUICK.replace(tls_verify=True))


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_unknown_certificate_will_do_on_loopback(tls_registry: str) -> None:
    with pytest.raises(Denied):
        manifest_of(f"{tls_registry}/absent:latest")


def test_a_manifest_of_a_real_registry_is_what_skopeo_sees(
    registry: str, busybox_archive: pathlib.Path
) -> None:
    name = f"{registry}/busybox:1"
    copy = [
        "skopeo",
        "copy",
        "-q",
        "--dest-tls-verify=false",
        f"docker-archive:{busybox_archive}",
        f"docker://{name}",
    ]
    subprocess.run(copy, check=True)
    seen = ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{name}"]
    digest = subprocess.run(seen, check=True, capture_output=True, text=True).stdout.strip()
    assert manifest.digest_of(manifest_of(name)) == digest
