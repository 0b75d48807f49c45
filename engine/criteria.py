"""What --filter says about rows of a list, of images or of volumes: podman-images(1), podman-volume-ls(1).

Values of one key are alternatives, of `label` and `label!` all must hold; different keys must all hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from pyctr.rootless.errors import PyctrError
from pyctr.storage.paths import Store

R = TypeVar("R")


class Criteria(Generic[R]):
    """The filters of one kind of list. `makers` make the test of a value, `negatable` are the keys that may
    have a `!`.
    """

    def __init__(
        self,
        makers: Mapping[str, Callable[[Store, str], Callable[[R], bool]]],
        negatable: frozenset[str],
        word: str = "filter",
    ) -> None:
        self._makers = makers
        self._negatable = negatable
        self._word = word

    def select(
        self, store: Store, found: Sequence[R], filters: tuple[str, ...], known: frozenset[str] = frozenset()
    ) -> list[R]:
        """Those that pass all filters, each `key=value`. PyctrError for a key that is not known, or a wrong
        value.
        """
        alternatives: dict[str, list[Callable[[R], bool]]] = {}
        for text in filters:
            key, test = self._parse(store, text, known or frozenset(self._makers))
            alternatives.setdefault(text if key == "label" else key, []).append(test)
        return [row for row in found if all([any([t(row) for t in each]) for each in alternatives.values()])]

    def _parse(self, store: Store, text: str, known: frozenset[str]) -> tuple[str, Callable[[R], bool]]:
        """The key and the test of one filter."""
        key, equals, value = text.partition("=")
        negated = key.endswith("!")
        name = key.rstrip("!").lower()
        if name not in known or (negated and name not in self._negatable):
            raise PyctrError(
                f"{key} is an invalid {self._word}", f"Supported are {', '.join(sorted(known))}."
            )
        if not equals:
            raise PyctrError(f'invalid filter "{text}": it has no value', f"Write it as {name}=VALUE.")
        test = self._makers[name](store, value)
        return name, (lambda row: not test(row)) if negated else test


def truth(key: str, value: str) -> bool:
    """True or false as filters spell it."""
    if value.lower() in ("true", "1", "t"):
        return True
    if value.lower() in ("false", "0", "f"):
        return False
    raise PyctrError(f"the filter {key} needs true or false, not {value!r}")
