import os
import pathlib

import pytest

from pyctr.net import drivers, pasta, slirp4netns
from pyctr.net.model import Address, Network, PortMapping
from pyctr.rootless import processes
from pyctr.rootless.errors import PyctrError

NOTHING_FORWARDED = ("-t none", "-u none", "-T none", "-U none", "--no-map-gw")


def words(network: Network, *, maps_guest: bool = False) -> str:
    return " ".join(pasta.arguments(network, maps_guest=maps_guest)) + " "


def test_pasta_forwards_nothing_unless_asked() -> None:
    text = words(Network("pasta"))
    assert all(f"{word} " in text for word in NOTHING_FORWARDED)
    assert "--foreground --config-net " in text


def test_pasta_is_given_the_published_ports() -> None:
    mappings = (
        PortMapping("", 8080, 80),
        PortMapping("127.0.0.1", 9000, 90, "tcp", 3),
        PortMapping("::1", 53, 53, "udp"),
    )
    text = words(Network("pasta", ports=mappings))
    assert "-t 8080-8080:80-80 -t 127.0.0.1/9000-9002:90-92 -u ::1/53-53:53-53 " in text
    assert "-t none" not in text
    assert "-u none" not in text
    assert "-T none -U none " in text


def test_pasta_options_of_the_user_replace_ours() -> None:
    options = (
        "--map-gw",
        "-T",
        "5201",
        "--dns-forward",
        "10.0.2.3",
        "--debug",
        "--map-guest-addr",
        "10.0.2.9",
    )
    text = words(Network("pasta", options), maps_guest=True)
    assert "map-gw" not in text
    assert "-T none" not in text
    assert "--quiet" not in text
    assert text.count("--dns-forward") == text.count("--map-guest-addr") == 1


def test_a_newer_pasta_has_an_address_for_the_host() -> None:
    assert f"--map-guest-addr {pasta.MAP_GUEST} " in words(Network("pasta"), maps_guest=True)


def test_addresses_follow_the_options_of_pasta() -> None:
    options = "-I tap0 -a 10.0.2.100 -n 24 -g 10.0.2.2 -4 --map-guest-addr 10.0.2.7 --dns-forward 10.0.2.3"
    assert pasta.address(Network("pasta", tuple(options.split()))) == Address(
        "tap0", "10.0.2.100", 24, "10.0.2.2", host="10.0.2.7", dns=("10.0.2.3",)
    )


@pytest.mark.parametrize(
    ("said", "told", "hint"),
    [
        (
            "Failed to send 54 bytes to syslog\nFailed to bind any port for '-t 71:71', exiting\n",
            "Failed to bind any port for '-t 71:71', exiting",
            "Publish another port",
        ),
        (
            "pasta: unrecognized option '--foo'\nUsage: pasta [OPTION]\n-d be verbose",
            "unrecognized option '--foo'",
            "pasta\\(1\\)",
        ),
        ("", "it said nothing", "slirp4netns"),
    ],
)
def test_what_pasta_said_is_told(said: str, told: str, hint: str) -> None:
    error = drivers.explain_failure(Network("pasta"), said)
    assert error.message == f"pasta could not set up the container's network: {told}"
    assert error.hint is not None
    assert hint.replace("\\", "") in error.hint


def test_what_slirp4netns_said_is_told() -> None:
    said = (
        "WARNING: Support for seccomp is experimental\nopen(/dev/net/tun): No such file\nchild failed(1)\n"
    )
    error = drivers.explain_failure(Network("slirp4netns"), said)
    assert error.message.endswith("network: open(/dev/net/tun): No such file")
    assert "module tun" in str(error.hint)


def test_slirp4netns_keeps_the_container_from_the_hosts_loopback() -> None:
    text = slirp4netns.arguments(slirp4netns.Settings(), seccomp=True)
    assert text == (
        "--configure",
        "--mtu=65520",
        "--enable-sandbox",
        "--enable-seccomp",
        "--disable-host-loopback",
        "--enable-ipv6",
    )


