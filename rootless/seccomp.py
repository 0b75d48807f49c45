"""Seccomp filters, compiled once and kept as files that init loads.

The name of a file is its key: the version of the profile (of the compiler too), the machine, the
capabilities, and for a profile of the user's a digest of its text. No library takes part in compiling, so
none is part of the key.
"""

import os

from pyctr.rootless import capabilities as capability_names
from pyctr.rootless.errors import PyctrError

# To be raised with every change of the default profile, the tables or the compiler: it makes old files
# unused.
VERSION = 2

DEFAULT = "default"


def compiled_filter(cache_dir: str, *, capabilities: tuple[str, ...], profile: str = DEFAULT) -> str:
    """The file with the compiled program, which is made if it is not there.

    `profile` is "default" or the path of a JSON profile (as in podman-run(1), --security-opt=seccomp=);
    `capabilities` is the bounding set. PyctrError for a profile that cannot be read or compiled.
    """
    mask = capability_names.parse(capabilities)
    if profile == DEFAULT:
        path = f"{cache_dir}/default-{VERSION}-{os.uname().machine}-{mask:x}.bpf"
        return path if _is_complete(path) else _write(path, _default_program(capabilities))
    text = _read_profile(profile)
    path = f"{cache_dir}/{_digest(text)}-{VERSION}-{os.uname().machine}-{mask:x}.bpf"
    return path if _is_complete(path) else _compile_text(path, text, profile, capabilities)


def read_program(path: str) -> bytes:
    """The compiled program, for syscalls.seccomp_set_filter. A removed default one is compiled again."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return _compile_again(path)


def _compile_again(path: str) -> bytes:
    """A container outlives the cache: the name of its program says what was in it."""
    profile, _, rest = os.path.basename(path).removesuffix(".bpf").partition("-")
    if profile != DEFAULT:
        raise PyctrError(f"the compiled seccomp profile {path} is gone", "Create the container again.")
    mask = int(rest.rpartition("-")[2], 16)
    names = [name for number, name in enumerate(capability_names.NAMES) if mask >> number & 1]
    return _default_program(tuple(names))


def _is_complete(path: str) -> bool:
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        return False
    return size > 0


def _default_program(capabilities: tuple[str, ...]) -> bytes:
    from pyctr.rootless import seccomp_bpf, seccomp_profile, seccomp_rules

    architectures = seccomp_rules.architectures(seccomp_rules.machine())
    return seccomp_bpf.compile_profile(seccomp_profile.default_profile(capabilities, architectures))


def _compile_text(path: str, text: bytes, source: str, capabilities: tuple[str, ...]) -> str:
    from pyctr.rootless import seccomp_bpf, seccomp_json

    return _write(path, seccomp_bpf.compile_profile(seccomp_json.parse_profile(text, source, capabilities)))


def _read_profile(profile: str) -> bytes:
    try:
        with open(profile, "rb") as file:
            return file.read()
    except OSError as error:
        raise PyctrError(
            f"cannot read the seccomp profile {profile}: {error.strerror}",
            "Give the path of a JSON profile, or seccomp=unconfined for none.",
        ) from None


def _digest(text: bytes) -> str:
    """Of the text and the kernel's release, which a profile can ask for."""
    import hashlib

    return hashlib.sha256(os.uname().release.encode() + b"\0" + text).hexdigest()[:32]


def _write(path: str, program: bytes) -> str:
    """Written whole or not at all, and durable: no power cut leaves half a program."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(temporary, "wb", buffering=0) as file:
            file.write(program)
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except OSError as error:
        raise PyctrError(f"cannot write the compiled seccomp profile {path}: {error.strerror}") from None
    return path
