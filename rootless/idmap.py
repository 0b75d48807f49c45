"""Id maps of user namespaces as values."""

from pyctr.rootless.values import Value

_LONGEST = 100  # characters; it becomes a folder's name, beside the driver's


class IdRange(Value):
    """One line of a uid_map or gid_map: `length` ids from `inside` on are those from `outside` on in the
    parent.
    """

    inside: int
    outside: int
    length: int


class IdMaps(Value):
    """The uid_map and gid_map of a user namespace; outside ids are those of the namespace that pyctr runs
    in.
    """

    uid: tuple[IdRange, ...]
    gid: tuple[IdRange, ...]

    def key(self) -> str:
        """A short name for what these maps make of file owners: maps with equal names can share layers."""
        uids, gids = _words(self.uid), _words(self.gid)
        name = uids if uids == gids else f"{uids}-{gids}"
        if len(name) <= _LONGEST:
            return name
        import hashlib

        return hashlib.sha256(name.encode()).hexdigest()[:16]


def _words(ranges: tuple[IdRange, ...]) -> str:
    """`1000.100000.65536` for the usual map (0 is 1000, from 1 on 65536 ids from 100000 on), longer for
    others.
    """
    if len(ranges) == 2 and ranges[0].inside == 0 and ranges[0].length == 1 and ranges[1].inside == 1:
        return f"{ranges[0].outside}.{ranges[1].outside}.{ranges[1].length}"
    return "_".join([f"{part.inside}.{part.outside}.{part.length}" for part in ranges])
