"""pyctr logout"""

from pyctr.cli.tables import Argument, Command, Option
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options


def logout(options: "Options", arguments: "tuple[str, ...]") -> int:
    from pyctr.cli.login import default
    from pyctr.image import credentialfile, login

    file = credentialfile.chosen(options.authfile or "", options.compat_auth_file or "")
    if options.all:
        if arguments:
            raise PyctrError("--all takes no registry")
        credentialfile.remove_all(file)
        print("Removed login credentials for all registries")
        return 0
    account = login.account(arguments[0] if arguments else default(options))
    login.logout(account, file)
    print(f"Removed login credentials for {account.key}")
    return 0


COMMAND = Command(
    name="logout",
    summary="Forget the credentials for a registry",
    handler=logout,
    arguments=(Argument("REGISTRY", 0, 1),),
    options=(
        Option(("--all", "-a"), "Forget the credentials for all registries"),
        Option(("--authfile",), "File that keeps the credentials", "text", "PATH", complete="file"),
        Option(
            ("--compat-auth-file",),
            "File of docker's that keeps the credentials",
            "text",
            "PATH",
            complete="file",
        ),
    ),
    description="""\
Takes away what `login` has kept in the same file, or at the credential helper it names. When no registry is
named, it is the first that registries.conf searches for short names, else docker.io.""",
    examples=("pyctr logout quay.io", "pyctr logout --all"),
)
