"""The network of real containers, from pyctr's command line."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import urllib.request
from typing import Any

import pytest

from tests.commands import Cli
from tests.net.sandbox import Namespaces

DRIVERS = ("pasta", "slirp4netns")
every_driver = pytest.mark.parametrize("driver", DRIVERS)
SERVER = ("sh", "-c", "httpd -p 8080 -h /www && echo up && exec cat")


def serve(cli: Cli, busybox: str, driver: str, *options: str) -> str:
    """The id of a container with a web server on 8080, once that listens."""
    container = cli("run", "-d", "-i", "--network", driver, *options, busybox, *SERVER).stdout.strip()
    follower = cli.start("logs", "-f", container, stdout=subprocess.PIPE)
    assert follower.stdout is not None
    assert follower.stdout.readline() == "up\n"
    return container


def state_of(cli: Cli, container: str) -> "dict[str, Any]":
    state: dict[str, Any] = json.loads(
        pathlib.Path(cli.store.container(container), "state.json").read_text()
    )
    return state


def published(cli: Cli, container: str, port: str) -> int:
    return int(cli("port", container, port).stdout.split()[0].rpartition(":")[2])


@every_driver
def test_a_published_port_is_fetched(cli: Cli, busybox: str, driver: str) -> None:
    container = serve(cli, busybox, driver, "-p", "127.0.0.1::8080")
    url = f"http://127.0.0.1:{published(cli, container, '8080')}/index.html"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.status == 200


@every_driver
def test_a_published_udp_port_answers_and_nothing_stays_behind(cli: Cli, busybox: str, driver: str) -> None:
    container = serve(cli, busybox, driver, "-p", "127.0.0.1:25353:25353/udp")
    namespaces = Namespaces(state_of(cli, container)["process"]["pid"])
    with namespaces.datagrams(25353) as inner, socket.socket(type=socket.SOCK_DGRAM) as outer:
        outer.settimeout(10)
        outer.sendto(b"word", ("127.0.0.1", 25353))
        word, peer = inner.recvfrom(99)
        inner.sendto(word + b" back", peer)
        assert outer.recv(99) == b"word back"
    cli("rm", "-f", "-t", "0", container)


@every_driver
def test_the_helpers_die_with_the_monitor(cli: Cli, busybox: str, driver: str) -> None:
    container = serve(cli, busybox, driver, "-p", "127.0.0.1:25354:25354/udp")
    os.kill(state_of(cli, container)["monitor"]["pid"], signal.SIGKILL)
    # the fixture complains about a process that lives on


def test_the_names_of_the_container_and_of_others(cli: Cli, busybox: str) -> None:
    words = ("--hostname", "hh", "--name", "foo", "--add-host", "db;cache:10.9.9.9", "--dns", "9.9.9.9")
    run = (
        "run",
        "--rm",
        "--network",
        "slirp4netns",
        *words,
        busybox,
        "cat",
        "/etc/hosts",
        "/etc/resolv.conf",
    )
    lines = cli(*run).stdout.splitlines()
    assert "10.0.2.100\thh foo" in lines
    assert "10.9.9.9\tdb" in lines
    assert "10.9.9.9\tcache" in lines
    assert lines[-1] == "nameserver 9.9.9.9"


def test_the_host_is_reached_by_its_name(cli: Cli, busybox: str) -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(20)
        port = server.getsockname()[1]
        running = cli.start(
            *("run", "--rm", "--network", "slirp4netns", busybox),
            *("nc", "host.containers.internal", str(port)),
            stdin=subprocess.DEVNULL,
        )
        connection, _ = server.accept()
        connection.close()
        assert running.wait(20) == 0


def test_a_helper_that_fails_is_told_with_its_words(cli: Cli, busybox: str) -> None:
    done = cli("run", "--rm", "--network", "pasta:--nonsense", busybox, "true", check=False)
    assert done.returncode == 125
    assert "Error: pasta could not set up the container's network" in done.stderr
    assert "--nonsense" in done.stderr


def test_ports_are_published_from_a_runtime_folder_with_a_long_name(cli: Cli, busybox: str) -> None:
    long = f"{cli.store.runroot}/{'x' * 100}"
    command = ("run", "--rm", "--network", "slirp4netns", "-p", "127.0.0.1::8080", busybox, "echo", "up")
    assert cli("--runroot", long, *command).stdout == "up\n"
