"""The drivers of a container's network: one module each, with the functions of `Driver`."""

from pyctr.net.model import Address, Helper, Network
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Driver(Protocol):
        """All of it runs in the host's network namespace, as the user. A module can be one."""

        def helper(self, network: Network, folder: str) -> "Helper | None":
            """The process to start for a container whose runtime folder is `folder`, or None.

            PyctrError when a host port is not free, an option is unknown or the executable is missing.
            """

        def after_ready(self, helper: Helper, network: Network, pid: int) -> None:
            """Asks a ready helper for what its arguments could not say; `pid` is a process of the container.

            PyctrError names the port that was refused.
            """

        def address(self, network: Network) -> Address:
            """What is known of the container's addresses."""

        def explain(self, words: str) -> PyctrError:
            """The error for a helper that ended too early, from what it wrote to standard error."""


HELPERS = ("pasta", "slirp4netns")
INSTALL = {
    "pasta": "Install the package passt (Debian, Fedora).",
    "slirp4netns": "Install the package slirp4netns (Debian, Fedora).",
}


class _NoHelper:
    """A network that needs no process beside the container: none and host."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared

    def helper(self, network: Network, folder: str) -> None:
        return None

    def after_ready(self, helper: Helper, network: Network, pid: int) -> None:
        return None

    def address(self, network: Network) -> Address:
        if not self.shared:
            return Address(ipv4="127.0.0.1")
        from pyctr.net import uplink

        return Address(host=uplink.local_address())

    def explain(self, words: str) -> PyctrError:
        return PyctrError(f"the network helper failed: {words}")


def by_name(name: str) -> "Driver":
    """The driver of a Network. Helpers are looked for when `helper` is called."""
    if name == "pasta":
        from pyctr.net import pasta

        return pasta
    if name == "slirp4netns":
        from pyctr.net import slirp4netns

        return slirp4netns
    if name in ("none", "host"):
        return _NoHelper(shared=name == "host")
    raise PyctrError(f"network driver {name!r} is not supported", "Use pasta, slirp4netns, host or none.")


def default_name() -> str:
    """The driver of a container that asks for none; PyctrError when no helper is installed.

    pasta, unless it is older than August 2024 and slirp4netns is there: Debian 12's pasta was seen to cut
    and to repeat what a stream carries when its ends are closed one after the other, and to lose the answers
    of UDP ports that are published under another number.
    """
    from pyctr.rootless import processes

    pasta, slirp4netns = (processes.find_executable(name) for name in HELPERS)
    if pasta and (not slirp4netns or has_option(pasta, "map-guest-addr")):
        return "pasta"
    if slirp4netns:
        return "slirp4netns"
    raise PyctrError(
        "no network helper is installed, so a container cannot have a network",
        "Install the package passt, or slirp4netns (Debian, Fedora); or use --network none or host.",
    )


def executable(name: str) -> str:
    """The file of a helper; PyctrError with the package that has it."""
    from pyctr.rootless import processes

    path = processes.find_executable(name)
    if path is None:
        raise PyctrError(f"{name} is not installed, so --network {name} cannot be used", INSTALL.get(name))
    return path


def has_option(path: str, option: str) -> bool:
    """Whether a helper knows a long option, from the words in its file: 0.2 ms where running it takes 3."""
    try:
        with open(path, "rb") as file:
            return option.encode() in file.read()
    except OSError:
        return False


def explain_failure(network: Network, words: str) -> PyctrError:
    """The error for a helper that ended too early or never got ready; `words`: its standard error."""
    return by_name(network.driver).explain(words.strip())
