"""Logging in to registries and out again: credentials are tried before they are kept."""

from pyctr.image import credentialfile, credentials, reference
from pyctr.image.credentialfile import CredentialFile
from pyctr.image.credentials import ANONYMOUS, Credentials
from pyctr.image.reference import Reference
from pyctr.image.session import Session, refusal
from pyctr.image.tokens import NoToken
from pyctr.image.transport import Access, retrying
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value


class WrongCredentials(PyctrError):
    """The registry does not take this user and password."""


class Account(Value):
    """A registry, or a name space in one, that has credentials of its own."""

    domain: str
    path: str = ""

    @property
    def key(self) -> str:
        """Its name in a file of credentials."""
        return f"{self.domain}/{self.path}" if self.path else self.domain


def account(text: str) -> Account:
    """What `quay.io`, `quay.io/team`, `https://quay.io/` mean. Raises PyctrError."""
    key = text.rstrip("/")
    if "://" in text:  # what follows the host of a URL is not a name space
        key = credentials.key_of(text).partition("/")[0]
    domain, _, path = key.partition("/")
    if domain in credentials.DOCKER_HUB:
        domain = reference.DEFAULT_DOMAIN
    if not reference.is_domain(domain) or (path and not reference.is_path(path)):
        raise PyctrError(f"{text!r} is not a registry", "Registries look like quay.io or localhost:5000.")
    return Account(domain, path)


def verify(to: Account, tried: Credentials, access: Access) -> None:
    """Asks the registry whether it takes these credentials. WrongCredentials; PyctrError."""
    session = Session(Reference(to.path, to.domain), access.replace(credentials=tried), actions="")
    try:
        retrying(access, lambda: _verify(session, to))
    except NoToken as error:
        raise _wrong(to, error.message) from None
    except WrongCredentials:
        raise
    except PyctrError as error:
        raise PyctrError(f"logging into {to.key}: {error.message}", error.hint) from None


def _verify(session: Session, to: Account) -> None:
    answer, url = session.ask("GET", "/v2/", {})
    try:
        if answer.status in (401, 403):
            raise _wrong(to, f"status {answer.status}")
        if answer.status != 200:
            raise refusal(answer, url, "asking for access")
    finally:
        answer.close()


def _wrong(to: Account, reason: str) -> WrongCredentials:
    hint = f"The registry says: {reason}."
    return WrongCredentials(f'logging into "{to.key}": invalid username/password', hint)


def login(to: Account, given: Credentials, access: Access, file: CredentialFile) -> str:
    """Tries credentials and keeps them; where they are. WrongCredentials, PyctrError."""
    if not given.user or ":" in given.user:
        raise PyctrError(f"{given.user!r} is not a user name for {to.key}", "It must have no colon.")
    verify(to, given, access)
    return credentialfile.save(file, to.key, given)


def known(to: Account, auth_file: str = "") -> Credentials:
    """The credentials that are kept for a registry, ANONYMOUS when there are none."""
    try:
        return credentials.find(to.domain, to.path, auth_file or None)
    except credentials.NoFile:
        return ANONYMOUS


def logout(to: Account, file: CredentialFile) -> None:
    """Forgets the credentials of a registry. Raises PyctrError when there are none in that file."""
    if credentialfile.remove(file, to.key):
        return
    hint = None
    if known(to) != ANONYMOUS:
        hint = "Another file has credentials for it: name it with --authfile or --compat-auth-file."
    raise PyctrError(f"not logged into {to.key}", hint)
