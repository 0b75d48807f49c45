"""The rows of `ps`: what its columns, templates and JSON show of a container."""

import os
import time

from pyctr.engine import timestamps
from pyctr.engine.listing import BROKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.engine.listing import Listed
    from pyctr.net.model import PortMapping

_NEVER = -62135596800  # Go's zero time in Unix seconds
_COMMAND_WIDTH = 17
_NAMESPACES = {
    **{"CGROUPNS": "cgroup", "IPC": "ipc", "MNT": "mnt", "NET": "net", "PIDNS": "pid"},
    **{"USERNS": "user", "UTS": "uts"},
}


def row(each: "Listed", options: "Options", size: "tuple[int, int] | None") -> "dict[str, Any]":
    """The fields that tables and templates show: podman-ps(1), --format."""
    summary, now = each.summary, time.time_ns()
    created = timestamps.ago(summary.created, now) if summary.created else ""
    fields: dict[str, Any] = {
        "ID": cut(each.id, options),
        "Image": summary.image_name,
        "ImageID": cut(summary.image, options),
        "Command": command(each, options),
        "CreatedHuman": created,
        "RunningFor": created,
        "Status": status(each, now),
        "Ports": ports_text(each),
        "Names": summary.name,
    }
    if options.namespace:
        fields.update(namespaces(each.pid))
        fields["Pid"] = each.pid
    if options.format:
        fields.update(more_fields(each))
    if size is not None:
        fields["Size"] = f"{bytes_text(size[0])} (virtual {bytes_text(size[1])})"
    return fields


def more_fields(each: "Listed") -> "dict[str, Any]":
    """Fields that only templates show."""
    summary, state = each.summary, each.state
    created = timestamps.go_text(summary.created)
    return {
        "AutoRemove": summary.ephemeral,
        "CIDFile": "",
        "Created": created,
        "CreatedAt": created,
        "ExitCode": state.exit_code,
        "Exited": each.status == "exited",
        "ExitedAt": seconds(state.finished),
        "ExposedPorts": exposed(each),
        "IsInfra": False,
        "Label": lambda key: summary.labels.get(key, ""),
        "Labels": summary.labels,
        "Mounts": ",".join(mounts(each)),
        "Networks": ",".join(networks(each)),
        "Pid": each.pid,
        "Pod": "",
        "PodName": "",
        "Restarts": state.restarts,
        "StartedAt": seconds(state.started),
        "State": each.status,
        **namespaces(each.pid),
    }


def json_row(each: "Listed", options: "Options", size: "tuple[int, int] | None") -> "dict[str, Any]":
    """One element of `ps --format json`, in podman's shape."""
    summary, state, now = each.summary, each.state, time.time_ns()
    return {
        "AutoRemove": summary.ephemeral,
        "Command": [*summary.entrypoint, *summary.command],
        "CreatedAt": timestamps.ago(summary.created, now),
        "Exited": each.status == "exited",
        "ExitedAt": seconds(state.finished),
        "ExitCode": state.exit_code,
        "ExposedPorts": exposed(each) or None,
        "Id": each.id,
        "Image": summary.image_name,
        "ImageID": summary.image,
        "IsInfra": False,
        "Labels": summary.labels or None,
        "Mounts": mounts(each),
        "Names": [summary.name] if summary.name else [],
        "Namespaces": {key: value for key, value in namespaces(each.pid).items() if value}
        if options.namespace
        else {},
        "Networks": networks(each),
        "Pid": each.pid,
        "Pod": "",
        "PodName": "",
        "Ports": [port_json(port) for port in sorted_ports(each)] or None,
        "Restarts": state.restarts,
        "Size": {"rootFsSize": size[1], "rwSize": size[0]} if size else None,
        "StartedAt": seconds(state.started),
        "State": each.status,
        "Status": status(each, now),
        "Created": summary.created // 10**9,
    }


def cut(identifier: str, options: "Options") -> str:
    return identifier if options.no_trunc else identifier[:12]


