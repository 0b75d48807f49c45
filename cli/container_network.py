"""The options of `run` and `create` that say how a container is reached, and what it reaches."""

import sys

from pyctr.engine.config import Config
from pyctr.net import drivers
from pyctr.net.model import Network
from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.net.model import PortMapping

_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
_DRIVERS = (*drivers.HELPERS, "host", "none")
_HOST_NAME_MAX = 64  # sethostname(2)


def parse(options: "Options", config: Config) -> Network:
    """The network of a container. PyctrError names the option that is wrong or contradicts another."""
    driver, settings = parse_driver(options, config)
    servers = _split(options.dns) or config.dns_servers
    hosts = parse_hosts(_split(options.add_host))
    if options.no_hosts and hosts:
        raise PyctrError("--no-hosts and --add-host cannot be set together", "Leave one of them out.")
    if driver == "none":
        _refuse_dns_without_network(options)
    return Network(
        driver=driver,
        options=settings,
        ports=parse_ports(options, driver),
        exposed=parse_exposures(_split(options.expose)),
        dns=() if servers == ("none",) else _addresses(servers),
        dns_search=_checked(_split(options.dns_search) or config.dns_searches, "--dns-search"),
        dns_options=_checked(_split(options.dns_option) or config.dns_options, "--dns-option"),
        extra_hosts=hosts,
        manage_hosts=not (options.no_hosts or (config.no_hosts and not hosts)),
        manage_resolv_conf=servers != ("none",),
    )


def _split(values: "tuple[str, ...]") -> "tuple[str, ...]":
    return tuple([word for value in values for word in value.split(",") if word])


def parse_driver(options: "Options", config: Config) -> "tuple[str, tuple[str, ...]]":
    """The driver and its options; those of containers.conf go first."""
    if len(options.network) > 1:
        raise PyctrError(
            "more than one --network is not supported yet", "Give one of pasta, slirp4netns, host, none."
        )
    text = options.network[0] if options.network else config.netns
    if text in ("", "private"):
        text = config.default_rootless_network_cmd
    driver, settings = parse_network(text)
    configured = {"pasta": config.pasta_options, "slirp4netns": config.network_cmd_options}.get(driver, ())
    return driver, (*configured, *settings)


def parse_network(text: str) -> "tuple[str, tuple[str, ...]]":
    """Driver and options of `pasta:--map-gw,-T,5201`; an empty text is whichever helper is installed."""
    name, colon, rest = text.partition(":")
    if not text:
        return drivers.default_name(), ()
    if name in _DRIVERS and (not colon or name in drivers.HELPERS):
        return name, tuple([word for word in rest.split(",") if word])
    if name in _DRIVERS:
        raise PyctrError(f"--network {text}: {name} takes no options", f"Use --network {name}.")
    if name in ("container", "ns", "bridge"):
        raise PyctrError(f"--network {text} is not supported yet", f"Use one of {', '.join(_DRIVERS)}.")
    raise PyctrError(
        f"unable to find network with name or ID {name}: network not found",
        f"Networks of your own are not supported yet. Use one of {', '.join(_DRIVERS)}.",
    )


def parse_ports(options: "Options", driver: str) -> "tuple[PortMapping, ...]":
    """The published ports; none, with a warning as in podman, where there is no network of its own."""
    if not options.publish:
        return ()
    from pyctr.net import ports

    mappings = tuple([ports.parse_publish(word) for word in _split(options.publish)])
    if driver in ("none", "host"):
        sys.stderr.write(
            f"Port mappings have been discarded: the container has no network of its own ({driver})\n"
        )
        return ()
    return mappings


def parse_exposures(words: "tuple[str, ...]") -> "tuple[str, ...]":
    """Each exposed port with its protocol; ranges become single ports."""
    if not words:
        return ()
    from pyctr.net import ports

    return tuple([port for word in words for port in ports.parse_expose(word)])


def parse_hosts(entries: "tuple[str, ...]") -> "tuple[str, ...]":
    """name:ip for each name of NAME[;NAME...]:IP."""
    parsed = []
    for entry in entries:
        names, _, address = entry.partition(":")
        address = address.removeprefix("[").removesuffix("]")
        if address != "host-gateway" and not is_address(address):
            raise PyctrError(f"invalid --add-host {entry!r}", "Write NAME:IP, or NAME;NAME:IP.")
        for name in names.split(";"):
            if not name or not _WORD.issuperset(name):
                raise PyctrError(f"invalid --add-host {entry!r}: {name!r} is no host name", "Write NAME:IP.")
            parsed.append(f"{name}:{address}")
    return tuple(parsed)


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address, which may have a zone."""
    import _socket

    plain = text.partition("%")[0] if ":" in text else text
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, plain)
            return True
        except (OSError, ValueError):
            continue
    return False


def _addresses(servers: "tuple[str, ...]") -> "tuple[str, ...]":
    for server in servers:
        if not is_address(server):
            raise PyctrError(f"--dns {server}: not an IP address", "Give an address, or none.")
    return servers


def _checked(values: "tuple[str, ...]", option: str) -> "tuple[str, ...]":
    """Words that fit a line of /etc/resolv.conf."""
    for value in values:
        if not value.isprintable() or " " in value:
            raise PyctrError(f"invalid {option} {value!r}", "Give one word.")
    return values


def _refuse_dns_without_network(options: "Options") -> None:
    for values, name in (
        (options.dns, "dns"),
        (options.dns_option, "dns-option"),
        (options.dns_search, "dns-search"),
    ):
        if values:
            raise PyctrError(
                f"conflicting options: {name} and the network mode: none", f"Leave --{name} out."
            )


def parse_hostname(options: "Options") -> str:
    """A name that the kernel and /etc/hosts take."""
    name = options.hostname or ""
    if name and (options.uts == "host"):
        raise PyctrError(
            "cannot set the hostname in the host's UTS namespace", "Leave out --hostname or --uts host."
        )
    if len(name) > _HOST_NAME_MAX or not _WORD.issuperset(name):
        raise PyctrError(f"invalid hostname {name!r}", "Use up to 64 letters, digits, '-', '_' and '.'.")
    return str(name)
