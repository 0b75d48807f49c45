"""Programs that keep passwords for docker and podman: docker-credential-<name>.

Protocol: the docker-credential-helpers project. The verb is the argument, the server or a JSON object the
standard input, JSON the standard output; a failure is told on standard output.
"""

import json
import subprocess

from pyctr.image.credentials import ANONYMOUS, Credentials
from pyctr.rootless.errors import PyctrError

TIMEOUT = 30  # seconds; some ask their user
_TOKEN = "<token>"  # the user name that marks an identity token
_UNKNOWN = b"not found"


def get(helper: str, server: str) -> Credentials:
    """What a helper knows of a server; ANONYMOUS when that is nothing. Raises PyctrError."""
    code, out = _run(helper, "get", server)
    if code:
        if _UNKNOWN in out.lower():
            return ANONYMOUS
        raise _failed(helper, server, out)
    return _credentials(out, helper)


def store(helper: str, server: str, credentials: Credentials) -> None:
    """Gives credentials to a helper. Raises PyctrError."""
    user, secret = credentials.user, credentials.password
    if credentials.identity_token:
        user, secret = _TOKEN, credentials.identity_token
    code, out = _run(helper, "store", json.dumps({"ServerURL": server, "Username": user, "Secret": secret}))
    if code:
        raise _failed(helper, server, out.replace(secret.encode(), b"***"))


def erase(helper: str, server: str) -> bool:
    """Lets a helper forget a server; False when it did not know it. Raises PyctrError."""
    code, out = _run(helper, "erase", server)
    if code and _UNKNOWN not in out.lower():
        raise _failed(helper, server, out)
    return not code


def servers(helper: str) -> tuple[str, ...]:
    """The servers that a helper knows. Raises PyctrError."""
    code, out = _run(helper, "list", "")
    try:
        found = json.loads(out) if not code else None
    except ValueError:
        found = None
    if type(found) is not dict:
        raise _failed(helper, "all servers", out)
    return tuple(found)


def _run(helper: str, verb: str, text: str) -> tuple[int, bytes]:
    """Exit code and standard output."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise PyctrError(f"{helper!r} is not the name of a credential helper")
    try:
        done = subprocess.run([program, verb], input=text.encode(), capture_output=True, timeout=TIMEOUT)
    except OSError as error:
        raise PyctrError(
            f"the credential helper {program} cannot be started: {error.strerror}",
            "Install it, or take it out of the credentials file.",
        ) from None
    except subprocess.TimeoutExpired:
        raise PyctrError(f"the credential helper {program} did not answer in {TIMEOUT} seconds") from None
    return done.returncode, done.stdout


def _failed(helper: str, server: str, out: bytes) -> PyctrError:
    text = "".join([letter for letter in out.decode(errors="replace").strip() if letter.isprintable()])
    return PyctrError(f"the credential helper docker-credential-{helper} failed for {server}: {text[:200]}")


def _credentials(data: bytes, helper: str) -> Credentials:
    try:
        answer = json.loads(data)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, TypeError, KeyError):
        raise PyctrError(
            f"the credential helper docker-credential-{helper} did not answer with a user and a secret"
        ) from None
    return Credentials(identity_token=secret) if user == _TOKEN else Credentials(str(user), str(secret))