def test_options_of_slirp4netns_are_passed_on() -> None:
    options = (
        "allow_host_loopback=true,mtu=1500,cidr=10.5.0.0/16,enable_ipv6=false,"
        "outbound_addr=192.0.2.2,outbound_addr6=eth0,port_handler=rootlesskit"
    )
    settings = slirp4netns.parse_options(tuple(options.split(",")))
    assert slirp4netns.arguments(settings, seccomp=False) == (
        "--configure",
        "--mtu=1500",
        "--enable-sandbox",
        "--cidr=10.5.0.0/16",
        "--outbound-addr=192.0.2.2",
        "--outbound-addr6=eth0",
    )


@pytest.mark.parametrize(
    "option",
    [
        *(
            "foo=bar",
            "mtu=big",
            "mtu=0",
            "mtu=70000",
            "mtu",
            "cidr=10.0.2.0",
            "cidr=10.0.2.0/26",
            "cidr=fd00::/64",
        ),
        *("cidr=10.0.2.1/24", "cidr=10.2/16", "enable_ipv6=yes", "port_handler=other", "outbound_addr="),
    ],
)
def test_wrong_options_of_slirp4netns_are_refused_by_name(option: str) -> None:
    with pytest.raises(PyctrError) as caught:
        slirp4netns.parse_options((option,))
    assert repr(option) in caught.value.message


def test_addresses_follow_the_network_of_slirp4netns() -> None:
    network = Network("slirp4netns", ("cidr=10.5.0.0/16", "allow_host_loopback=true"))
    assert slirp4netns.address(network) == Address(
        "tap0", "10.5.0.100", 16, "10.5.0.2", host="10.5.0.2", dns=("10.5.0.3",)
    )


def test_a_long_runtime_folder_does_not_hinder_the_api_socket(tmp_path: pathlib.Path) -> None:
    if processes.find_executable("slirp4netns") is None:
        pytest.skip("slirp4netns is not installed")
    network = Network("slirp4netns", ports=(PortMapping("127.0.0.1", 54321, 80),))
    plan = slirp4netns.helper(network, f"{tmp_path}/{'x' * 90}")
    folder = os.path.dirname(plan.api_socket)
    assert len(os.fsencode(plan.api_socket)) < 108
    assert os.stat(folder).st_mode & 0o777 == 0o700
    with pytest.raises(PyctrError, match="does not answer"):
        slirp4netns.after_ready(plan, network, os.getpid())
    assert not os.path.exists(folder)


def test_a_missing_helper_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "find_executable", lambda name, path=None: None)
    with pytest.raises(PyctrError, match="pasta is not installed") as caught:
        drivers.by_name("pasta").helper(Network("pasta"), "/nowhere")
    assert "passt" in str(caught.value.hint)
    with pytest.raises(PyctrError, match="no network helper is installed") as caught:
        drivers.default_name()
    assert "slirp4netns" in str(caught.value.hint)


def program(folder: pathlib.Path, name: str, content: str) -> None:
    file = folder / name
    file.write_text(content)
    file.chmod(0o755)


@pytest.mark.parametrize(
    ("installed", "default"),
    [
        ({"pasta": "--map-guest-addr", "slirp4netns": ""}, "pasta"),
        ({"pasta": "old", "slirp4netns": ""}, "slirp4netns"),
        ({"pasta": "old"}, "pasta"),
        ({"slirp4netns": ""}, "slirp4netns"),
    ],
)
def test_the_default_is_the_best_helper_that_is_installed(
    installed: dict[str, str], default: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in installed.items():
        program(tmp_path, name, content)
    monkeypatch.setattr(processes, "_DEFAULT_PATH", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert drivers.default_name() == default


@pytest.mark.parametrize("name", ["none", "host"])
def test_some_networks_need_no_helper(name: str) -> None:
    driver = drivers.by_name(name)
    assert driver.helper(Network(name), "/nowhere") is None
    assert driver.address(Network(name)).ipv4 == ("127.0.0.1" if name == "none" else "")


def test_an_unknown_driver_is_an_error() -> None:
    with pytest.raises(PyctrError, match="'token-ring'"):
        drivers.by_name("token-ring")
