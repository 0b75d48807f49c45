"""Which manifest of an index fits a machine.

Sources: OCI image-spec (image-index.md, "platform") and Go's GOOS and GOARCH.
"""

import os

from pyctr.image.manifest import Descriptor, Index, Invalid, Platform
from pyctr.rootless.errors import PyctrError

_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", "v8"),
    "armv8l": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}
_SYNONYMS = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "i386": "386"}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


def host() -> Platform:
    """The platform of this machine."""
    machine = os.uname().machine
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform("linux", architecture, variant)


def wanted(platform: str = "", *, arch: str = "", os_name: str = "", variant: str = "") -> Platform:
    """What --platform OS/ARCH[/VARIANT] or --arch, --os, --variant ask for, filled up with the host's."""
    here = host()
    if platform:
        if arch or os_name or variant:
            raise PyctrError("--platform cannot be combined with --arch, --os or --variant")
        parts = platform.split("/")
        if len(parts) > 3 or not all(parts):
            raise PyctrError(
                f"invalid platform {platform!r}", "Platforms look like linux/arm64 or linux/arm/v7."
            )
        os_name, arch, variant = [*parts, "", ""][:3]
    arch = _SYNONYMS.get(arch, arch)
    same = arch in ("", here.architecture)
    return Platform(os_name or here.os, arch or here.architecture, variant or (here.variant if same else ""))


def choose(index: Index, platform: Platform, what: str) -> Descriptor:
    """The manifest of `index` for `platform`. Raises Invalid with the platforms that there are."""
    for variant in _variants(platform):
        for entry in index.manifests:
            if entry.platform and _fits(entry.platform, platform, variant):
                return entry
    for entry in index.manifests:
        if entry.platform is None:
            return entry
    known = ", ".join([str(entry.platform) for entry in index.manifests if entry.platform]) or "none"
    raise Invalid(f"{what} has no image for {platform}", f"It has: {known}. Choose one with --platform.")


def mismatch(platform: Platform, found: Platform) -> bool:
    """Whether an image is for another machine than `platform`. Empty words of old images fit all."""
    if found.os not in ("", platform.os) or found.architecture not in ("", platform.architecture):
        return True
    return bool(found.architecture) and not {"*", found.variant} & {*_variants(platform)}


def warning(platform: Platform, found: Platform) -> str:
    """What is said of an image for another machine, in podman's words."""
    return f"image platform ({found}) does not match the expected platform ({platform})"


def _fits(offered: Platform, platform: Platform, variant: str) -> bool:
    same = (offered.os, offered.architecture) == (platform.os, platform.architecture)
    return same and variant in ("*", offered.variant)


def _variants(platform: Platform) -> tuple[str, ...]:
    """Variants from the best to the least good; `*` is any. A newer arm runs the code of an older one."""
    if platform.architecture == "arm" and platform.variant in ("v5", "v6", "v7", "v8"):
        return (*[f"v{n}" for n in range(int(platform.variant[1]), 4, -1)], "")
    default = _DEFAULT_VARIANTS.get(platform.architecture, "")
    if platform.variant in ("", default):
        return (default, "", "*") if not platform.variant else (default, "")
    return (platform.variant,)
