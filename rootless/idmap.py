"""Id maps of user namespaces as values."""

from pyctr.rootless.values import Value


class IdRange(Value):
    """One line of a uid_map or gid_map: `length` ids from `inside` on are those from `outside` on in the parent."""

    inside: int
    outside: int
    length: int


class IdMaps(Value):
    """The uid_map and gid_map of a user namespace; outside ids are those of the namespace that pyctr runs in."""

    uid: tuple[IdRange, ...]
    gid: tuple[IdRange, ...]

    def key(self) -> str:
        """A short name for what these maps make of file owners: equal for maps under which layers can be shared."""
        if len(self.uid) == 2 and self.uid == self.gid and self.uid[0].inside == 0 and self.uid[0].length == 1:
            first, second = self.uid
            return f"{first.outside}.{second.outside}.{second.length}"
        import hashlib

        return hashlib.sha256(repr((self.uid, self.gid)).encode()).hexdigest()[:16]
