"""The driver pasta: one process that copies the host's addresses into the container. See pasta(1).

Nothing is forwarded unless it was asked for: by default pasta forwards every port that listens, in both
directions, and lets the gateway's address lead to the host, so that a container would reach listeners on the
host's 127.0.0.1.
"""

import os

from pyctr.net import drivers, ports
from pyctr.net.model import Address, Helper, Network, PortMapping
from pyctr.rootless.errors import PyctrError

DNS_FORWARD = "169.254.1.1"  # podman's choice of link-local addresses
MAP_GUEST = "169.254.1.2"
_DIRECTIONS = (("-t", "--tcp-ports"), ("-u", "--udp-ports"), ("-T", "--tcp-ns"), ("-U", "--udp-ns"))
_LOUD = ("-d", "--debug", "--trace")


def helper(network: Network, folder: str) -> Helper:
    """pasta in the foreground; init waits for the default route."""
    path = drivers.executable("pasta")
    maps_guest = _maps_guest(path)
    if not maps_guest:
        _refuse_moved_udp(network)
    ports.check_free(network.ports, ipv6=not _ipv4_only(network))
    words = arguments(network, maps_guest=maps_guest)
    if os.geteuid() == 0 and "--runas" not in words:
        words += ("--runas", "0:0")  # else it becomes nobody, who may not enter the container's namespaces
    return Helper((path, *words, "{pid}"), "route", families=_families(network))


def arguments(network: Network, *, maps_guest: bool) -> tuple[str, ...]:
    """All words but the process. `maps_guest`: this pasta knows --map-guest-addr (since August 2024)."""
    options = [word for word in network.options if word != "--map-gw"]
    words = ["--foreground", "--config-net", *options]
    for mapping in network.ports:
        words += ["-u" if mapping.protocol == "udp" else "-t", _specifier(mapping)]
    if "--dns-forward" not in options:
        words += ["--dns-forward", DNS_FORWARD]
    for short, long in _DIRECTIONS:
        if short not in words and long not in words:
            words += [short, "none"]
    if "--map-gw" not in network.options:
        words.append("--no-map-gw")
    if maps_guest and "--map-guest-addr" not in options:
        words += ["--map-guest-addr", MAP_GUEST]
    if not set(_LOUD) & set(options):
        words.append("--quiet")
    return tuple(words)


def _specifier(mapping: PortMapping) -> str:
    """address/first-last:first-last"""
    address = f"{mapping.host_ip}/" if mapping.host_ip else ""
    last, inner = mapping.host_port + mapping.length - 1, mapping.container_port + mapping.length - 1
    return f"{address}{mapping.host_port}-{last}:{mapping.container_port}-{inner}"


def _maps_guest(path: str) -> bool:
    return drivers.has_option(path, "map-guest-addr")


def _families(network: Network) -> tuple[str, ...]:
    """The families whose default route pasta will set, as far as can be told; IPv6 comes last."""
    if "-6" in network.options or "--ipv6-only" in network.options:
        return ("inet6",)
    from pyctr.net import uplink

    return ("inet",) if _ipv4_only(network) or not uplink.has_ipv6() else ("inet", "inet6")


def _refuse_moved_udp(network: Network) -> None:
    """Debian 12's pasta passes such datagrams in, and loses the answers."""
    for mapping in network.ports:
        if mapping.protocol == "udp" and mapping.host_port != mapping.container_port:
            raise PyctrError(
                f"this pasta is too old to publish {ports.describe(mapping)} under another number",
                "Publish the container's own port number, or use --network slirp4netns.",
            )


def _ipv4_only(network: Network) -> bool:
    return "-4" in network.options or "--ipv4-only" in network.options


def after_ready(helper: Helper, network: Network, pid: int) -> None:
    """Nothing: pasta has bound its ports before it sets up the interface."""


def address(network: Network) -> Address:
    """The host's own addresses, unless options say otherwise."""
    from pyctr.net import uplink

    found = uplink.find_uplink()
    given = Given(network.options)
    if found.ipv6_gateway and not _ipv4_only(network):
        ipv6 = (given.ipv6 or found.ipv6, found.ipv6_prefix, given.ipv6_gateway or found.ipv6_gateway)
    else:
        ipv6 = ("", 0, "")
    own = given.ipv4 or found.ipv4
    forwards = [given.dns_forward or DNS_FORWARD]
    return Address(
        given.interface or found.interface,
        own,
        given.ipv4_prefix or found.ipv4_prefix,
        given.ipv4_gateway or found.ipv4_gateway,
        *ipv6,
        host=_host(network, own),
        dns=tuple(forwards),
    )


def _host(network: Network, own: str) -> str:
    """The address of the host as the container sees it; "" when it cannot be reached.

    An older pasta has none for the host: then any address of the host that the container did not get.
    """
    options = network.options
    if "--map-guest-addr" in options[:-1]:
        return options[options.index("--map-guest-addr") + 1]
    from pyctr.net import uplink

    if _maps_guest(drivers.executable("pasta")):
        return MAP_GUEST
    return uplink.local_address(other_than=own)


class Given:
    """What the user's own options for pasta say about addresses."""

    def __init__(self, options: "tuple[str, ...]") -> None:
        self.interface = self.ipv4 = self.ipv4_gateway = self.ipv6 = self.ipv6_gateway = self.dns_forward = (
            ""
        )
        self.ipv4_prefix = 0
        for option, value in zip(options, options[1:], strict=False):
            self._take(option, value)

    def _take(self, option: str, value: str) -> None:
        if option in ("-I", "--ns-ifname"):
            self.interface = value
        elif option == "--dns-forward":
            self.dns_forward = value
        elif option in ("-n", "--netmask") and value.isdigit():
            self.ipv4_prefix = int(value)
        elif option in ("-a", "--address"):
            value = value.partition("/")[0]
            if ":" in value:
                self.ipv6 = value
            else:
                self.ipv4 = value
        elif option in ("-g", "--gateway"):
            if ":" in value:
                self.ipv6_gateway = value
            else:
                self.ipv4_gateway = value


def explain(words: str) -> PyctrError:
    """pasta's own words, without the lines of its usage and its complaints about syslog."""
    lines = []
    for line in words.splitlines():
        if line.startswith("Usage:"):
            break
        if line.strip() and not line.startswith("Failed to send "):
            lines.append(line.removeprefix("pasta: ").strip())
    text = "; ".join(lines) or "it said nothing"
    return PyctrError(f"pasta could not set up the container's network: {text}", _hint(text))


def _hint(text: str) -> str:
    if "bind" in text and "port" in text:
        return "Publish another port of the host, or end what listens on it."
    if "Overlapping" in text:
        return "This pasta takes one address for each host port. Use another port, or --network slirp4netns."
    if "routable interface" in text or "default route" in text:
        return "This machine has no default route. Use --network slirp4netns, or --network none."
    if "unrecognized option" in text or "nvalid" in text:
        return "See pasta(1) for the options of --network pasta:..."
    return "Try --network slirp4netns, or --network none."