def command(each: "Listed", options: "Options") -> str:
    text = " ".join([*each.summary.entrypoint, *each.summary.command])
    return text if options.no_trunc or len(text) <= _COMMAND_WIDTH else text[:_COMMAND_WIDTH] + "..."


def status(each: "Listed", now: int) -> str:
    """Up 5 minutes, Exited (0) 3 minutes ago, Created, ..."""
    if each.status == "running":
        return f"Up {timestamps.human((now - each.state.started) / 1e9)}"
    if each.status == "exited":
        return f"Exited ({each.state.exit_code}) {timestamps.ago(each.state.finished, now)}"
    return BROKEN if each.status == BROKEN else each.status.capitalize()


def seconds(moment: int) -> int:
    return moment // 10**9 if moment else _NEVER


def sorted_ports(each: "Listed") -> "list[PortMapping]":
    """The published ports by address, protocol and port of the container."""
    ports = each.summary.network.ports
    return sorted(ports, key=lambda port: (port.host_ip, port.protocol, port.container_port))


def ports_text(each: "Listed") -> str:
    """Published ports, then those that are only exposed; neighbours as ranges: podman-ps(1)."""
    published = sorted_ports(each)
    taken = {(port.protocol, port.container_port + n) for port in published for n in range(port.length)}
    rest = sorted({(protocol, number) for number, protocol in exposed_ports(each)} - taken)
    texts = [published_text(port) for port in published]
    return ", ".join(texts + [exposed_text(*neighbours) for neighbours in ranges(rest)])


def published_text(port: "PortMapping") -> str:
    host, inside, last = port.host_ip or "0.0.0.0", port.container_port, port.length - 1
    if ":" in host:
        host = f"[{host}]"
    if not last:
        return f"{host}:{port.host_port}->{inside}/{port.protocol}"
    return f"{host}:{port.host_port}-{port.host_port + last}->{inside}-{inside + last}/{port.protocol}"


def exposed_text(protocol: str, first: int, last: int) -> str:
    return f"{first}/{protocol}" if first == last else f"{first}-{last}/{protocol}"


def ranges(ports: "list[tuple[str, int]]") -> "list[tuple[str, int, int]]":
    """(protocol, first, last) of neighbours in a sorted list of (protocol, number)."""
    found: list[tuple[str, int, int]] = []
    for protocol, number in ports:
        if found and found[-1][0] == protocol and found[-1][2] == number - 1:
            found[-1] = (protocol, found[-1][1], number)
        else:
            found.append((protocol, number, number))
    return found


def exposed_ports(each: "Listed") -> "list[tuple[int, str]]":
    """Number and protocol of each exposed port: 80/tcp, 8000-8002/udp."""
    found = []
    for text in each.summary.network.exposed:
        numbers, _, protocol = text.partition("/")
        first, _, last = numbers.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            found += [(number, protocol or "tcp") for number in range(int(first), int(last or first) + 1)]
    return found


def exposed(each: "Listed") -> "dict[str, list[str]]":
    """Number -> protocols."""
    found: dict[str, list[str]] = {}
    for number, protocol in exposed_ports(each):
        found.setdefault(str(number), []).append(protocol)
    return found


def port_json(port: "PortMapping") -> "dict[str, Any]":
    return {
        "host_ip": port.host_ip,
        "container_port": port.container_port,
        "host_port": port.host_port,
        "range": port.length,
        "protocol": port.protocol,
    }


def mounts(each: "Listed") -> "list[str]":
    from pyctr.engine.inspectconfig import user_mounts

    return [mount.target for mount in user_mounts(each.summary.mounts)]


def networks(each: "Listed") -> "list[str]":
    """The networks with a name that a container is on: one of its own driver has none, as in podman."""
    return []


def namespaces(pid: int) -> "dict[str, str]":
    """The inodes of the namespaces of a process; empty where it does not run or may not be looked at."""
    return {heading: namespace(pid, name) if pid else "" for heading, name in _NAMESPACES.items()}


def namespace(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/{name}").partition("[")[2].rstrip("]")
    except OSError:
        return ""


def bytes_text(size: float) -> str:
    """A size in powers of 1000 with three digits: 12B, 1.98MB."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g}{units[0]}"
