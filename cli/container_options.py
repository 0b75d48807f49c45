"""The options of `run` and `create`: every one of podman-run(1) and podman-create(1), version 5.8.

Those that pyctr does not have yet are listed without words: they are refused by name, never ignored.
"""

from pyctr.cli.tables import Argument, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.engine.request import Request
    from pyctr.storage.paths import Store

_PULL = ("always", "missing", "never", "newer")

ARGUMENTS = (Argument("IMAGE", 1, 1, "image"), Argument("COMMAND [ARG...]", 0, -1))

HEADINGS = (
    ("--entrypoint", "Command"),
    ("--name", "Container"),
    ("--pull", "Image"),
    ("--volume", "Files"),
    ("--network", "Network"),
    ("--cap-add", "Isolation"),
    ("--log-driver", "Output"),
)

_SHARED = (
    Option(
        ("--entrypoint",),
        "What is executed before the command's words: one word, or a JSON array",
        "text",
        "COMMAND",
    ),
    Option(
        ("--env", "-e"),
        "Set a variable; without a value the host's is taken, and NAME* takes all that match",
        "list",
        "NAME[=VALUE]",
    ),
    Option(("--env-file",), "Read variables from a file, one a line", "list", "FILE", complete="file"),
    Option(("--env-host",), "Pass on all variables of the host"),
    Option(
        ("--env-merge",),
        "Set a variable from those of the image, as in PATH=${PATH}:/app",
        "list",
        "NAME=VALUE",
    ),
    Option(("--unsetenv",), "Leave out a variable of the image", "list", "NAME"),
    Option(("--unsetenv-all",), "Leave out all variables of the image"),
    Option(("--http-proxy",), "Pass on the proxy variables of the host", default=True),
    Option(("--workdir", "-w"), "Folder in the container that the command starts in", "text", "FOLDER"),
    Option(("--user", "-u"), "User, and group, of the command: names or numbers", "text", "USER[:GROUP]"),
    Option(("--group-add",), "Further groups of the user", "list", "GROUP"),
    Option(("--umask",), "Octal umask of the command", "text", "UMASK"),
    Option(("--ulimit",), "Resource limit, or 'host' for those of the caller", "list", "NAME=SOFT[:HARD]"),
    Option(
        ("--oom-score-adj",),
        "How soon the kernel ends it when memory runs out: -1000 to 1000",
        "int",
        "NUMBER",
    ),
    Option(("--tty", "-t"), "Give the command a terminal"),
    Option(("--interactive", "-i"), "Keep standard input open"),
    Option(("--attach", "-a"), "Connect only to these: stdin, stdout, stderr", "list", "STREAM"),
    Option(("--init",), "Let a small init be process 1: it passes signals on and reaps"),
    Option(("--init-path",), "Program for --init", "text", "FILE", complete="file"),
    Option(("--stop-signal",), "Signal that asks the command to end", "text", "SIGNAL"),
    Option(("--stop-timeout",), "Seconds that `stop` waits before it kills", "int", "SECONDS"),
    Option(("--name",), "Name of the container", "text", "NAME"),
    Option(("--replace",), "Remove the container that has this name first", dest="replaces"),
    Option(("--label", "-l"), "Note on the container", "list", "KEY[=VALUE]"),
    Option(("--label-file",), "Read labels from a file, one a line", "list", "FILE", complete="file"),
    Option(("--annotation",), "Annotation of the container", "list", "KEY=VALUE"),
    Option(("--cidfile",), "Write the id of the container to a new file", "text", "FILE", complete="file"),
    Option(
        ("--pidfile",), "Write the process number of the command to a file", "text", "FILE", complete="file"
    ),
    Option(("--rm",), "Remove the container and its anonymous volumes when it ends"),
    Option(("--restart",), "When to start it again: no", "text", "POLICY"),
    Option(("--no-healthcheck",), "Forget the health check of the image"),
    Option(
        ("--pull",),
        "When to fetch the image: always, missing, never, newer",
        "text",
        "POLICY",
        "missing",
        choices=_PULL,
    ),
    Option(("--quiet", "-q"), "Do not tell about the fetching"),
    Option(("--platform",), "Platform of the image", "text", "OS/ARCH[/VARIANT]"),
    Option(("--arch",), "Machine of the image", "text", "ARCH"),
    Option(("--os",), "Operating system of the image", "text", "OS"),
    Option(("--variant",), "Variant of the machine", "text", "VARIANT"),
    Option(("--authfile",), "File with credentials of registries", "text", "FILE", complete="file"),
    Option(("--tls-verify",), "Insist on HTTPS with a valid certificate", default=True),
    Option(("--disable-content-trust",), "Docker's option, without meaning here", default=True, hidden=True),
    Option(("--rootfs",), "The first word is a folder with a root file system, not an image"),
    Option(
        ("--volume", "-v"),
        "Mount a folder of the host or a volume",
        "list",
        "[SOURCE:]FOLDER[:OPTIONS]",
        complete="file",
    ),
    Option(
        ("--mount",), "Mount something: type=bind, volume or tmpfs, src=, dst=, ...", "list", "KEY=VALUE,..."
    ),
    Option(("--tmpfs",), "Mount a tmpfs", "list", "FOLDER[:OPTIONS]"),
    Option(
        ("--image-volume",),
        "Volumes of the image become: bind (anonymous volumes), tmpfs, ignore",
        "text",
        "HOW",
        choices=("", "bind", "anonymous", "tmpfs", "ignore"),
    ),
    Option(("--read-only",), "Make the root file system read-only"),
    Option(
        ("--read-only-tmpfs",), "With --read-only, mount a tmpfs on /run, /tmp and /var/tmp", default=True
    ),
    Option(("--shm-size",), "Size of /dev/shm; 0 is no limit", "text", "SIZE"),
    Option(("--tz",), "Time zone, or 'local' for the host's", "text", "ZONE"),
    Option(
        ("--network", "--net"),
        "Network: pasta, slirp4netns, host or none, with options after a colon",
        "list",
        "MODE[:OPTIONS]",
    ),
    Option(
        ("--publish", "-p"),
        "Let a port of the host lead into the container",
        "list",
        "[[IP:][HOST]:]PORT[/PROTOCOL]",
    ),
    Option(("--publish-all", "-P"), "Publish all exposed ports at random ports of the host"),
    Option(("--expose",), "Tell that the container listens on a port", "list", "PORT[/PROTOCOL]"),
    Option(("--hostname", "-h"), "Host name in the container", "text", "NAME"),
    Option(("--add-host",), "Add a line to /etc/hosts", "list", "NAME[;NAME...]:IP"),
    Option(("--no-hosts",), "Leave /etc/hosts as the image has it"),
    Option(("--dns",), "Name server, or 'none' for the image's /etc/resolv.conf", "list", "IP"),
    Option(("--dns-option", "--dns-opt"), "Option in /etc/resolv.conf", "list", "OPTION"),
    Option(("--dns-search",), "Search domain in /etc/resolv.conf; '.' for none", "list", "DOMAIN"),
    Option(("--cap-add",), "Add a capability, or all", "list", "CAPABILITY"),
    Option(("--cap-drop",), "Take a capability away, or all", "list", "CAPABILITY"),
    Option(
        ("--security-opt",),
        "no-new-privileges, seccomp=, mask=, unmask=, label=disable, apparmor=unconfined",
        "list",
        "OPTION",
    ),
    Option(
        ("--privileged",), "All capabilities, no filter, nothing masked: no more than you may do yourself"
    ),
    Option(("--userns",), "User namespace: host (root is you), keep-id[:uid=N,gid=N]", "text", "MODE"),
    Option(("--pid",), "Process namespace: private or host", "text", "MODE"),
    Option(("--ipc",), "IPC namespace: private, shareable, none or host", "text", "MODE"),
    Option(("--uts",), "UTS namespace (host name): private or host", "text", "MODE"),
    Option(("--cgroupns",), "Cgroup namespace: private or host", "text", "MODE"),
    Option(("--log-driver",), "Where the output goes: k8s-file (json-file) or none", "text", "DRIVER"),
    Option(("--log-opt",), "Option of the log: path=, max-size=, tag=", "list", "NAME=VALUE"),
)

