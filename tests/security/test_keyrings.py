"""Keys of the kernel when the user has no room for another keyring (EDQUOT after 200 keys)."""

import ctypes
import errno
import os

from pyctr.rootless import syscall_numbers, syscalls, userns
from pyctr.rootless.idmap import IdMaps, IdRange
from pyctr.runtime import program
from pyctr.runtime.spec import Process

MACHINE = os.uname().machine
NUMBERS = syscall_numbers.numbers("x86_64" if MACHINE == "x86_64" else "generic")
SESSION = ctypes.c_long(-3)

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def as_subordinate_id(place: int) -> None:
    """Root of a user namespace whose root is a subordinate id: not the user's own quota is used up."""
    uid = userns.subordinate_ranges("/etc/subuid", os.getuid())[0][0] + place
    gid = userns.subordinate_ranges("/etc/subgid", os.getuid())[0][0] + place
    userns.enter_mapped(IdMaps((IdRange(0, uid, 1),), (IdRange(0, gid, 1),)))


def use_up_keys() -> None:
    syscalls.keyctl_join_session_keyring()
    for number in range(1000):
        arguments = (b"user", f"key-{number}".encode(), b"x", ctypes.c_long(1), SESSION)
        if libc.syscall(NUMBERS["add_key"], *arguments) < 0:
            if ctypes.get_errno() != errno.EDQUOT:
                raise OSError(ctypes.get_errno(), "add_key")
            return


def errno_of_keyctl() -> int:
    result = libc.syscall(NUMBERS["keyctl"], ctypes.c_long(0), SESSION, ctypes.c_long(0))
    return ctypes.get_errno() if result < 0 else 0


def run_filtered(place: int, *, full: bool) -> int:
    """The errno of keyctl(2) in a process that got its keyring and filters as a container's does."""
    child = os.fork()
    if not child:
        code = 255
        try:
            as_subordinate_id(place)
            if full:
                use_up_keys()
            for loaded in program.load_filters(Process(("sh",), ())):
                syscalls.seccomp_set_filter(loaded)
            code = errno_of_keyctl()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_without_room_the_keyring_calls_are_denied() -> None:
    assert run_filtered(301, full=True) == errno.ENOSYS


def test_with_room_they_work() -> None:
    assert run_filtered(302, full=False) == 0
