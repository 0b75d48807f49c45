"""Mounts as users write them: -v, --mount and --tmpfs become `Mount` values.

podman-run(1), --volume, --mount, --tmpfs. What is not done yet (U, O, idmap, ...) is refused by name.
"""

import os

from pyctr.engine.sizes import parse_size
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Mount
from pyctr.storage import volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_PROPAGATION = ("private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable")
_FLAGS = ("ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "bind", "rbind", *_PROPAGATION)
_VOLUME_WORDS = ("copy", "nocopy", "nocreate")
_RELABEL = ("z", "Z")
_NOT_YET = ("U", "O", "idmap", "chown", "subpath", "volume-subpath", "noatime", "upperdir", "workdir")
_TMPFS_FLAGS = (
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "noatime",
    "tmpcopyup",
    "notmpcopyup",
)
_TMPFS_KEYS = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "huge")
_KEYS = {
    "src": "source",
    "dst": "target",
    "dest": "target",
    "destination": "target",
    "readonly": "ro",
    "tmpfs-size": "size",
    "tmpfs-mode": "mode",
    "bind-propagation": "propagation",
    "volume-nocopy": "nocopy",
    "readwrite": "rw",
}
_TRUE = ("", "true", "1", "t", "T", "True", "TRUE")
_FALSE = ("false", "0", "f", "F", "False", "FALSE")
_SELINUX = "/sys/fs/selinux/enforce"


def parse(volume: "Iterable[str]", mount: "Iterable[str]", tmpfs: "Iterable[str]") -> tuple[Mount, ...]:
    """All mounts of a command line. PyctrError for two at one place."""
    found = [*map(parse_mount, mount), *map(parse_volume, volume), *map(parse_tmpfs, tmpfs)]
    targets: set[str] = set()
    for each in found:
        if each.target in targets:
            raise PyctrError(f"{each.target}: duplicate mount destination", "Mount one thing at one place.")
        targets.add(each.target)
    return tuple(found)


def container_path(path: str) -> str:
    """A mount point without `.`, `..` and doubled slashes; never the root itself."""
    if not path.startswith("/") or "\0" in path:
        raise PyctrError(f"invalid container path {path!r}", "Give an absolute path.")
    normal = os.path.normpath(path).replace("//", "/")
    if normal == "/":
        raise PyctrError(f"invalid container path {path!r}: it is the root", "Mount on a folder below it.")
    return normal


def host_path(path: str) -> str:
    """An absolute path of the host that exists. Links in it are followed at each start."""
    absolute = os.path.abspath(path)
    try:
        os.stat(absolute)
    except OSError as error:
        raise PyctrError(
            f"statfs {absolute}: {(error.strerror or '').lower()}",
            "Make the file or folder first, then mount it.",
        ) from None
    return absolute


def parse_volume(word: str) -> Mount:
    """[SOURCE:]TARGET[:OPTIONS] of -v."""
    parts = word.split(":")
    if len(parts) > 3 or not all(parts[:2]):
        raise PyctrError(
            f"invalid volume {word!r}", "Write [HOST-FOLDER|VOLUME:]CONTAINER-FOLDER[:OPTIONS]."
        )
    if len(parts) == 1:
        return Mount("volume", container_path(parts[0]), "", _bind_options((), word, is_volume=True))
    source, target = parts[0], container_path(parts[1])
    options = [option for option in "".join(parts[2:]).split(",") if option]
    if source[0] in "/.":
        return Mount("bind", target, host_path(source), _bind_options(options, word, is_volume=False))
    return Mount("volume", target, volumes.check_name(source), _bind_options(options, word, is_volume=True))


def _bind_options(options: "Iterable[str]", word: str, *, is_volume: bool) -> tuple[str, ...]:
    """The words of a bind or volume with podman's defaults; a volume is mounted nosuid and nodev."""
    given = [option for option in options if _is_kept(option, word, is_volume=is_volume)]
    _refuse_contradictions(given, word)
    for default, others in (("rbind", ("bind",)), ("rprivate", _PROPAGATION)):
        if default not in given and not any([other in given for other in others]):
            given.append(default)
    for default, other in (("nosuid", "suid"), ("nodev", "dev")):
        if is_volume and default not in given and other not in given:
            given.append(default)
    return tuple(given)


def _is_kept(option: str, word: str, *, is_volume: bool) -> bool:
    """Whether an option goes into the mount; False for one that means nothing here. PyctrError else."""
    name = option.partition("=")[0]
    if option in _FLAGS:
        if is_volume and option in _PROPAGATION:
            raise PyctrError(f"{word}: {option} is for folders of the host, not for volumes")
        return True
    if option in _VOLUME_WORDS:
        return is_volume and option != "copy"
    if option in _RELABEL:
        _check_relabel(option, word)
        return False
    if name in _NOT_YET:
        raise PyctrError(f"{word}: the option {name} is not supported yet")
    raise PyctrError(
        f"{word}: unknown mount option {option!r}", "See 'pyctr run --help' and podman-run(1), --volume."
    )


