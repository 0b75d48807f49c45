import json
import subprocess
from typing import Any

import pytest

from pyctr.net import uplink
from tests.net.sandbox import Sandbox


def ask(*words: str) -> "list[dict[str, Any]]":
    done = subprocess.run(["ip", "-json", *words], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def test_the_uplink_is_the_one_that_ip_tells() -> None:
    routes = ask("route", "show", "default")
    found = uplink.find_uplink()
    if not routes:
        assert found.ipv4 == ""
        return
    assert (found.interface, found.ipv4_gateway) == (routes[0]["dev"], routes[0]["gateway"])
    addresses = ask("-4", "address", "show", "dev", found.interface)[0]["addr_info"]
    assert (found.ipv4, found.ipv4_prefix) in [(each["local"], each["prefixlen"]) for each in addresses]


def test_the_ipv6_uplink_is_the_one_that_ip_tells() -> None:
    routes = [each for each in ask("-6", "route", "show", "default") if each.get("dev") != "lo"]
    found = uplink.find_uplink()
    if not found.ipv6:
        pytest.skip("this machine has no single global IPv6 address")
    assert found.ipv6_gateway == routes[0]["gateway"]
    addresses = ask("-6", "address", "show", "scope", "global")
    assert found.ipv6 in [each.get("local") for link in addresses for each in link.get("addr_info", ())]


def test_another_address_is_another_address() -> None:
    own = uplink.local_address()
    assert own == uplink.find_uplink().ipv4 or not own.startswith("127.")
    assert uplink.local_address(other_than=own) != own or not own


def test_a_lonely_namespace_has_no_uplink() -> None:
    def look() -> None:
        assert uplink.find_uplink() == uplink.Uplink()
        assert uplink.local_address() == ""
        assert not uplink.has_ipv6()

    sandbox = Sandbox()
    try:
        sandbox.call(look)
    finally:
        sandbox.close()
