import socket

import pytest

from pyctr.net import ports
from pyctr.net.model import PortMapping
from pyctr.rootless.errors import PyctrError

M = PortMapping


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("80", M("", 0, 80)),
        ("8080:80", M("", 8080, 80)),
        (":80", M("", 0, 80)),
        ("8080:80/udp", M("", 8080, 80, "udp")),
        ("8080:80/TCP", M("", 8080, 80)),
        ("127.0.0.1:8080:80", M("127.0.0.1", 8080, 80)),
        ("127.0.0.1::80", M("127.0.0.1", 0, 80)),
        ("[::1]:8080:80", M("::1", 8080, 80)),
        ("[0:0:0:0:0:0:0:1]::80/udp", M("::1", 0, 80, "udp")),
        ("8000-8003:80-83", M("", 8000, 80, "tcp", 4)),
        ("80-83", M("", 0, 80, "tcp", 4)),
        ("0.0.0.0:1-65535:1-65535", M("0.0.0.0", 1, 1, "tcp", 65535)),
    ],
)
def test_published_ports_are_read(text: str, mapping: PortMapping) -> None:
    assert ports.parse_publish(text) == mapping


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "invalid port number"),
        ("abc:80", 'host port: invalid port number: "abc"'),
        ("80:abc", 'container port: invalid port number: "abc"'),
        ("٣:80", "invalid port number"),
        ("-1:80", "invalid port number"),
        ("80:", "container port"),
        ("70000:80", "between 1 and 65535 (inclusive), got 70000"),
        ("0:80", "between 1 and 65535"),
        ("8000-8010:80", "different lengths: 11 vs 1"),
        ("8000:80-81", "different lengths: 1 vs 2"),
        ("9-8", "is below its start"),
        ("80/xxx", 'unrecognized protocol "xxx"'),
        ("80/", 'unrecognized protocol ""'),
        ("80/sctp", "sctp"),
        ("80/tcp/udp", 'unrecognized protocol "tcp/udp"'),
        ("1.2.3:80:80", 'cannot parse "1.2.3" as an IP address'),
        (":80:80", 'cannot parse "" as an IP address'),
        ("::1:80:80", "too many colons"),
        ("[::1]:80", "must be followed"),
        ("[::1:80:80", "must be followed"),
        ("[1.2.3.4]:80:80", 'cannot parse "1.2.3.4"'),
    ],
)
def test_wrong_words_are_named_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(PyctrError) as caught:
        ports.parse_publish(text)
    assert repr(text) in caught.value.message
    assert why in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "exposed"),
    [
        ("80", ("80/tcp",)),
        ("53/udp", ("53/udp",)),
        ("9/SCTP", ("9/sctp",)),
        ("3000-3002", ("3000/tcp", "3001/tcp", "3002/tcp")),
    ],
)
def test_exposed_ports_are_read(text: str, exposed: tuple[str, ...]) -> None:
    assert ports.parse_expose(text) == exposed


@pytest.mark.parametrize("text", ["", "abc", "80/foo", "0", "99999", "5-3", "80-", "-80", "80/"])
def test_wrong_exposed_ports_are_refused(text: str) -> None:
    with pytest.raises(PyctrError, match="invalid range format for --expose"):
        ports.parse_expose(text)


