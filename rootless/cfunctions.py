"""Functions of the C library, on the C half of `ctypes` alone.

`import ctypes` costs every start 1.7 ms and every monitor 200 kB more: it makes a dozen types and their
byte-swapped twins, and loads struct and types. What is here is all that `syscalls` needs.
"""

from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    _SimpleCData,
    addressof,
    dlopen,
    dlsym,
    get_errno,
    sizeof,
)
from posix import strerror

__all__ = ["addressof", "sizeof"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Simple = _SimpleCData[Any]
else:
    _Simple = _SimpleCData


class c_char(_Simple):
    _type_ = "c"


class c_int(_Simple):
    _type_ = "i"


class c_long(_Simple):
    _type_ = "l"


class c_ulong(_Simple):
    _type_ = "L"


class c_char_p(_Simple):
    _type_ = "z"


class c_void_p(_Simple):
    """A pointer to memory: takes bytes (which the callee only reads) and arrays of c_char."""

    _type_ = "P"


class _Function(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = c_int


_libc = dlopen(None, 0)  # type: ignore[arg-type]


def _check(result: int, _function: object, _args: object) -> int:
    if result == -1:
        number = get_errno()
        raise OSError(number, strerror(number))
    return result


def bind(name: str, *argtypes: "type[_Simple]") -> "Callable[..., Any]":
    """A function of the C library that returns -1 for an error, which is raised as OSError with errno.

    The check sits on the prototype, so no caller can forget it; each call makes a prototype of its own.
    """
    function = _Function(dlsym(_libc, name))
    function.argtypes = argtypes
    function.restype = c_long if name == "syscall" else c_int
    function.errcheck = _check  # type: ignore[assignment]
    return function


def buffer(size: int) -> "Any":
    """Memory of `size` bytes for the kernel to write into; `.raw` are the bytes."""
    return (c_char * size)()


def filled_buffer(content: bytes) -> "Any":
    """Memory with a copy of `content`."""
    memory = buffer(len(content))
    memory.raw = content
    return memory
