import pytest

from pyctr.net.model import Address, Network
from pyctr.net.names import build_hosts, build_resolv_conf, hosts_text, resolv_conf_text
from pyctr.rootless.errors import PyctrError

BASE = "127.0.0.1 localhost # this one\n# nothing\n\n127.0.0.1\tvm  runsc\nalone\n"
ADDRESS = Address("tap0", "10.0.2.100", 24, "10.0.2.2", host="192.0.2.2", dns=("10.0.2.3",))
SLIRP = Network("slirp4netns")


def test_hosts_file_has_the_parts_of_podmans_in_its_order() -> None:
    network = SLIRP.replace(extra_hosts=("a:1.2.3.4", "b:fd00::5"))
    assert build_hosts(network, ADDRESS, BASE, "hh", "foo") == (
        "1.2.3.4\ta\n"
        "fd00::5\tb\n"
        "127.0.0.1\tlocalhost\n"
        "127.0.0.1\tvm runsc\n"
        "192.0.2.2\thost.containers.internal host.docker.internal\n"
        "10.0.2.100\thh foo\n"
    )


def test_names_that_the_user_gave_an_address_are_left_to_it() -> None:
    network = SLIRP.replace(extra_hosts=("foo:7.7.7.7", "host.docker.internal:8.8.8.8"))
    text = build_hosts(network, ADDRESS, BASE, "hh", "foo")
    assert text.endswith("192.0.2.2\thost.containers.internal\n10.0.2.100\thh\n")


def test_a_name_that_is_the_hostname_is_written_once() -> None:
    assert build_hosts(SLIRP, ADDRESS, BASE, "foo", "foo").endswith("10.0.2.100\tfoo\n")


def test_both_families_are_told() -> None:
    address = Address("eth0", "192.0.2.2", ipv6="fd00::2")
    assert build_hosts(Network("pasta"), address, "", "hh", "foo") == (
        "127.0.0.1\tlocalhost\n::1\tlocalhost\n192.0.2.2\thh foo\nfd00::2\thh foo\n"
    )


def test_with_the_hosts_network_the_hosts_names_stay() -> None:
    text = build_hosts(Network("host"), Address(host="192.0.2.2"), BASE, "vm", "foo")
    assert text.endswith("192.0.2.2\thost.containers.internal host.docker.internal\n")
    assert "foo" not in text


def test_host_gateway_is_the_address_of_the_host() -> None:
    network = SLIRP.replace(extra_hosts=("me:host-gateway",))
    assert build_hosts(network, ADDRESS, "", "hh", "foo").startswith("192.0.2.2\tme\n")
    with pytest.raises(PyctrError, match="me:host-gateway"):
        build_hosts(network, ADDRESS.replace(host=""), "", "hh", "foo")


RESOLV = (
    "# comment\nnameserver 127.0.0.1\nnameserver 10.1.1.1\nnameserver ::1\nsearch a.b c.d\noptions ndots:2\n"
)


def test_the_drivers_name_server_is_first_and_loopback_ones_are_left_out() -> None:
    assert build_resolv_conf(SLIRP, ADDRESS, RESOLV) == (
        "search a.b c.d\nnameserver 10.0.2.3\nnameserver 10.1.1.1\noptions ndots:2\n"
    )


def test_the_hosts_network_keeps_loopback_servers() -> None:
    text = build_resolv_conf(Network("host"), Address(), RESOLV)
    assert "nameserver 127.0.0.1\nnameserver 10.1.1.1\nnameserver ::1\n" in text


def test_the_users_words_replace_those_of_the_host() -> None:
    network = SLIRP.replace(dns=("9.9.9.9",), dns_search=("x.y", "z"), dns_options=("ndots:3",))
    assert build_resolv_conf(network, ADDRESS, RESOLV) == (
        "search x.y z\nnameserver 9.9.9.9\noptions ndots:3\n"
    )


def test_a_dot_removes_the_search_domains() -> None:
    assert "search" not in build_resolv_conf(SLIRP.replace(dns_search=(".",)), ADDRESS, RESOLV)


def test_a_machine_without_usable_servers_gets_public_ones() -> None:
    assert "nameserver 8.8.8.8\n" in build_resolv_conf(Network("pasta"), Address(), "nameserver 127.0.0.1\n")


def test_no_network_has_no_name_server() -> None:
    assert resolv_conf_text(Network("none")) == ""
    assert hosts_text(Network("none"), "hh", "foo").endswith("127.0.0.1\thh foo\n")
