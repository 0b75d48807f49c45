"""Frozen values without the start-up cost of `dataclasses` (6 to 8 ms: it loads inspect).

A subclass of `Value` declares its fields as annotations, with defaults as class attributes:

    class Mount(Value):
        source: str
        target: str
        options: tuple[str, ...] = ()

Values go to JSON with `to_json` (plain dicts and lists) and come back with `from_json`, which follows the
annotations (nested values, `tuple[X, ...]`, `dict[str, X]`, `X | None`) and ignores keys that it does not
know. Modules that declare values must not use `from __future__ import annotations`: the annotations are
read.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Value:
    """Base of frozen values, compared by content."""

    def __init__(self, *args: "Any", **kwargs: "Any") -> None:
        names = type(self).fields()
        given = self.__dict__
        if args:
            if len(args) > len(names):
                raise TypeError(f"{type(self).__name__} takes {len(names)} values, not {len(args)}")
            given.update(zip(names, args, strict=False))
            if not kwargs.keys().isdisjoint(given):
                raise TypeError(f"{type(self).__name__} got a field twice: {', '.join(kwargs)}")
        if not kwargs.keys() <= names.keys():
            raise TypeError(f"{type(self).__name__} has not all of the fields {', '.join(kwargs)}")
        given.update(kwargs)
        if len(given) < len(names):  # the rest are the defaults, which the class has as attributes
            for name in names:
                if name not in given and not hasattr(type(self), name):
                    raise TypeError(f"{type(self).__name__} lacks the field {name!r}")

    @classmethod
    def fields(cls) -> "dict[str, Any]":
        """Names of the fields, in order of declaration, with their types."""
        cached = cls.__dict__.get("_fields")
        if cached is None:
            cached = {}
            for base in reversed(cls.__mro__):
                cached.update(base.__dict__.get("__annotations__", {}))
            type.__setattr__(cls, "_fields", cached)
        return cached

    def _values(self) -> "dict[str, Any]":
        """Every field with its value, in order of declaration."""
        return {name: getattr(self, name) for name in type(self).fields()}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is frozen")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(tuple(self._values().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._values().items())})"

    def replace(self, **changes: "Any") -> "Self":
        """A copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def to_json(self) -> "dict[str, Any]":
        """Plain dicts, lists, strings and numbers."""
        return {name: _plain(value) for name, value in self._values().items()}

    @classmethod
    def from_json(cls, data: "dict[str, Any]") -> "Self":
        """The value that `to_json` described. Raises TypeError or ValueError when `data` has another
        shape.
        """
        if type(data) is not dict:
            raise TypeError(f"{cls.__name__} is not an object")
        return cls(
            **{name: _typed(kind, data[name], name) for name, kind in cls.fields().items() if name in data}
        )


def _plain(value: "Any") -> "Any":
    if isinstance(value, Value):
        return value.to_json()
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _typed(kind: "Any", data: "Any", name: str) -> "Any":
    origin = getattr(kind, "__origin__", None)
    if origin is tuple and type(data) is list:
        args = kind.__args__
        if args[-1] is Ellipsis:
            return tuple([_typed(args[0], item, name) for item in data])
        if len(args) == len(data):
            return tuple([_typed(arg, item, name) for arg, item in zip(args, data, strict=True)])
    elif origin is dict and type(data) is dict:
        return {key: _typed(kind.__args__[1], item, name) for key, item in data.items()}
    elif origin is None and hasattr(kind, "__args__"):  # X | None
        return None if data is None else _typed(kind.__args__[0], data, name)
    elif origin is None and isinstance(kind, type):
        if issubclass(kind, Value):
            return kind.from_json(data)
        if type(data) is kind or kind is object or (kind is float and type(data) is int):
            return data
    raise TypeError(f"{name} is not a {kind}")