def test_publish_all_adds_what_is_not_published_yet() -> None:
    published = (M("", 8080, 80, "tcp", 2),)
    assert ports.publish_all(("80/tcp", "81/tcp", "80/udp", "90/tcp", "90/tcp"), published) == (
        *published,
        M("", 0, 80, "udp"),
        M("", 0, 90),
    )


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (M("", 8080, 80), "0.0.0.0:8080->80/tcp"),
        (M("127.0.0.1", 53, 5353, "udp"), "127.0.0.1:53->5353/udp"),
        (M("::1", 8000, 80, "tcp", 3), "[::1]:8000-8002->80-82/tcp"),
    ],
)
def test_mappings_are_described_as_podman_does(mapping: PortMapping, words: str) -> None:
    assert ports.describe(mapping) == words


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("8080:80", "8080:81", True),
        ("8080:80", "127.0.0.1:8080:81", True),
        ("127.0.0.1:8080:80", "127.0.0.2:8080:81", False),
        ("8080:80", "8080:80/udp", False),
        ("8080-8085:80-85", "8085:90", True),
        ("8080-8085:80-85", "8086:90", False),
        ("80", "80", False),
    ],
)
def test_two_mappings_cannot_have_one_host_port(one: str, other: str, conflict: bool) -> None:
    both = (ports.parse_publish(one), ports.parse_publish(other))
    if conflict:
        with pytest.raises(PyctrError, match="conflicting port mappings"):
            ports.refuse_overlaps(both)
    else:
        ports.refuse_overlaps(both)


@pytest.mark.parametrize(("kind", "protocol"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_port_in_use_is_found(
    kind: socket.SocketKind, protocol: str, family: socket.AddressFamily
) -> None:
    with socket.socket(family, kind) as taken:
        taken.bind(("", 0))
        if protocol == "tcp":
            taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(PyctrError, match=f":{number}: bind: address already in use"):
            ports.check_free((M("", number, 80, protocol),))


def test_a_port_whose_last_connection_waits_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", number)) as client:
            server.accept()[0].close()
            assert client.recv(1) == b""
    ports.check_free((M("127.0.0.1", number, 80),))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(
        PyctrError, match="203.0.113.9:8080: bind: cannot assign requested address"
    ) as caught:
        ports.check_free((M("203.0.113.9", 8080, 80),))
    assert "ip address" in str(caught.value.hint)


def test_privileged_ports_are_refused_with_the_sysctl() -> None:
    start = ports.unprivileged_port_start()
    if start < 2:
        pytest.skip("this machine has no privileged ports")
    with pytest.raises(PyctrError, match="cannot expose privileged port 1: .*permission denied") as caught:
        ports.check_free((M("", 1, 80),))
    assert "sysctl net.ipv4.ip_unprivileged_port_start=1" in str(caught.value.hint)


def test_free_ports_are_chosen_and_the_others_kept() -> None:
    asked = (M("127.0.0.1", 0, 80), M("", 0, 53, "udp", 3), M("", 0, 80, "tcp", 4))
    chosen = ports.choose_ports(asked)
    assert [each.replace(host_port=0) for each in chosen] == list(asked)
    assert all(each.host_port > 0 for each in chosen)
    ports.check_free(chosen)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("pasta", ("pasta", ())),
        ("pasta:-t,auto,--map-gw", ("pasta", ("-t", "auto", "--map-gw"))),
        ("slirp4netns:mtu=1500,cidr=10.5.0.0/16", ("slirp4netns", ("mtu=1500", "cidr=10.5.0.0/16"))),
        ("host", ("host", ())),
        ("none", ("none", ())),
    ],
)
def test_networks_are_read(text: str, network: tuple[str, tuple[str, ...]]) -> None:
    assert ports.parse_network(text) == network


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bridge", "bridge is not supported yet"),
        ("bridge:ip=10.0.0.2", "bridge is not supported yet"),
        ("container:abc", "container is not supported yet"),
        ("ns:/proc/1/ns/net", "ns is not supported yet"),
        ("foobar", "unable to find network with name or ID foobar: network not found"),
        ("host:x", "host takes no options"),
        ("slirp4netns:foo=bar", "unknown option for slirp4netns: 'foo=bar'"),
    ],
)
def test_other_networks_are_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(PyctrError, match=why):
        ports.parse_network(text)


@pytest.mark.parametrize("text", ["", "default", "private"])
def test_the_default_network_has_a_helper(text: str) -> None:
    assert ports.parse_network(text)[0] in ("pasta", "slirp4netns")
