"""The default seccomp profile: what a container may ask of the kernel.

An allow-list by topic, from the manual pages of the system calls. A call belongs here when the kernel
itself checks who may do what to whom (so that it is no more dangerous in a container than for the user
outside), when programs need it, and when its code is not a known source of escapes. Mounting and namespaces
are allowed, as in podman's profile, for containers inside containers and for sandboxes such as bwrap.

Calls that a newer kernel may add get ENOSYS, which programs take as "not there, try the older one"; known
calls that are denied get EPERM.
"""

import errno

from pyctr.rootless import seccomp_bpf
from pyctr.rootless.seccomp_rules import (
    ALLOW,
    Comparison,
    Profile,
    Rule,
    architectures,
    errno_action,
    machine,
)

_FILES = """
_llseek _newselect access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync file_getattr file_setattr flock fstat fstat64 fstatat64 fstatfs fstatfs64
fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown lchown32 link linkat lseek
lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pread64 preadv
preadv2 pwrite64 pwritev pwritev2 read readahead readdir readlink readlinkat readv rename renameat renameat2
rmdir stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range sync_file_range2
arm_sync_file_range arm_fadvise64_64 syncfs truncate truncate64 umask unlink unlinkat utime utimensat
utimensat_time64 utimes write writev cachestat
"""

_EXTENDED_ATTRIBUTES = """
fgetxattr flistxattr fremovexattr fsetxattr getxattr lgetxattr listxattr llistxattr lremovexattr lsetxattr
removexattr setxattr getxattrat listxattrat removexattrat setxattrat
"""

_WAITING = """
epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old
eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch poll ppoll
ppoll_time64 pselect6 pselect6_time64 select
"""

_ASYNCHRONOUS = """
io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
"""

_PIPES_AND_COPIES = "pipe pipe2 sendfile sendfile64 splice tee"

_MEMORY = """
brk get_mempolicy madvise map_shadow_stack mbind membarrier memfd_create memfd_secret mincore mlock mlock2
mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect
remap_file_pages set_mempolicy set_mempolicy_home_node
"""

_PROCESSES = """
clone clone3 execve execveat exit exit_group fork vfork wait4 waitid waitpid kill tkill tgkill pidfd_getfd
pidfd_open pidfd_send_signal process_mrelease process_vm_readv process_vm_writev ptrace prctl
restart_syscall
"""

_IDENTITY = """
capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp
getpid getppid getresgid getresgid32 getresuid getresuid32 getsid gettid getuid getuid32 setfsgid setfsgid32
setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid setregid setregid32 setresgid setresgid32
setresuid setresuid32 setreuid setreuid32 setsid setuid setuid32
"""

_SCHEDULING = """
getcpu getpriority ioprio_get ioprio_set sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setpriority
"""

_THREADS = """
futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area rseq
set_robust_list set_thread_area set_tid_address
"""

_LIMITS = "getrlimit getrusage prlimit64 setrlimit sysinfo syslog times ugetrlimit uname"

_SIGNALS = """
pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaction sigaltstack signal signalfd signalfd4 sigpending
sigprocmask sigreturn sigsuspend
"""

_TIME = """
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create
timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
"""

_NETWORK = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64
recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""

_SYSTEM_V_AND_POSIX_IPC = """
ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt
shmget
"""

_RANDOMNESS_AND_SANDBOXES = """
getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self lsm_get_self_attr
lsm_list_modules seccomp
"""

_MOUNTS_AND_NAMESPACES = """
fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root setns
umount umount2 unshare
"""

# Calls that exist on some architectures only, for a processor's own features.
_PROCESSOR = """
arch_prctl breakpoint cacheflush get_tls modify_ldt riscv_flush_icache riscv_hwprobe s390_guarded_storage
s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr s390_sthyi set_tls uprobe uretprobe
"""

_ALWAYS = (
    _FILES,
    _EXTENDED_ATTRIBUTES,
    _WAITING,
    _ASYNCHRONOUS,
    _PIPES_AND_COPIES,
    _MEMORY,
    _PROCESSES,
    _IDENTITY,
    _SCHEDULING,
    _THREADS,
    _LIMITS,
    _SIGNALS,
    _TIME,
    _NETWORK,
    _SYSTEM_V_AND_POSIX_IPC,
    _RANDOMNESS_AND_SANDBOXES,
    _MOUNTS_AND_NAMESPACES,
    _PROCESSOR,
)

# The kernel would refuse these anyway without the capability; with the filter their code is not
# even reached.
_WITH_CAPABILITY = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYS_ADMIN": """
        bpf fanotify_init listmount lookup_dcookie perf_event_open quotactl quotactl_fd setdomainname
        sethostname statmount
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module query_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp process_madvise",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

# Execution domains of personality(2): Linux, Linux with its 32-bit uname, each with and without UNAME26; and
# the query. The others switch off address space randomisation or map page zero.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# Keys belong to a user of the whole machine, and root of a container is that user: with a session keyring of
# its own it could still link the user's keyring, whose number can be guessed, and read it. ENOSYS is what a
# kernel without keyrings answers; container runtimes and login programs then go on.
_KEYRING = Rule(("add_key", "keyctl", "request_key"), errno_action(errno.ENOSYS))

_AF_NETLINK, _NETLINK_AUDIT = 16, 9
_INT = 0xFFFFFFFF  # what the kernel looks at where a parameter is an int


def default_profile(capabilities: tuple[str, ...], architectures: tuple[str, ...]) -> Profile:
    """The profile of a container whose bounding set is `capabilities`."""
    rules = (
        Rule(tuple(_allowed(capabilities)), ALLOW),
        *_personality_rules(),
        *_socket_rules(capabilities),
        _KEYRING,
        Rule(seccomp_bpf.known_calls(architectures), errno_action(errno.EPERM)),
    )
    return Profile(errno_action(errno.ENOSYS), rules, architectures)


def _allowed(capabilities: tuple[str, ...]) -> list[str]:
    names = " ".join(_ALWAYS).split()
    for capability, more in _WITH_CAPABILITY.items():
        if capability in capabilities:
            names += more.split()
    return names


def _personality_rules() -> list[Rule]:
    return [
        Rule(("personality",), ALLOW, (Comparison(0, "masked_eq", value, _INT),)) for value in _PERSONALITIES
    ]


def _socket_rules(capabilities: tuple[str, ...]) -> list[Rule]:
    """No audit socket without CAP_AUDIT_WRITE.

    Programs take EINVAL as "this kernel has no audit" and go on.
    """
    rules = [Rule(("socket",), ALLOW)]
    if "CAP_AUDIT_WRITE" not in capabilities:
        audit = (
            Comparison(0, "masked_eq", _AF_NETLINK, _INT),
            Comparison(2, "masked_eq", _NETLINK_AUDIT, _INT),
        )
        rules.insert(0, Rule(("socket",), errno_action(errno.EINVAL), audit))
    return rules


def keyring_denial() -> bytes:
    """A program that denies the keyring calls and nothing else, to be loaded beside another one or alone.

    For a container that could not get a session keyring of its own and still has its user's.
    """
    return seccomp_bpf.compile_profile(Profile(ALLOW, (_KEYRING,), architectures(machine())))
