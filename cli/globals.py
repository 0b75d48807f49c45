"""The options that stand before the command. The long ones are understood after it as well, as in podman."""

from pyctr.cli.tables import Argument, Command, Option

LEVELS = ("debug", "info", "warn", "warning", "error", "fatal", "panic")

GLOBAL = Command(
    name="",
    summary="Containers for ordinary users: no daemon, no root",
    handler=None,
    interspersed=False,
    arguments=(Argument("COMMAND", 0, -1),),
    options=(
        Option(("--log-level",), "Least grave messages to show", "text", "LEVEL", "warn", choices=LEVELS),
        Option(("--root",), "Folder of images and containers", "text", "FOLDER", complete="file"),
        Option(
            ("--runroot",), "Folder of sockets and what else may vanish", "text", "FOLDER", complete="file"
        ),
        Option(
            ("--storage-driver",),
            "How layers become a root file system: overlay, fuse-overlayfs, llfuse, vfs",
            "text",
            "DRIVER",
        ),
        Option(
            ("--storage-opt",),
            "Option of the storage driver: overlay.mount_program=FILE, overlay.mountopt=WORDS",
            "list",
            "NAME=VALUE",
        ),
        Option(("--version", "-v"), "Print the version"),
        Option(("--cdi-spec-dir",), kind="list", unsupported=True),
        Option(("--cgroup-manager",), kind="text", unsupported=True),
        Option(("--config",), kind="text", unsupported=True),
        Option(("--conmon",), kind="text", unsupported=True),
        Option(("--connection", "-c"), kind="text", unsupported=True),
        Option(("--events-backend",), kind="text", unsupported=True),
        Option(("--hooks-dir",), kind="list", unsupported=True),
        Option(("--host", "-H"), kind="text", unsupported=True),
        Option(("--identity",), kind="text", unsupported=True),
        Option(("--imagestore",), kind="text", unsupported=True),
        Option(("--module",), kind="list", unsupported=True),
        Option(("--network-config-dir",), kind="text", unsupported=True),
        Option(("--out",), kind="text", unsupported=True),
        Option(("--remote", "-r"), unsupported=True),
        Option(("--runtime",), kind="text", unsupported=True),
        Option(("--runtime-flag",), kind="list", unsupported=True),
        Option(("--ssh",), kind="text", unsupported=True),
        Option(("--syslog",), unsupported=True),
        Option(("--tls-ca",), kind="text", unsupported=True),
        Option(("--tls-cert",), kind="text", unsupported=True),
        Option(("--tls-details",), kind="text", unsupported=True),
        Option(("--tls-key",), kind="text", unsupported=True),
        Option(("--tmpdir",), kind="text", unsupported=True),
        Option(("--transient-store",), unsupported=True),
        Option(("--url",), kind="text", unsupported=True),
        Option(("--volumepath",), kind="text", unsupported=True),
    ),
)

# Understood after the command too; not -v, -c, -r: there they are the command's own.
ANYWHERE = tuple(
    [
        option.replace(names=option.names[:1])
        for option in GLOBAL.options
        if option.names[0] not in ("--version", "--host", "--config")
    ]
)
