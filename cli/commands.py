"""Which commands there are and which module holds each; the modules are loaded when their command is used.

A module holds its table as `COMMAND`, or under the name that follows a colon ("pyctr.cli.volume:LIST").
"""

from pyctr.rootless.errors import PyctrError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.tables import Command

# name of the command -> (module, summary); the order is that of the help. The summary stands here so that
# `pyctr --help` and completion need not load every module.
COMMANDS: "dict[str, tuple[str, str]]" = {
    "attach": ("pyctr.cli.attach", "Attach to a running container"),
    "commit": ("pyctr.cli.commit", "Make an image of a container"),
    "create": ("pyctr.cli.create", "Create a container without starting it"),
    "diff": ("pyctr.cli.diff", "Show what a container or image has changed"),
    "exec": ("pyctr.cli.exec", "Run a command in a running container"),
    "export": ("pyctr.cli.export", "Write the root file system of a container as a tar archive"),
    "inspect": ("pyctr.cli.inspect", "Show everything that is known of containers, images or volumes"),
    "kill": ("pyctr.cli.kill", "Send a signal to containers"),
    "logs": ("pyctr.cli.logs", "Show the output of a container"),
    "ps": ("pyctr.cli.ps", "List containers"),
    "restart": ("pyctr.cli.restart", "Stop containers and start them again"),
    "rm": ("pyctr.cli.rm", "Remove containers"),
    "run": ("pyctr.cli.run", "Create and start a container, and stay with it"),
    "start": ("pyctr.cli.start", "Start containers that exist"),
    "stop": ("pyctr.cli.stop", "Stop running containers"),
    "wait": ("pyctr.cli.wait", "Wait until containers stop, and print their exit codes"),
    "port": ("pyctr.cli.port", "Show where the ports of a container are published"),
    "container diff": ("pyctr.cli.diff:CONTAINER", "Show what a container has changed"),
    "container exists": ("pyctr.cli.container_exists", "Tell by the exit code whether a container exists"),
    "container prune": ("pyctr.cli.container_prune", "Remove all containers that do not run"),
    "container cleanup": ("pyctr.cli.cleanup", "Finish what a dead monitor left undone"),
    "images": ("pyctr.cli.images", "List images"),
    "image diff": ("pyctr.cli.diff:IMAGE", "Show what an image has changed"),
    "history": ("pyctr.cli.history", "Show the steps by which an image was made"),
    "image exists": ("pyctr.cli.image_exists", "Tell by the exit code whether there is such an image"),
    "image inspect": ("pyctr.cli.image_inspect", "Show everything that is known of images"),
    "image mount": ("pyctr.cli.image_mount:MOUNT", "Mount images for reading, inside of unshare"),
    "image prune": ("pyctr.cli.image_prune", "Remove images that nothing needs"),
    "image scp": ("pyctr.cli.image_scp", "Copy an image to or from another machine or user"),
    "image tree": ("pyctr.cli.image_tree", "Show the layers of an image"),
    "image unmount": ("pyctr.cli.image_mount:UNMOUNT", "Unmount images"),
    "import": ("pyctr.cli.import_", "Make an image from the tar archive of a root file system"),
    "load": ("pyctr.cli.load", "Load images from an archive"),
    "login": ("pyctr.cli.login", "Log in to a registry"),
    "logout": ("pyctr.cli.logout", "Forget the credentials for a registry"),
    "manifest add": ("pyctr.cli.manifest:ADD", "Add images to a manifest list"),
    "manifest annotate": (
        "pyctr.cli.manifest:ANNOTATE",
        "Change what a manifest list says about an image",
    ),
    "manifest create": ("pyctr.cli.manifest:CREATE", "Make a manifest list"),
    "manifest exists": (
        "pyctr.cli.manifest:EXISTS",
        "Tell by the exit code whether there is such a manifest list",
    ),
    "manifest inspect": ("pyctr.cli.manifest:INSPECT", "Show a manifest list"),
    "manifest push": ("pyctr.cli.manifest:PUSH", "Send a manifest list and its images to a registry"),
    "manifest remove": ("pyctr.cli.manifest:REMOVE", "Take an image out of a manifest list"),
    "manifest rm": ("pyctr.cli.manifest:RM", "Remove manifest lists"),
    "pull": ("pyctr.cli.pull", "Fetch images from a registry"),
    "push": ("pyctr.cli.push", "Send an image to a registry"),
    "rmi": ("pyctr.cli.rmi", "Remove images"),
    "save": ("pyctr.cli.save", "Write images to an archive or folder"),
    "search": ("pyctr.cli.search", "Search a registry for images"),
    "tag": ("pyctr.cli.tag", "Give an image more names"),
    "untag": ("pyctr.cli.untag", "Take names away from an image"),
    "system check": ("pyctr.cli.system:CHECK", "Look for damage and leftovers"),
    "system df": ("pyctr.cli.system:DF", "Show how much disk space is used"),
    "system prune": ("pyctr.cli.system:PRUNE", "Remove what is not needed"),
    "system reset": ("pyctr.cli.system:RESET", "Remove everything: containers, images, volumes"),
    "volume create": ("pyctr.cli.volume:CREATE", "Make a volume"),
    "volume exists": ("pyctr.cli.volume:EXISTS", "Tell by the exit code whether a volume exists"),
    "volume export": ("pyctr.cli.volume:EXPORT", "Write what is in a volume as a tar archive"),
    "volume import": ("pyctr.cli.volume:IMPORT", "Unpack a tar archive into a volume"),
    "volume inspect": ("pyctr.cli.volume:INSPECT", "Show everything that is known of volumes"),
    "volume ls": ("pyctr.cli.volume:LIST", "List volumes"),
    "volume mount": ("pyctr.cli.volume:MOUNT", "Show where the data of volumes is"),
    "volume prune": ("pyctr.cli.volume:PRUNE", "Remove volumes that no container uses"),
    "volume reload": ("pyctr.cli.volume:RELOAD", "Look for new volumes of plugins"),
    "volume rm": ("pyctr.cli.volume:RM", "Remove volumes with their data"),
    "volume unmount": ("pyctr.cli.volume:UNMOUNT", "The end of volume mount"),
    "completion": ("pyctr.cli.completion", "Print the script that completes commands in a shell"),
    "doctor": ("pyctr.cli.doctor", "Try what containers need and say how to repair what fails"),
    "info": ("pyctr.cli.info", "Show facts about this machine and the store"),
    "unshare": ("pyctr.cli.unshare", "Run a command in the user namespace of the containers"),
    "version": ("pyctr.cli.version", "Show the version"),
}