def _check_relabel(option: str, word: str) -> None:
    """Without SELinux there are no labels, and podman changes nothing either."""
    if os.path.exists(_SELINUX):
        raise PyctrError(
            f"{word}: the option {option} is not supported on a host with SELinux yet",
            f"Label it yourself: chcon -Rt container_file_t {word.partition(':')[0]}",
        )


def _refuse_contradictions(options: "list[str]", word: str) -> None:
    groups = (
        ("ro", "rw"),
        ("suid", "nosuid"),
        ("dev", "nodev"),
        ("exec", "noexec"),
        ("bind", "rbind"),
        _PROPAGATION,
    )
    for group in groups:
        given = [option for option in options if option in group]
        if len(given) > 1:
            raise PyctrError(f"{word}: {given[0]} and {given[1]} exclude each other", "Give one of them.")


def parse_tmpfs(word: str) -> Mount:
    """TARGET[:OPTIONS] of --tmpfs."""
    target, _, options = word.partition(":")
    return Mount("tmpfs", container_path(target), "tmpfs", _tmpfs_options(options.split(","), word))


def _tmpfs_options(options: "Iterable[str]", word: str) -> tuple[str, ...]:
    given = [_tmpfs_option(option, word) for option in options if option]
    for default, other in (("rw", "ro"), ("nosuid", "suid"), ("nodev", "dev"), ("tmpcopyup", "notmpcopyup")):
        if default not in given and other not in given:
            given.append(default)
    if "notmpcopyup" in given:
        given = [option for option in given if option not in ("tmpcopyup", "notmpcopyup")]
    return tuple(given)


def _tmpfs_option(option: str, word: str) -> str:
    name, equals, value = option.partition("=")
    if option in _TMPFS_FLAGS:
        return option
    if not equals or name not in _TMPFS_KEYS or not value:
        raise PyctrError(
            f"{word}: unknown tmpfs option {option!r}",
            f"Known are {', '.join(_TMPFS_FLAGS)} and {', '.join(_TMPFS_KEYS)}.",
        )
    if name == "size" and not value.endswith("%"):
        return f"size={parse_size(value, f'--tmpfs {word}')}"
    if name == "mode" and (value.strip("01234567") or int(value, 8) > 0o7777):
        raise PyctrError(f"{word}: invalid mode {value!r}", "Write an octal number, as in mode=1777.")
    if name in ("uid", "gid") and not (value.isascii() and value.isdigit()):
        raise PyctrError(f"{word}: invalid {name} {value!r}", "Write a number.")
    return option


def parse_mount(word: str) -> Mount:
    """type=TYPE,KEY=VALUE,... of --mount."""
    fields = _fields(word)
    kind = fields.pop("type", "volume")
    if "target" not in fields:
        raise PyctrError(f"--mount {word}: must set volume destination", "Add dst=FOLDER.")
    target = container_path(fields.pop("target"))
    if kind == "tmpfs":
        return Mount("tmpfs", target, "tmpfs", _tmpfs_options(_spelled(fields, word), word))
    if kind == "bind":
        if not fields.get("source"):
            raise PyctrError(f"--mount {word}: a bind mount needs a source", "Add src=FOLDER.")
        source = host_path(fields.pop("source"))
        return Mount("bind", target, source, _bind_options(_spelled(fields, word), word, is_volume=False))
    if kind == "volume":
        source = fields.pop("source", "")
        options = _bind_options(_spelled(fields, word), word, is_volume=True)
        return Mount("volume", target, volumes.check_name(source) if source else "", options)
    raise PyctrError(f"--mount {word}: type {kind!r} is not supported", "Known are bind, volume and tmpfs.")


def _fields(word: str) -> "dict[str, str]":
    """The keys of a --mount, each under one spelling; a key without a value has an empty one."""
    fields: dict[str, str] = {}
    for part in word.split(","):
        key, _, value = part.partition("=")
        key = _KEYS.get(key, key)
        if not key or key in fields:
            raise PyctrError(f"--mount {word}: {'empty' if not key else 'repeated'} option {part!r}")
        fields[key] = value
    return fields


def _spelled(fields: "dict[str, str]", word: str) -> "list[str]":
    """The remaining keys of a --mount in the words that -v and --tmpfs use."""
    spelled = []
    for key, value in fields.items():
        if key == "propagation":
            spelled.append(value)
        elif key == "relabel":
            spelled.append({"shared": "z", "private": "Z"}.get(value, f"relabel={value}"))
        elif key == "bind-nonrecursive":
            spelled += ["bind"] if _boolean(key, value, word) else []
        elif key == "ro":
            spelled.append("ro" if _boolean(key, value, word) else "rw")
        elif key in _NOT_YET and value in _FALSE:
            continue
        elif key in _FLAGS or key in _TMPFS_FLAGS or key in _VOLUME_WORDS:
            spelled += [key] if _boolean(key, value, word) else []
        else:
            spelled.append(f"{key}={value}" if value else key)
    return spelled


def _boolean(key: str, value: str, word: str) -> bool:
    if value not in _TRUE and value not in _FALSE:
        raise PyctrError(f"--mount {word}: {key}={value} is neither true nor false")
    return value in _TRUE
