"""Names of containers: their grammar, random ones, and the claim that makes a name unique.

A claim is a file names/containers/<name> that holds the container's id. A claim whose container is neither
there nor being built (its maker was killed) is taken over under the lock of the folder.
"""

import os

from pyctr.engine import words
from pyctr.rootless.errors import InUse, PyctrError
from pyctr.storage import paths, records

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NEXT = _FIRST | frozenset("_.-")
_ATTEMPTS = 100


def check(name: str, kind: str) -> str:
    """`name` when it fits podman's grammar [a-zA-Z0-9][a-zA-Z0-9_.-]*, else PyctrError."""
    if not name or name[0] not in _FIRST or not _NEXT.issuperset(name) or len(name) > 250:
        raise PyctrError(
            f"invalid {kind} name: {name!r}",
            "Begin with a letter or digit; go on with letters, digits, '_', '.' and '-'.",
        )
    return name


def random_name() -> str:
    """An adjective and a noun."""
    first, second = int.from_bytes(os.urandom(4), "big"), int.from_bytes(os.urandom(4), "big")
    return f"{words.ADJECTIVES[first % len(words.ADJECTIVES)]}_{words.NOUNS[second % len(words.NOUNS)]}"


def claim(store: paths.Store, name: str, container_id: str) -> None:
    """Takes a name for a container that is being built under its lock. InUse when another has it.

    The caller makes the claim durable (`create.make_durable`) together with the container.
    """
    check(name, "container")
    records.make_folder(store.container_names())
    claimed = store.container_name(name)
    draft = f"{store.container_names()}/.{container_id}"
    records.write_text(draft, container_id, durable=False)
    try:
        while True:
            try:
                os.link(draft, claimed)
                break
            except FileExistsError:
                if _take_over(store, name, draft):
                    return
    finally:
        _unlink(draft)


def claim_random(store: paths.Store, container_id: str) -> str:
    """A random name that nobody had, now claimed."""
    for _ in range(_ATTEMPTS):
        name = random_name()
        try:
            claim(store, name, container_id)
            return name
        except InUse:
            continue
    name = f"container_{container_id[:12]}"
    claim(store, name, container_id)
    return name


def _take_over(store: paths.Store, name: str, draft: str) -> bool:
    """Replaces the claim of a container that is gone. False when the claim has just been given up."""
    with records.lock(store.container_names()):
        owner = owner_of(store, name)
        if owner is None:
            return False
        if exists(store, owner):
            raise InUse(
                f"the container name {name!r} is already in use by {owner}",
                f"Remove that container ('pyctr rm {name}'), choose another name, or use --replace.",
            )
        # Not unlink and link: the name would be free in between for one who does not hold the lock.
        os.rename(draft, store.container_name(name))
        return True


def owner_of(store: paths.Store, name: str) -> str | None:
    """The id of the container that has a name, or None."""
    try:
        return records.read_text(store.container_name(name)).strip()
    except FileNotFoundError:
        return None


def exists(store: paths.Store, container_id: str) -> bool:
    """Whether a container is there, is being built or is being removed."""
    try:
        if os.path.lexists(store.container(container_id)):
            return True
        return _is_locked(f"{store.containers()}/{paths.TEMPORARY}{container_id}")
    except PyctrError:
        return False  # a claim that holds no id


def _is_locked(folder: str) -> bool:
    try:
        records.lock(folder, wait=False).release()
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def release(store: paths.Store, name: str, container_id: str) -> None:
    """Gives a name back if it is this container's."""
    try:
        with records.lock(store.container_names()):
            if owner_of(store, name) == container_id:
                _unlink(store.container_name(name))
    except FileNotFoundError:
        pass


def release_all(store: paths.Store, container_id: str) -> None:
    """Gives back what a container has whose maker was killed before it had written its name down."""
    try:
        with records.lock(store.container_names()):
            for name in os.listdir(store.container_names()):
                is_draft = name.startswith(".") and container_id in name
                if is_draft or owner_of(store, name) == container_id:
                    _unlink(store.container_name(name))
    except FileNotFoundError:
        pass


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