# Headings of `pyctr --help`; a command that is missing here is for pyctr's own use.
HEADINGS: "dict[str, tuple[str, ...]]" = {
    "Containers": (
        *("run", "create", "start", "stop", "restart", "kill", "rm"),
        *("ps", "logs", "exec", "attach", "inspect", "wait", "port"),
        *("diff", "commit", "export"),
    ),
    "Images": (
        *("pull", "save", "load", "import", "images", "rmi", "tag", "untag"),
        *("push", "search", "login", "logout"),
        *("manifest create", "manifest add", "manifest annotate", "manifest inspect"),
        *("manifest push", "manifest remove", "manifest rm", "manifest exists"),
        *("image inspect", "image exists", "image prune"),
        *("history", "image tree", "image diff", "image mount", "image unmount"),
        "image scp",
    ),
    "Volumes": (
        *("volume create", "volume ls", "volume inspect", "volume rm", "volume prune", "volume exists"),
        *("volume export", "volume import", "volume mount", "volume unmount", "volume reload"),
    ),
    "System": (
        *("info", "version", "unshare", "doctor", "completion"),
        *("system df", "system prune", "system check", "system reset"),
    ),
}

# Other names, as the words that stand for them.
ALIASES: "dict[str, tuple[str, ...]]" = {
    "container inspect": ("inspect", "--type=container"),
    "container list": ("ps",),
    "container ls": ("ps",),
    "image list": ("images",),
    "image ls": ("images",),
    "image rm": ("rmi",),
    "image umount": ("image unmount",),
    "system info": ("info",),
    "volume list": ("volume ls",),
    "volume remove": ("volume rm",),
    "volume umount": ("volume unmount",),
}

# `pyctr container stop` is `pyctr stop`.
VERBS: "dict[str, tuple[str, ...]]" = {
    "container": (
        *(
            "attach",
            "commit",
            "create",
            "exec",
            "export",
            "kill",
            "logs",
            "port",
            "ps",
            "restart",
            "rm",
            "run",
            "start",
            "stop",
            "wait",
        ),
    ),
    "image": ("history", "import", "load", "pull", "push", "save", "search", "tag", "untag"),
}

NOUNS = frozenset([name.partition(" ")[0] for name in (*COMMANDS, *ALIASES) if " " in name])

# Commands of podman that pyctr does not have yet: refused by name.
UNSUPPORTED = frozenset(
    """artifact auto-update build compose connection cp events farm generate healthcheck init kube
    machine migrate mount network pause pod quadlet rename renumber secret service stats top
    umount unmount unpause update""".split()
)


def resolve(words: "list[str]") -> "tuple[str, list[str]] | None":
    """The name of the command that `words` begin with and the words after it; None when it is none."""
    verb = " ".join(words[:2])
    if len(words) > 1:
        if verb in COMMANDS:
            return verb, words[2:]
        if verb in ALIASES:
            name, *extra = ALIASES[verb]
            return name, [*extra, *words[2:]]
        if words[1] in VERBS.get(words[0], ()):
            return words[1], words[2:]
    return (words[0], words[1:]) if words and words[0] in COMMANDS else None


def exists(name: str) -> bool:
    """Whether the module of a command is there."""
    from importlib.util import find_spec

    return find_spec(COMMANDS[name][0].partition(":")[0]) is not None


def load(name: str) -> "Command":
    """The table of a command, from its module. KeyError when there is no such command."""
    module_name, _, attribute = COMMANDS[name][0].partition(":")
    try:
        module = __import__(module_name, fromlist=("COMMAND",))
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise PyctrError(f"pyctr {name} is not supported yet", "See 'pyctr --help' for what is.") from None
    command: Command = getattr(module, attribute or "COMMAND")
    return command
