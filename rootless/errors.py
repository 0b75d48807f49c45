"""Errors that a user sees: what failed, on which object, and what to do about it."""


class PyctrError(Exception):
    """A failure with a message for the user.

    `message` names the object and what was tried; `hint` says what to do. `exit_code` follows
    podman-run(1), "Exit Status": 125 pyctr itself, 126 cannot be run, 127 does not exist.
    """

    exit_code = 125

    def __init__(self, message: str, hint: str | None = None, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class NoSuchObject(PyctrError):
    """A container, image or volume that was named does not exist."""

    def __init__(self, kind: str, name: str, hint: str | None = None) -> None:
        super().__init__(f"no such {kind}: {name}", hint)
        self.kind = kind
        self.name = name


class InUse(PyctrError):
    """An object cannot be removed or claimed because something uses it."""


class WrongState(PyctrError):
    """The operation does not fit the state of the container."""


class BrokenRecord(PyctrError):
    """A record on disk cannot be read, or was written by a newer pyctr. It is kept, never swept."""


class Stopped(PyctrError):
    """Another part of the same work failed first, or the user wants to leave."""
