"""Seccomp filters: loaded into real processes, and compared with libseccomp and podman's profile."""

import ctypes
import errno
import json
import mmap
import os
import pathlib
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pyseccomp
import pytest

from pyctr.rootless import (
    capabilities,
    seccomp,
    seccomp_bpf,
    seccomp_json,
    seccomp_profile,
    seccomp_rules,
    syscall_numbers,
    syscalls,
)
from pyctr.rootless.errors import PyctrError
from tests.rootless import bpf_machine

PODMAN_PROFILE = pathlib.Path("/usr/share/containers/seccomp.json")
ALLOW, EPERM, ENOSYS, EINVAL = "allow", "EPERM", "ENOSYS", "EINVAL"
NATIVE = seccomp_rules.architectures(seccomp_rules.machine())
NUMBERS = syscall_numbers.numbers("x86_64" if NATIVE[0] == "x86_64" else "generic")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def program(bounding: tuple[str, ...] = capabilities.DEFAULT) -> bytes:
    return seccomp_bpf.compile_profile(seccomp_profile.default_profile(bounding, NATIVE))


def filtered(filter_program: bytes, action: Callable[[], int]) -> int:
    """What `action` returns (0 to 255) in a process under the filter; minus the signal when it is killed."""
    child = os.fork()
    if not child:
        try:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            syscalls.seccomp_set_filter(filter_program)
            os._exit(action())
        finally:
            os._exit(255)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def call(number: int, *arguments: int) -> Callable[[], int]:
    """The errno of a system call, 0 when it worked."""

    def make_call() -> int:
        words = [ctypes.c_long(argument) for argument in arguments]
        return 0 if _libc.syscall(ctypes.c_long(number), *words) >= 0 else ctypes.get_errno()

    return make_call


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("getpid", (), 0),
        ("clock_gettime", (99, 0), errno.EINVAL),
        ("personality", (0xFFFFFFFF,), 0),
        ("personality", (-1,), 0),
        ("personality", (0x0040000,), errno.EPERM),  # ADDR_NO_RANDOMIZE
        ("socket", (1, 1, 0), 0),
        ("socket", (16, 3, 9), errno.EINVAL),  # NETLINK_AUDIT
        ("socket", (16, 3, 0), 0),
        ("bpf", (0, 0, 0), errno.EPERM),
        ("kexec_load", (0, 0, 0, 0), errno.EPERM),
        ("perf_event_open", (0, 0, 0, 0, 0), errno.EPERM),
        ("open_by_handle_at", (0, 0, 0), errno.EPERM),
        ("userfaultfd", (0,), errno.EPERM),
        ("io_uring_setup", (1, 0), errno.EPERM),
        ("add_key", (0, 0, 0, 0, 0), errno.ENOSYS),
        ("keyctl", (0, -3, 0), errno.ENOSYS),  # KEYCTL_GET_KEYRING_ID of the session
        ("swapon", (0, 0), errno.EPERM),
    ],
)
def test_calls_of_a_default_container(name: str, arguments: tuple[int, ...], result: int) -> None:
    assert filtered(program(), call(NUMBERS[name], *arguments)) == result


@pytest.mark.parametrize("number", [470 + 500, 9999, 0x3FFFFFFF])
def test_a_call_that_nobody_knows_is_not_there(number: int) -> None:
    assert filtered(program(), call(number)) == errno.ENOSYS


@pytest.mark.parametrize("name", ["keyctl", "add_key", "request_key"])
def test_without_a_keyring_of_its_own_there_are_no_keys(name: str) -> None:
    assert filtered(seccomp_profile.keyring_denial(), call(NUMBERS[name], 0, -3, 0)) == errno.ENOSYS


def test_a_capability_opens_its_calls() -> None:
    held = program((*capabilities.DEFAULT, "CAP_SYS_ADMIN"))
    assert filtered(held, call(NUMBERS["bpf"], -1, 0, 0)) != errno.EPERM


def test_a_threaded_program_runs() -> None:
    def run() -> int:
        code = "import threading; t = threading.Thread(target=print); t.start(); t.join()"
        return subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode

    assert filtered(program(), run) == 0


