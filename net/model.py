"""Values that describe how a container is reached."""

from pyctr.rootless.values import Value


class PortMapping(Value):
    """One published range of ports: `length` ports from `host_port` on `host_ip` (empty: every address)."""

    host_ip: str
    host_port: int
    container_port: int
    protocol: str = "tcp"
    length: int = 1


class Network(Value):
    """How the container is reached and what it reaches. `driver`: pasta, slirp4netns, slirpnetstack, none,
    host, container.
    """

    driver: str = "none"
    options: tuple[str, ...] = ()  # what followed the colon of --network
    ports: tuple[PortMapping, ...] = ()
    exposed: tuple[str, ...] = ()  # "80/tcp", only told
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()  # "name:ip"
    manage_hosts: bool = True  # --no-hosts clears it
    manage_resolv_conf: bool = True  # --dns none clears it


class Address(Value):
    """Where a container is on its network, as far as it is known before it runs; empty is unknown or none.

    `host`: under which address the container reaches the host; `dns`: name servers that the driver offers.
    """

    interface: str = ""
    ipv4: str = ""
    ipv4_prefix: int = 0
    ipv4_gateway: str = ""
    ipv6: str = ""
    ipv6_prefix: int = 0
    ipv6_gateway: str = ""
    mac: str = ""
    host: str = ""
    dns: tuple[str, ...] = ()


class Helper(Value):
    """The process that carries a container's network, as the monitor starts it.

    In `argv` the word {pid} stands for a process in the container's network and user namespaces, {ready_fd}
    for a descriptor that the helper writes to when it is ready. `ready` is fd (wait for that byte) or route
    (init waits for the default routes of `families`: inet, inet6). `api_socket` is where ports are asked for
    once it is ready (slirp4netns).
    """

    argv: tuple[str, ...]
    ready: str
    api_socket: str = ""
    families: tuple[str, ...] = ()
