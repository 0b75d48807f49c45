"""The rows of `images`: one for each name of an image, and one for an image without a name."""

import time

from pyctr.engine import imagefilters, timestamps
from pyctr.engine import images as engine
from pyctr.rootless.values import Value
from pyctr.storage import sweep
from pyctr.storage.images import Image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.cli.reader import Options
    from pyctr.storage.paths import Store

NONE = "<none>"
HEADINGS = {"ID": "IMAGE ID", "Id": "IMAGE ID", "Digest": "DIGEST", "CreatedSince": "CREATED"}


class Row(Value):
    """One line. `image` is None when its record cannot be read."""

    image_id: str
    name: str
    names: tuple[str, ...]
    image: Image | None
    is_list: bool = False

    def created(self) -> int:
        """Nanoseconds since 1970."""
        return imagefilters.created(self.image) if self.image else 0


def find(store: "Store", options: "Options", arguments: "tuple[str, ...]") -> list[Row]:
    """The rows in the order that was asked for. Filters by reference hide the other names of an image."""
    filters = (*options.filter, *[f"reference={name}" for name in arguments])
    patterns = [text.partition("=")[2] for text in filters if text.startswith("reference=")]
    wanted = [imagefilters.by_reference(store, pattern) for pattern in patterns]
    rows = []
    for each in imagefilters.select(store, engine.everything(store), filters):
        for name in each.names or ("",):
            if not wanted or any([test(each.replace(names=(name,))) for test in wanted]):
                rows.append(Row(each.id, name, each.names, each.image, each.is_list))
    return sorted(rows, key=lambda row: _order(row, options.sort))


def _order(row: Row, key: str) -> "tuple[Any, ...]":
    repository, tag = parts(row)
    by = {
        "created": (-row.created(), repository, tag),
        "id": (row.image_id,),
        "repository": (repository, tag),
        "size": (row.image.size if row.image else 0,),
        "tag": (tag, repository),
    }
    return by[key]


def parts(row: Row) -> tuple[str, str]:
    """Repository and tag."""
    return engine.split_name(row.name) if row.name else (NONE, NONE)


def columns(options: "Options") -> "tuple[tuple[str, str], ...]":
    """Headings and fields."""
    digest = (("DIGEST", "Digest"),) if options.digests else ()
    start = (("REPOSITORY", "Repository"), ("TAG", "Tag"))
    return (*start, *digest, ("IMAGE ID", "ID"), ("CREATED", "Created"), ("SIZE", "Size"))


def row(each: Row, options: "Options") -> "dict[str, Any]":
    """The fields that tables and templates show: podman-images(1), --format."""
    repository, tag = parts(each)
    image = each.image
    since = timestamps.ago(each.created(), time.time_ns()) if image else "broken"
    at = timestamps.go_text(each.created()) if image else ""
    return {
        "Repository": repository,
        "Tag": tag,
        "ID": shown_id(each.image_id, options),
        "Id": each.image_id,
        "Digest": image.manifest_digest if image else NONE,
        "Created": since,
        "CreatedSince": since,
        "CreatedAt": at,
        "CreatedTime": at,
        "Size": size_text(image.size) if image else "",
        "VirtualSize": image.size if image else 0,
        "SharedSize": 0,
        "Dangling": not each.names,
        "IsDangling": not each.names,
        "ReadOnly": False,
        "IsReadOnly": False,
        "Labels": imagefilters.labels(image) if image else {},
        "Names": list(each.names),
        "History": list(each.names),
        "RepoTags": [name for name in each.names if "@" not in name],
        "RepoDigests": [f"{repository}@{image.manifest_digest}"] if image and each.name else [],
        "ParentId": "",
        "Containers": len(sweep.users_of(options.store, each.image_id)) if options.format else 0,
    }


def json_rows(store: "Store", rows: list[Row]) -> "list[dict[str, Any]]":
    """What `--format json` prints, once an image, in podman's shape."""
    found: dict[str, dict[str, Any]] = {}
    for each in rows:
        if each.image is not None and each.image_id not in found:
            found[each.image_id] = _json_row(store, each, each.image)
    return list(found.values())


def _json_row(store: "Store", each: Row, image: Image) -> "dict[str, Any]":
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": None,
        "RepoDigests": engine.repo_digests(store, image, each.names),
        "Size": image.size,
        "SharedSize": 0,
        "VirtualSize": image.size,
        "Labels": image.config.get("Labels"),
        "Containers": len(sweep.users_of(store, image.id)),
        **({} if each.names else {"Dangling": True}),
        **({"Names": list(each.names)} if each.names else {}),
        "Digest": image.manifest_digest,
        "History": list(each.names),
        **({"IsManifestList": True} if each.is_list else {}),
        "Created": each.created() // 1_000_000_000,
        "CreatedAt": image.created or "0001-01-01T00:00:00Z",
    }


def shown_id(image_id: str, options: "Options") -> str:
    """sha256:<whole id> with --no-trunc, else 12 digits."""
    if not image_id:
        return NONE
    return f"sha256:{image_id}" if options.no_trunc else image_id[:12]


def size_text(size: float) -> str:
    """A size in powers of 1000 with three digits: 12 B, 1.98 MB."""
    units = ["B", "kB", "MB", "GB", "TB", "PB"]
    while size >= 999.5 and len(units) > 1:
        size /= 1000
        units.pop(0)
    return f"{size:.3g} {units[0]}"
