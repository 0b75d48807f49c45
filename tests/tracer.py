"""Kills a command with all its processes at the N-th system call that changes files, of whichever process.

    python tests/tracer.py N COMMAND ARGUMENT...

N = 0 lets it run to its end. Prints `calls exit-code` of the command (-9: killed) on standard output; that
of the command goes to standard error. A process of its own, since it waits for whatever child ends.

ptrace(2): every fork, clone and exec of the tree is followed. A traced process that executes a set-uid
program gets no privileges from it, so newuidmap and newgidmap are let go right before.
"""

import ctypes
import os
import signal
import stat
import sys

from pyctr.rootless.syscall_numbers import numbers

TRACEME, PEEKDATA, DETACH, SYSCALL, SETOPTIONS, GETEVENTMSG, INFO = 0, 2, 17, 24, 0x4200, 0x4201, 0x420E
FOLLOW = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000  # sysgood, fork, vfork, clone, exec, exitkill
WALL = 0x40000000
ENTRY, EXIT = 1, 2
LET_GO = (b"/newuidmap", b"/newgidmap")

ALWAYS = """mkdir mkdirat mknod mknodat rename renameat renameat2 link linkat symlink symlinkat unlink
    unlinkat rmdir truncate chmod fchmodat fchmodat2 chown lchown fchownat setxattr lsetxattr
    removexattr lremovexattr utimensat creat syncfs""".split()
OF_FILES = """write pwrite64 writev pwritev pwritev2 sendfile copy_file_range ftruncate fallocate fsync
    fdatasync fchmod fchown fsetxattr fremovexattr""".split()


class Info(ctypes.Structure):
    """struct ptrace_syscall_info, as far as the entry needs it."""

    _fields_ = [
        ("op", ctypes.c_uint8),
        ("pad", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("args", ctypes.c_uint64 * 6),
    ]


libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int, address: object = None, data: object = None) -> int:
    """OSError but for reads of memory, where -1 may be a value."""
    ctypes.set_errno(0)
    result = int(libc.ptrace(request, pid, address, data))
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Tracer:
    """Runs a command; `count` state-changing calls were made so far by all of its processes."""

    def __init__(self, kill_at: int) -> None:
        table = numbers(os.uname().machine)
        self._always = {table[name] for name in ALWAYS if name in table}
        self._of_files = {table[name] for name in OF_FILES if name in table}
        self._opens = {table[name]: at for name, at in (("open", 1), ("openat", 2)) if name in table}
        self._openat2, self._execve = table["openat2"], table["execve"]
        self._kill_at = kill_at
        self._pids: set[int] = set()
        self._info = Info()
        self.count = 0

    def run(self, argv: list[str]) -> int:
        """The exit code of the command, -9 when it was killed."""
        first = os.fork()
        if not first:
            ptrace(TRACEME, 0)
            os.dup2(2, 1)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.execvp(argv[0], argv)
        os.waitpid(first, WALL)
        ptrace(SETOPTIONS, first, None, FOLLOW)
        self._pids.add(first)
        ptrace(SYSCALL, first)
        return self._follow(first)

    def _follow(self, first: int) -> int:
        code = 0
        while True:
            try:
                pid, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                return code
            if os.WIFSTOPPED(status):
                self._stopped(pid, status)
                continue
            self._pids.discard(pid)
            if pid == first:
                code = os.waitstatus_to_exitcode(status)

    def _stopped(self, pid: int, status: int) -> None:
        self._pids.add(pid)
        number, event = os.WSTOPSIG(status), status >> 16
        try:
            if number == signal.SIGTRAP | 0x80:
                if self._wants_detach(pid):
                    self._pids.discard(pid)
                    ptrace(DETACH, pid)
                    return
                number = 0
            elif event or number in (signal.SIGSTOP, signal.SIGTRAP):
                number = 0  # a new process, an exec
            ptrace(SYSCALL, pid, None, number)
        except ProcessLookupError:
            pass  # killed meanwhile

    def _wants_detach(self, pid: int) -> bool:
        """Looks at one stop of a system call; True when the process is to be let go."""
        ptrace(INFO, pid, ctypes.sizeof(Info), ctypes.addressof(self._info))
        if self._info.op != ENTRY:
            return False
        number = self._info.number
        if number == self._execve:
            return self._text(pid, self._info.args[0]).endswith(LET_GO)
        if self._changes(pid, number):
            self.count += 1
            if self.count == self._kill_at:
                self._kill_all()
        return False

    def _changes(self, pid: int, number: int) -> bool:
        args = self._info.args
        if number in self._always:
            return True
        if number in self._of_files:
            return is_file(pid, args[0] & 0xFFFFFFFF)
        if number in self._opens:
            return bool(args[self._opens[number]] & (os.O_CREAT | os.O_TRUNC))
        if number == self._openat2:
            return bool(ptrace(PEEKDATA, pid, args[2]) & (os.O_CREAT | os.O_TRUNC))
        return False

    def _text(self, pid: int, address: int) -> bytes:
        """A text in the memory of a process."""
        found = b""
        while b"\0" not in found and len(found) < 4096:
            found += (ptrace(PEEKDATA, pid, address + len(found)) & (1 << 64) - 1).to_bytes(8, sys.byteorder)
        return found.partition(b"\0")[0]

    def _kill_all(self) -> None:
        for pid in self._pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def is_file(pid: int, fd: int) -> bool:
    """Whether a descriptor of a process is a file or folder on a disk, not a pipe or a terminal."""
    try:
        mode = os.stat(f"/proc/{pid}/fd/{fd}").st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


if __name__ == "__main__":
    tracer = Tracer(int(sys.argv[1]))
    ended = tracer.run(sys.argv[2:])
    print(tracer.count, ended)