_RUN_ONLY = (
    Option(("--detach", "-d"), "Leave it in the background and print its id"),
    Option(
        ("--detach-keys",), "Keys that detach the terminal; '' for none", "text", "KEYS", "ctrl-p,ctrl-q"
    ),
    Option(("--sig-proxy",), "Pass signals on to the command", default=True),
)

_TEXT = (
    "blkio-weight blkio-weight-device cert-dir cgroup-conf cgroup-parent cgroups chrootdirs conmon-pidfile "
    "cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpus cpuset-cpus cpuset-mems creds decryption-key "
    "device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops gidmap "
    "gpus group-entry health-cmd health-interval health-log-destination health-max-log-count "
    "health-max-log-size health-on-failure health-retries health-start-period health-startup-cmd "
    "health-startup-interval health-startup-retries health-startup-success health-startup-timeout "
    "health-timeout hosts-file hostuser ip ip6 link-local-ip mac-address memory-reservation memory-swap "
    "memory-swappiness network-alias passwd-entry personality pids-limit pod pod-id-file rdt-class "
    "requires retry retry-delay sdnotify seccomp-policy secret shm-size-systemd subgidname subuidname "
    "sysctl systemd timeout uidmap volumes-from"
)
_SHORT = {"cpu-shares": "-c", "memory": "-m"}
_FLAGS = "no-hostname oom-kill-disable"


def _refused(names: str, kind: str) -> "tuple[Option, ...]":
    return tuple([Option((f"--{name}",), kind=kind, unsupported=True) for name in names.split(" ")])


_UNSUPPORTED = (
    *_refused(_TEXT, "text"),
    *[Option((f"--{name}", short), kind="text", unsupported=True) for name, short in _SHORT.items()],
    *_refused(_FLAGS, "flag"),
)

RUN = (
    *_RUN_ONLY,
    *_SHARED,
    *_UNSUPPORTED,
    *_refused("preserve-fd preserve-fds", "text"),
    *_refused("passwd rmi", "flag"),
)
CREATE = (*_SHARED, *_UNSUPPORTED, *_refused("init-ctr", "text"))


def create_request(options: "Options", arguments: "tuple[str, ...]", store: "Store") -> "Request":
    """What a command line of `run` or `create` asks for. PyctrError names the option that is wrong."""
    from pyctr.cli import container_request

    return container_request.create_request(options, arguments, store)
