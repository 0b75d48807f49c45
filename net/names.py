"""The text of a container's /etc/hosts and /etc/resolv.conf. podman-run(1), --add-host, --dns."""

from pyctr.net import drivers
from pyctr.net.model import Address, Network

HOST_NAMES = ("host.containers.internal", "host.docker.internal")
HOST_GATEWAY = "host-gateway"
_FALLBACK_SERVERS = ("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844")
_SYSTEMD_STUB = "127.0.0.53"
_RESOLV_CONF = "/etc/resolv.conf"
_SYSTEMD_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
_HOSTS = "/etc/hosts"


def hosts_text(network: Network, hostname: str, name: str) -> str:
    """/etc/hosts of a container on this machine."""
    return build_hosts(
        network, drivers.by_name(network.driver).address(network), _read(_HOSTS), hostname, name
    )


def build_hosts(network: Network, address: Address, base: str, hostname: str, name: str) -> str:
    """What --add-host says, then the host's own entries, then the names of the host and of the container.

    A name that an earlier line has is left out, so that --add-host wins over what is added here.
    """
    lines = _extra_lines(network, address)
    lines += [" ".join(fields).replace(" ", "\t", 1) for fields in _entries(base)]
    known = {word for line in lines for word in line.split()[1:]}
    if "localhost" not in known:
        lines += ["127.0.0.1\tlocalhost", "::1\tlocalhost"]
    if address.host:
        _add(lines, known, address.host, HOST_NAMES)
    if network.driver != "host":
        for ip in (address.ipv4, address.ipv6):
            if ip:
                _add(lines, known, ip, tuple(dict.fromkeys((hostname, name))))
    return "".join([f"{line}\n" for line in lines])


def _extra_lines(network: Network, address: Address) -> "list[str]":
    lines = []
    for entry in network.extra_hosts:
        name, _, ip = entry.partition(":")
        lines.append(f"{_gateway(address, name) if ip == HOST_GATEWAY else ip}\t{name}")
    return lines


def _gateway(address: Address, name: str) -> str:
    if not address.host:
        from pyctr.rootless.errors import PyctrError

        raise PyctrError(
            f"--add-host {name}:{HOST_GATEWAY}: the container has no address for the host",
            "Write an IP address, or use --network slirp4netns.",
        )
    return address.host


def _entries(base: str) -> "list[list[str]]":
    """Address and names of each line of a hosts file; comments are left out."""
    rows = [line.partition("#")[0].split() for line in base.splitlines()]
    return [fields for fields in rows if len(fields) > 1]


def _add(lines: "list[str]", known: "set[str]", ip: str, names: "tuple[str, ...]") -> None:
    fresh = [name for name in names if name and name not in known]
    if fresh:
        lines.append(f"{ip}\t{' '.join(fresh)}")


def resolv_conf_text(network: Network) -> str:
    """/etc/resolv.conf of a container on this machine."""
    if network.driver == "none":
        return ""
    base = _read(_RESOLV_CONF)
    if _SYSTEMD_STUB in _values(base, "nameserver") and network.driver != "host":
        base = _read(_SYSTEMD_RESOLV_CONF) or base
    return build_resolv_conf(network, drivers.by_name(network.driver).address(network), base)


def build_resolv_conf(network: Network, address: Address, base: str) -> str:
    """The user's words where there are any, else the driver's name server and those of the host.

    The container cannot reach name servers on the host's loopback addresses; the driver's forwards to them.
    """
    searches = network.dns_search or tuple(_last(base, "search"))
    options = network.dns_options or tuple(_last(base, "options"))
    lines = []
    if searches and "." not in searches:
        lines.append(f"search {' '.join(searches)}")
    lines += [f"nameserver {server}" for server in _servers(network, address, base)]
    if options:
        lines.append(f"options {' '.join(options)}")
    return "".join([f"{line}\n" for line in lines])


def _servers(network: Network, address: Address, base: str) -> "tuple[str, ...]":
    if network.dns:
        return network.dns
    servers = _values(base, "nameserver")
    if network.driver != "host":
        servers = [server for server in servers if not _is_loopback(server)]
    found = tuple(dict.fromkeys((*address.dns, *servers)))
    return found or _FALLBACK_SERVERS


def _is_loopback(server: str) -> bool:
    return server.startswith("127.") or server.partition("%")[0] == "::1"


def _values(text: str, keyword: str) -> "list[str]":
    """The first word after each `keyword` of a resolv.conf."""
    rows = [line.split() for line in text.splitlines()]
    return [fields[1] for fields in rows if len(fields) > 1 and fields[0] == keyword]


def _last(text: str, keyword: str) -> "list[str]":
    """The words of the last line with `keyword`: the one that resolv.conf(5) says counts."""
    rows = [line.split() for line in text.splitlines()]
    found = [fields[1:] for fields in rows if fields and fields[0] == keyword]
    return found[-1] if found else []


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
