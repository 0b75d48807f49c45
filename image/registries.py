"""registries.conf: which registries a short name means, and where those of a full name really are.

Source: containers-registries.conf(5), version 2, and containers-registries.conf.d(5). Not taken from it:
short-name-mode (nobody is asked: all search registries are tried in their order) and credential-helpers.
On the path of `run` for short names only.
"""

import os

from pyctr.image import reference
from pyctr.image.reference import DEFAULT_DOMAIN, LOCAL_DOMAIN, Reference
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import confcache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.image.transport import Access
    from pyctr.storage.paths import Store

CACHE_VERSION = 1
CACHE = "registries.conf.json"
_SYSTEM = "/etc/containers/registries.conf"
_MANUAL = "containers-registries.conf(5)"
_HINT = f"Repair the file; {_MANUAL} describes it."
_ENDS = ("", ":", "/", "@")  # what may follow a prefix


class Mirror(Value):
    """Another place of a registry. `pulls` says for which names: all, digest-only or tag-only."""

    location: str
    insecure: bool = False
    pulls: str = "all"


class Registry(Value):
    """What is said of the names that begin with `prefix`, which may start with `*.`"""

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()


class Configuration(Value):
    """All of it."""

    search: tuple[str, ...] = (DEFAULT_DOMAIN,)
    aliases: dict[str, str] = {}
    registries: tuple[Registry, ...] = ()


class Source(Value):
    """One place to have an image from. `insecure` allows http and any certificate."""

    reference: Reference
    insecure: bool = False
    mirror: bool = False

    def reached(self, access: "Access") -> "Access":
        """How it is reached: what the command line says of TLS wins."""
        return _reached(access, insecure=self.insecure)


def load(store: "Store") -> Configuration:
    """The configuration of this user. PyctrError names a file that is not as it should be."""
    found = confcache.load(files(), f"{store.runroot}/{CACHE}", Configuration, CACHE_VERSION, parse)
    return found or Configuration()


def files() -> list[str]:
    """The files that may exist, the last word last."""
    env = os.environ
    home = env.get("XDG_CONFIG_HOME") or f"{env.get('HOME', '')}/.config"
    own = f"{home}/containers/registries.conf"
    main = env.get("CONTAINERS_REGISTRIES_CONF") or (own if os.path.exists(own) else _SYSTEM)
    found = [main]
    for folder in (f"{_SYSTEM}.d", f"{own}.d"):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        found += [f"{folder}/{name}" for name in names if name.endswith(".conf")]
    return [*found, f"{env.get('XDG_CACHE_HOME') or f'{home}/../.cache'}/containers/short-name-aliases.conf"]


def parse(paths: list[str]) -> Configuration:
    """The configuration in these files; a later one replaces what an earlier says of a prefix or alias."""
    search: tuple[str, ...] = (DEFAULT_DOMAIN,)
    aliases: dict[str, str] = {}
    registries: dict[str, Registry] = {}
    for path in paths:
        data = confcache.read_toml(path, _MANUAL)
        if "registries" in data:
            raise PyctrError(f"{path} has the old format, version 1", f"Rewrite it as {_MANUAL} describes.")
        if "unqualified-search-registries" in data:
            search = tuple(
                [_text(each, path) for each in _list(data, "unqualified-search-registries", path)]
            )
        aliases.update(_aliases(data.get("aliases", {}), path))
        for table in _list(data, "registry", path):
            found = _registry(table, path)
            registries[found.prefix] = found
    return Configuration(search, {name: full for name, full in aliases.items() if full}, _sorted(registries))


def _sorted(registries: dict[str, Registry]) -> tuple[Registry, ...]:
    """The longest prefix first: it wins."""
    return tuple(sorted(registries.values(), key=lambda each: len(each.prefix), reverse=True))


def _aliases(table: "Any", path: str) -> dict[str, str]:
    if type(table) is not dict:
        raise PyctrError(f"{path}: aliases is not a table", _HINT)
    found = {name: _text(full, path) for name, full in table.items()}
    for name, full in found.items():
        if full and (reference.parse(name).domain or not reference.parse(full).domain):
            raise PyctrError(f"{path}: alias {name!r} has to lead from a short name to a whole one", _HINT)
    return found


def _registry(table: "Any", path: str) -> Registry:
    location = _value(table, "location", "", path)
    prefix = _value(table, "prefix", location, path)
    if not prefix or not (location or prefix.startswith("*.")):
        raise PyctrError(f"{path}: a registry has no location", _HINT)
    only = "digest-only" if _value(table, "mirror-by-digest-only", False, path) else "all"
    return Registry(
        prefix=prefix.rstrip("/"),
        location=location.rstrip("/"),
        insecure=_value(table, "insecure", False, path),
        blocked=_value(table, "blocked", False, path),
        mirrors=tuple([_mirror(each, only, path) for each in _list(table, "mirror", path)]),
    )


