"""pyctr login"""

import sys

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.image.credentials import Credentials
    from pyctr.image.login import Account
    from pyctr.image.transport import Access


def login(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.image import credentialfile
    from pyctr.image import login as registries

    account = registries.account(arguments[0] if arguments else default(options))
    if options.get_login:
        return tell_user(account, options)
    check_words(options)
    file = credentialfile.chosen(options.authfile or "", options.compat_auth_file or "")
    access = access_of(account, options)
    if options.username is None and options.password is None and still_valid(account, options, access):
        return 0
    given = ask(account, options)
    where = registries.login(account, given, access, file)
    if options.verbose:
        print(f"Used: {where}")
    print("Login Succeeded!")
    return 0


def default(options: "Options") -> str:
    """The registry that is meant when none is named."""
    from pyctr.image import registries

    return registries.default(options.store)


def tell_user(account: "Account", options: "Options") -> int:
    """Prints who is logged in."""
    from pyctr.image import login as registries

    user = registries.known(account, file_read(options)).user
    if not user:
        raise PyctrError(f"not logged into {account.key}", f"Log in with: pyctr login {account.key}")
    print(user)
    return 0


def check_words(options: "Options") -> None:
    """Refuses what contradicts itself."""
    if options.password_stdin and options.password is not None:
        raise PyctrError("--password and --password-stdin cannot be used together")
    if options.password_stdin and not options.username:
        raise PyctrError("--password-stdin needs --username")


def file_read(options: "Options") -> str:
    return options.authfile or options.compat_auth_file or ""


def access_of(account: "Account", options: "Options") -> "Access":
    """How the registry is reached."""
    from pyctr.image import registries
    from pyctr.image.transport import Access

    verify = options.tls_verify if "tls_verify" in options.named else None
    given = Access(tls_verify=verify, cert_dir=options.cert_dir or "")
    return registries.reached(options.store, account.key, given)


def still_valid(account: "Account", options: "Options", access: "Access") -> bool:
    """Whether the credentials that are kept will do; a user who names none is told so."""
    from pyctr.image import login as registries
    from pyctr.image.credentials import ANONYMOUS

    known = registries.known(account, file_read(options))
    if known == ANONYMOUS:
        return False
    print(f"Authenticating with existing credentials for {account.key}")
    try:
        registries.verify(account, known, access)
    except registries.WrongCredentials:
        print("Existing credentials are invalid, please enter valid username and password")
        return False
    print(f"Existing credentials are valid. Already logged in to {account.key}")
    return True


def ask(account: "Account", options: "Options") -> "Credentials":
    """User and password: from the options, else from who sits there."""
    from pyctr.cli import prompts
    from pyctr.image import login as registries
    from pyctr.image.credentials import Credentials

    user = options.username
    if not user:
        known = registries.known(account, file_read(options)).user
        user = prompts.line(f"Username ({known}): " if known else "Username: ", nobody()) or known
    if options.password_stdin:
        return Credentials(user, sys.stdin.read().rstrip("\r\n"))
    return Credentials(user, options.password if options.password is not None else prompts.secret(nobody()))


def nobody() -> PyctrError:
    """The error for an end of the input where an answer should be."""
    return PyctrError(
        "nobody answers the question for user and password",
        "Give --username and --password-stdin where there is no terminal.",
    )


COMMAND = Command(
    name="login",
    summary="Log in to a registry",
    handler=login,
    arguments=(Argument("REGISTRY", 0, 1),),
    options=(
        Option(("--authfile",), "File to keep the credentials in", "text", "PATH", complete="file"),
        Option(
            ("--cert-dir",), "Folder with certificates for the registry", "text", "PATH", complete="file"
        ),
        Option(
            ("--compat-auth-file",),
            "File of docker's to keep the credentials in",
            "text",
            "PATH",
            complete="file",
        ),
        Option(("--get-login",), "Print the user who is logged in, and do no more"),
        Option(("--password", "-p"), "Password; every user of this machine can see it", "text", "PASSWORD"),
        Option(("--password-stdin",), "Read the password from standard input"),
        Option(("--tls-verify",), "Demand TLS and verify the registry's certificate", default=True),
        Option(("--username", "-u"), "User name", "text", "USER"),
        Option(("--verbose", "-v"), "Tell where the credentials are kept"),
        Option(("--secret",), kind="text", unsupported=True),
    ),
    description="""\
Tries a user name and a password at a registry and keeps them for pull, push and search. When none is named,
it is the first that registries.conf searches for short names, else docker.io. `quay.io/team` keeps them for
the repositories below team only.

They are kept in $XDG_RUNTIME_DIR/containers/auth.json, which does not survive a reboot, unless --authfile or
REGISTRY_AUTH_FILE names another file: one with mode 0600, where passwords are encoded but not encrypted. A
credential helper that the file names (credHelpers, credsStore) gets them instead; but those of a name space
stay in the file beside a credsStore, which keeps whole registries only. When no user is named, and podman's
or docker's files have credentials that the registry takes, nothing is asked.""",
    examples=(
        "pyctr login quay.io",
        "pyctr login -u me --password-stdin registry.example.com < password",
        "pyctr login --authfile ~/.config/containers/auth.json quay.io",
    ),
)
