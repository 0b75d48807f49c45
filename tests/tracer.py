"""Kills a command with all its processes at the N-th system call that changes files, of whichever process.

    python tests/tracer.py kill|full N COMMAND ARGUMENT...

With `full` the command lives on, but from the N-th call on the disk is full: whatever needs room fails with
ENOSPC. N = 0 lets it run to its end. Prints `calls exit-code` of the command (-9: killed) on standard
output; that of the command goes to standard error. A process of its own, since it waits for whatever child
ends.

ptrace(2): every fork, clone and exec of the tree is followed. A traced process that executes a set-uid
program gets no privileges from it, so newuidmap and newgidmap are let go right before.
"""

import ctypes
import errno
import os
import signal
import stat
import sys

from pyctr.rootless.syscall_numbers import numbers

TRACEME, PEEKDATA, POKEUSER, DETACH, SYSCALL = 0, 2, 6, 17, 24
SETOPTIONS, GETEVENTMSG, INFO = 0x4200, 0x4201, 0x420E
FOLLOW = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x100000  # sysgood, fork, vfork, clone, exec, exitkill
WALL = 0x40000000
ENTRY, EXIT = 1, 2
LET_GO = (b"/newuidmap", b"/newgidmap")
RAX, ORIG_RAX = 10 * 8, 15 * 8  # offsets in struct user of x86_64
AT_FDCWD = -100

ALWAYS = """mkdir mkdirat mknod mknodat rename renameat renameat2 link linkat symlink symlinkat unlink
    unlinkat rmdir truncate chmod fchmodat fchmodat2 chown lchown fchownat setxattr lsetxattr
    removexattr lremovexattr utimensat creat syncfs""".split()
OF_FILES = """write pwrite64 writev pwritev pwritev2 sendfile copy_file_range ftruncate fallocate fsync
    fdatasync fchmod fchown fsetxattr fremovexattr""".split()
NEED_NO_ROOM = """unlink unlinkat rmdir truncate ftruncate chmod fchmodat fchmodat2 chown lchown fchownat
    removexattr lremovexattr utimensat fchmod fchown fremovexattr""".split()


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

    def __init__(self, at: int, *, full: bool) -> None:
        table = numbers(os.uname().machine)
        if full and os.uname().machine != "x86_64":
            raise SystemExit("calls can be made to fail on x86_64 only")
        self._always = {table[name] for name in ALWAYS if name in table}
        self._of_files = {table[name] for name in OF_FILES if name in table}
        self._opens = {table[name]: at for name, at in (("open", 1), ("openat", 2)) if name in table}
        self._openat2, self._execve = table["openat2"], table["execve"]
        self._need_no_room = {table[name] for name in NEED_NO_ROOM if name in table}
        self._at, self._full = at, full
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
            if self._full and 0 < self._at <= self.count and self._needs_room(pid, number):
                ptrace(POKEUSER, pid, ORIG_RAX, -1)  # no call at all
                ptrace(POKEUSER, pid, RAX, -errno.ENOSPC)
            elif self.count == self._at and not self._full:
                self._kill_all()
        return False

    def _needs_room(self, pid: int, number: int) -> bool:
        """Whether a call that changes files would fail on a full disk. Opening what is there does not."""
        if number in self._opens or number == self._openat2:
            return not self._exists(pid, by_folder=self._opens.get(number) != 1)
        if number in self._of_files and not is_on_disk(pid, self._info.args[0] & 0xFFFFFFFF):
            return False
        return number not in self._need_no_room

    def _exists(self, pid: int, *, by_folder: bool) -> bool:
        """Whether the file is there that a process opens; `by_folder`: its path is the second word."""
        folder = ctypes.c_int(self._info.args[0] & 0xFFFFFFFF).value if by_folder else AT_FDCWD
        path = os.fsdecode(self._text(pid, self._info.args[by_folder]))
        start = f"/proc/{pid}/" + ("cwd" if folder == AT_FDCWD else f"fd/{folder}")
        return os.path.lexists(f"/proc/{pid}/root{path}" if path.startswith("/") else f"{start}/{path}")

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


def is_on_disk(pid: int, fd: int) -> bool:
    """Whether a file takes room: files of the kernel and of the memory do not."""
    try:
        return not os.readlink(f"/proc/{pid}/fd/{fd}").startswith(("/proc/", "/sys/", "/memfd:"))
    except OSError:
        return False


if __name__ == "__main__":
    tracer = Tracer(int(sys.argv[2]), full=sys.argv[1] == "full")
    ended = tracer.run(sys.argv[3:])
    print(tracer.count, ended)