def interrupt_80(number: int) -> int:
    """The errno of a system call through the 32-bit entry of an x86_64 kernel, without arguments."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    machine_code = b"\x53\xb8" + number.to_bytes(4, "little")  # push rbx; mov eax, number
    machine_code += b"\x31\xdb\x31\xc9\x31\xd2"  # xor ebx, ebx; xor ecx, ecx; xor edx, edx
    code.write(machine_code + b"\xcd\x80\x5b\xc3")  # int 0x80; pop rbx; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return 0 if result >= 0 else -result


@pytest.mark.skipif(NATIVE[0] != "x86_64", reason="int 0x80 is x86")
@pytest.mark.parametrize(
    ("name", "result"),
    [("getpid", 0), ("bpf", errno.EPERM), ("kexec_load", errno.EPERM), ("clone3", errno.EINVAL)],
)
def test_calls_through_the_32_bit_entry(name: str, result: int) -> None:
    number = syscall_numbers.numbers("x86")[name]
    assert filtered(program(), lambda: interrupt_80(number)) == result


def answer(filter_program: bytes, architecture: str, name: str, *arguments: int) -> str:
    """The answer as a word, from the program run by hand."""
    token = bpf_machine.ARCHITECTURES["x86_64" if architecture == "x32" else architecture]
    table = {"aarch64": "generic"}.get(architecture, architecture)
    number = syscall_numbers.numbers(table)[name]
    action = bpf_machine.run(filter_program, token, number, arguments)
    if action & 0xFFFF0000 == seccomp_rules.ERRNO:
        return errno.errorcode[action & 0xFFFF]
    return ALLOW if action == seccomp_rules.ALLOW else hex(action)


def test_other_architectures_are_killed() -> None:
    action = bpf_machine.run(
        program(), bpf_machine.ARCHITECTURES["aarch64" if NATIVE[0] != "aarch64" else "x86"], 1
    )
    assert action == seccomp_rules.KILL_PROCESS


@pytest.mark.parametrize(
    "machine", ["x86_64", "aarch64", "riscv64", "loongarch64", "ppc64le", "s390x", "armv7l", "i686"]
)
def test_every_machine_has_a_filter_that_lets_programs_run(machine: str) -> None:
    names = [
        name.replace("armv7l", "arm").replace("i686", "x86") for name in seccomp_rules.architectures(machine)
    ]
    profile = seccomp_profile.default_profile(capabilities.DEFAULT, tuple(names))
    assert 100 < len(seccomp_bpf.compile_profile(profile)) // 8 < 1000


# Where this profile answers otherwise than podman's, and why.
OTHER_THAN_PODMAN = {
    (ENOSYS, EPERM): {  # known and denied; podman leaves what it does not list to its default
        *(
            "_sysctl",
            "create_module",
            "get_kernel_syms",
            "getpmsg",
            "putpmsg",
            "afs_syscall",
            "tuxcall",
            "vserver",
        ),
        *("security", "io_uring_setup", "io_uring_enter", "io_uring_register"),
        *("quotactl_fd", "statmount", "listmount", "lsm_set_self_attr"),
        *("break", "stty", "gtty", "ftime", "prof", "lock", "mpx", "ulimit", "profil", "idle"),
    },
    (ALLOW, ENOSYS): {"keyctl"},  # it reaches the keys of the user outside
    (ALLOW, EPERM): {"reboot"},  # the kernel answers EPERM
    (EPERM, ALLOW): {"io_pgetevents"},  # as harmless as io_getevents
    (ENOSYS, ALLOW): {  # newer than the podman of Debian 12
        *(
            "cachestat",
            "fchmodat2",
            "file_getattr",
            "file_setattr",
            "futex_requeue",
            "futex_wait",
            "futex_waitv",
        ),
        *("futex_wake", "getxattrat", "io_pgetevents_time64", "listxattrat", "lsm_get_self_attr", "mseal"),
        *(
            "lsm_list_modules",
            "map_shadow_stack",
            "open_tree_attr",
            "removexattrat",
            "set_mempolicy_home_node",
        ),
        *("setxattrat", "uprobe", "uretprobe"),
    },
}


@pytest.mark.skipif(not PODMAN_PROFILE.exists(), reason="podman's profile is not installed")
@pytest.mark.skipif(NATIVE[0] != "x86_64", reason="the table is that of x86")
@pytest.mark.parametrize("architecture", ["x86_64", "x86", "x32"])
def test_every_other_call_is_answered_as_by_podman(architecture: str) -> None:
    text = PODMAN_PROFILE.read_bytes()
    theirs = seccomp_bpf.compile_profile(seccomp_json.parse_profile(text, "podman", capabilities.DEFAULT))
    ours = program()
    for name in syscall_numbers.numbers(architecture):
        pair = answer(theirs, architecture, name), answer(ours, architecture, name)
        expected = [known for known, names in OTHER_THAN_PODMAN.items() if name in names] or [
            (pair[0], pair[0])
        ]
        # A newer podman may have caught up.
        assert pair in expected or pair[0] == pair[1], name


@pytest.mark.parametrize(
    ("table", "architecture"),
    [
        ("x86_64", pyseccomp.Arch.X86_64),
        ("x86", pyseccomp.Arch.X86),
        ("x32", pyseccomp.Arch.X32),
        ("generic", pyseccomp.Arch.AARCH64),
        ("generic", pyseccomp.Arch.RISCV64),
        ("arm", pyseccomp.Arch.ARM),
        ("ppc64", pyseccomp.Arch.PPC64LE),
        ("s390x", pyseccomp.Arch.S390X),
    ],
)
def test_numbers_are_those_of_libseccomp(table: str, architecture: int) -> None:
    numbers = syscall_numbers.numbers(table)
    known = {name: pyseccomp.resolve_syscall(architecture, name) for name in numbers}
    shared = {name: number & 0xFFFFFFFF for name, number in known.items() if number >= 0}
    assert len(shared) > 300
    assert shared == {name: numbers[name] for name in shared}


OPERATORS = {
    "SCMP_CMP_NE": pyseccomp.NE,
    "SCMP_CMP_LT": pyseccomp.LT,
    "SCMP_CMP_LE": pyseccomp.LE,
    "SCMP_CMP_EQ": pyseccomp.EQ,
    "SCMP_CMP_GE": pyseccomp.GE,
    "SCMP_CMP_GT": pyseccomp.GT,
    "SCMP_CMP_MASKED_EQ": pyseccomp.MASKED_EQ,
}
WORDS = (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, 1 << 63, (1 << 64) - 1)


def random_profile(chance: random.Random) -> dict[str, Any]:
    """A call allowed always, and some allowed with one to three arguments.

    One rule a call: with several, libseccomp 2.5.4 gets some 64-bit comparisons wrong.
    """
    entries: list[dict[str, Any]] = [{"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"}]
    for name in ("mount", "ioctl", "clone"):
        indexes = chance.sample(range(6), chance.randint(1, 3))
        arguments = [random_argument(chance, index) for index in indexes]
        entries.append({"name": name, "action": "SCMP_ACT_ALLOW", "args": arguments})
    return {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": entries}


def random_argument(chance: random.Random, index: int) -> dict[str, Any]:
    operator = chance.choice(list(OPERATORS))
    return {"index": index, "op": operator, "value": chance.choice(WORDS), "valueTwo": chance.choice(WORDS)}


def compiled_by_libseccomp(profile: dict[str, Any]) -> bytes:
    built = pyseccomp.SyscallFilter(pyseccomp.ERRNO(38))
    for entry in profile["syscalls"]:
        for name in entry.get("names") or [entry["name"]]:
            arguments = [
                pyseccomp.Arg(a["index"], OPERATORS[a["op"]], a["value"], a["valueTwo"])
                for a in entry.get("args", [])
            ]
            if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:
                built.add_rule(pyseccomp.ALLOW, name, *arguments)
    with open(os.memfd_create("filter"), "w+b") as file:
        built.export_bpf(file)
        file.seek(0)
        return file.read()


@pytest.mark.skipif(NATIVE[0] != "x86_64", reason="compares x86_64")
@pytest.mark.parametrize("seed", range(60))
def test_profiles_of_users_compile_as_with_libseccomp(seed: int) -> None:
    chance = random.Random(seed)
    profile = random_profile(chance)
    ours = seccomp_bpf.compile_profile(
        seccomp_json.parse_profile(json.dumps(profile).encode(), "random", ())
    )
    theirs = compiled_by_libseccomp(profile)
    for name in ("read", "write", "mount", "ioctl", "clone"):
        for _ in range(50):
            words = [chance.choice(WORDS) for _ in range(6)]
            assert answer(ours, "x86_64", name, *words) == answer(theirs, "x86_64", name, *words)


@pytest.mark.parametrize(
    ("argument", "result"),
    [(0, EINVAL), (5, ALLOW), (6, ALLOW), (7, EPERM), (1 << 32, ENOSYS), ((1 << 32) + 5, ENOSYS)],
)
def test_the_first_of_several_rules_that_holds_decides(argument: int, result: str) -> None:
    def rule(action: int, *comparisons: seccomp_rules.Comparison) -> seccomp_rules.Rule:
        return seccomp_rules.Rule(("ioctl",), action, comparisons)

    rules = (
        rule(seccomp_rules.errno_action(errno.EINVAL), seccomp_rules.Comparison(1, "lt", 5)),
        rule(seccomp_rules.ALLOW, seccomp_rules.Comparison(1, "le", 6)),
        rule(seccomp_rules.errno_action(errno.EPERM), seccomp_rules.Comparison(1, "lt", 1 << 32)),
    )
    profile = seccomp_rules.Profile(seccomp_rules.errno_action(errno.ENOSYS), rules, NATIVE)
    assert answer(seccomp_bpf.compile_profile(profile), NATIVE[0], "ioctl", 0, argument) == result


@pytest.mark.parametrize(
    ("conditions", "result"),
    [
        ({"includes": {"caps": ["CAP_CHOWN"]}}, ALLOW),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, EPERM),
        ({"excludes": {"caps": ["CAP_CHOWN"]}}, EPERM),
        ({"includes": {"arches": ["amd64", "arm64"]}}, ALLOW),
        ({"includes": {"arches": ["s390x"]}}, EPERM),
        ({"includes": {"minKernel": "4.8"}}, ALLOW),
        ({"includes": {"minKernel": "99.0"}}, EPERM),
        ({"args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}, EPERM),
        ({"args": [{"index": 0, "value": v, "op": "SCMP_CMP_EQ"} for v in (1, 7)]}, ALLOW),  # alternatives
    ],
)
def test_conditions_of_a_profile(conditions: dict[str, Any], result: str) -> None:
    entry = {"names": ["getsid"], "action": "SCMP_ACT_ALLOW", **conditions}
    text = json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry]}).encode()
    compiled = seccomp_bpf.compile_profile(seccomp_json.parse_profile(text, "test", ("CAP_CHOWN",)))
    assert answer(compiled, NATIVE[0], "getsid", 7) == result


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "bad seccomp profile"),
        ("[]", "bad seccomp profile"),
        ("{}", "'defaultAction' is missing"),
        ('{"defaultAction": "SCMP_ACT_SLEEP"}', "SCMP_ACT_SLEEP"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]}', "'action' is missing"),
        ('{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}', "listenerPath"),
    ],
)
def test_a_bad_profile_is_named(tmp_path: pathlib.Path, text: str, complaint: str) -> None:
    profile = tmp_path / "bad.json"
    profile.write_text(text)
    with pytest.raises(PyctrError, match=complaint) as caught:
        seccomp.compiled_filter(str(tmp_path / "cache"), capabilities=(), profile=str(profile))
    assert str(profile) in caught.value.message


def test_a_missing_profile_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PyctrError, match="cannot read the seccomp profile /no/such"):
        seccomp.compiled_filter(str(tmp_path), capabilities=(), profile="/no/such")


@pytest.fixture
def profiles(tmp_path: pathlib.Path) -> Iterator[Callable[..., pathlib.Path]]:
    def compiled(*names: str, **options: Any) -> pathlib.Path:
        return pathlib.Path(seccomp.compiled_filter(str(tmp_path / "cache"), capabilities=names, **options))

    yield compiled
    assert not list(tmp_path.glob("cache/*.tmp"))


def test_a_filter_is_compiled_once(profiles: Callable[..., pathlib.Path]) -> None:
    first = profiles(*capabilities.DEFAULT)
    made = first.stat()
    assert profiles(*reversed(capabilities.DEFAULT)) == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    assert seccomp.read_program(str(first)) == program()


def test_each_kind_of_container_has_its_own_file(
    profiles: Callable[..., pathlib.Path], tmp_path: pathlib.Path
) -> None:
    custom = tmp_path / "allow.json"
    custom.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    kinds = [profiles(), profiles("CAP_SYS_ADMIN"), profiles(profile=str(custom))]
    custom.write_text('{"defaultAction": "SCMP_ACT_LOG"}')
    kinds.append(profiles(profile=str(custom)))
    assert len(set(kinds)) == len(kinds)


def test_an_empty_file_is_compiled_again(profiles: Callable[..., pathlib.Path]) -> None:
    path = profiles("CAP_CHOWN")
    path.write_bytes(b"")
    assert profiles("CAP_CHOWN").stat().st_size > 0


def test_a_removed_default_filter_is_made_again(profiles: Callable[..., pathlib.Path]) -> None:
    path = profiles("CAP_CHOWN", "CAP_SYS_ADMIN")
    before = path.read_bytes()
    path.unlink()
    assert seccomp.read_program(str(path)) == before


def test_a_removed_filter_of_the_users_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PyctrError, match="0123-2-x86_64-0.bpf is gone"):
        seccomp.read_program(str(tmp_path / "0123-2-x86_64-0.bpf"))


def test_a_changed_program_has_a_new_version() -> None:
    """When this fails: raise seccomp.VERSION, so that no stale filter is used, and change the pair."""
    profile = seccomp_profile.default_profile(capabilities.DEFAULT, ("x86_64", "x86", "x32"))
    assert (seccomp.VERSION, zlib.crc32(seccomp_bpf.compile_profile(profile))) == (2, 357535132)


def test_a_hit_loads_no_compiler(profiles: Callable[..., pathlib.Path]) -> None:
    path = profiles("CAP_CHOWN")
    code = (
        "import sys; from pyctr.rootless import seccomp;"
        f"seccomp.compiled_filter({str(path.parent)!r}, capabilities=('CAP_CHOWN',));"
        "print([name for name in sys.modules if name in ('json', 'hashlib', 're', 'typing', 'struct')"
        " or name.startswith(('pyctr.rootless.seccomp_', 'pyctr.rootless.syscall_n'))])"
    )
    source = str(pathlib.Path(__file__).parents[2] / "src")
    script = f"import sys; sys.path.append({source!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("[]", "['struct']")  # ctypes needs struct