def _mirror(table: "Any", only: str, path: str) -> Mirror:
    location = _value(table, "location", "", path).rstrip("/")
    pulls = _value(table, "pull-from-mirror", only, path)
    if not location or pulls not in ("all", "digest-only", "tag-only"):
        raise PyctrError(f"{path}: a mirror has no location, or pulls {pulls!r}", _HINT)
    return Mirror(location, _value(table, "insecure", False, path), pulls)


def _value(table: "Any", key: str, default: "Any", path: str) -> "Any":
    """A value of a table in the type of its default."""
    if type(table) is not dict or type(table.get(key, default)) is not type(default):
        raise PyctrError(f"{path}: {key} has a value of the wrong type", _HINT)
    return table.get(key, default)


def _list(table: "Any", key: str, path: str) -> "list[Any]":
    found: list[Any] = _value(table, key, [], path)
    return found


def _text(value: "Any", path: str) -> str:
    if type(value) is not str:
        raise PyctrError(f"{path}: {value!r} is not the name of a registry or image", _HINT)
    return value


def candidates(found: Configuration, name: Reference) -> tuple[Reference, ...]:
    """The full names that are pulled for a name, best first. PyctrError when a short one can mean none."""
    if name.domain:
        return (name.completed(),)
    if alias := found.aliases.get(name.path):
        return (reference.parse(alias).replace(tag=name.tag, digest=name.digest).completed(),)
    if not found.search:
        raise PyctrError(
            f"the short name {name} has no alias, and no registry is searched",
            "Give the whole name, or set unqualified-search-registries in registries.conf.",
        )
    return tuple([name.in_domain(domain).completed() for domain in found.search])


def default(store: "Store") -> str:
    """The registry that login and logout mean when none is named. PyctrError when none is searched."""
    for domain in load(store).search:
        return domain
    raise PyctrError(
        "no registry is named, and none is searched",
        "Name one, or set unqualified-search-registries in registries.conf.",
    )


def local_candidates(store: "Store", name: Reference) -> tuple[Reference, ...]:
    """The full names that a local image may have, best first: localhost is before all registries."""
    full = name.completed()
    if full.domain:
        return (full,)
    found = load(store)
    pulled = candidates(found.replace(search=found.search or (DEFAULT_DOMAIN,)), name)
    return (full.in_domain(LOCAL_DOMAIN), *pulled)


def sources(found: Configuration, name: Reference) -> tuple[Source, ...]:
    """Where to have a full name from, mirrors first. PyctrError when its registry is blocked."""
    text = str(name)
    for registry in found.registries:
        end = _matched(registry.prefix, text)
        if end:
            return _sources(registry, name, text[end:])
    return (Source(name),)


def reached(store: "Store", name: str, access: "Access") -> "Access":
    """How the registry of a full name is reached (also of a registry or name space alone), whatever its
    mirrors and location. PyctrError when it is blocked.
    """
    for registry in load(store).registries:
        if _matched(registry.prefix, name):
            _check(registry, name)
            return _reached(access, insecure=registry.insecure)
    return access


def _reached(access: "Access", *, insecure: bool) -> "Access":
    return access.replace(tls_verify=False) if insecure and access.tls_verify is None else access


def _check(registry: Registry, name: str) -> None:
    if registry.blocked:
        raise PyctrError(f"{name}: registries.conf blocks {registry.prefix}", "Ask whoever wrote that file.")


def _sources(registry: Registry, name: Reference, rest: str) -> tuple[Source, ...]:
    _check(registry, str(name))
    kinds = ("all", "digest-only" if name.digest else "tag-only")
    mirrors = [mirror for mirror in registry.mirrors if mirror.pulls in kinds]
    places = [Source(reference.parse(each.location + rest), each.insecure, True) for each in mirrors]
    itself = reference.parse(registry.location + rest) if registry.location else name
    return (*places, Source(itself, registry.insecure))


def _matched(prefix: str, text: str) -> int:
    """How much of a name a prefix covers, 0 when it is another one's. `*.` stands for any subdomain."""
    if not prefix.startswith("*."):
        end = len(prefix) if text.startswith(prefix) else 0
    else:
        at = text.find(prefix[1:])
        end = at + len(prefix) - 1 if at > 0 and "/" not in text[:at] else 0
    return end if text[end : end + 1] in _ENDS else 0
