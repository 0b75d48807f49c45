"""What an image's config says about the containers made from it.

Keys are those of the OCI image specification, config.md, "config", and docker's Healthcheck. Their types
were checked when the image came in.
"""

from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.runtime.spec import Healthcheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyctr.storage.images import Image

SECOND = 1_000_000_000  # nanoseconds
_LIMIT = 365 * 24 * 3600 * SECOND


class ImageDefaults(Value):
    """The image's part of a container; all empty for --rootfs."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    volumes: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    stop_signal: str = ""
    labels: dict[str, str] = {}
    healthcheck: Healthcheck | None = None


def of(image: "Image") -> ImageDefaults:
    """The defaults of an image."""
    config = image.config
    return ImageDefaults(
        entrypoint=_texts(config.get("Entrypoint")),
        command=_texts(config.get("Cmd")),
        env=_texts(config.get("Env")),
        working_dir=_text(config.get("WorkingDir")),
        user=_text(config.get("User")),
        volumes=_texts(config.get("Volumes")),
        exposed=_texts(config.get("ExposedPorts")),
        stop_signal=_text(config.get("StopSignal")),
        labels=_labels(config.get("Labels")),
        healthcheck=_healthcheck(config.get("Healthcheck"), image.id),
    )


def _text(value: "Any") -> str:
    return value if type(value) is str else ""


def _texts(value: "Any") -> tuple[str, ...]:
    """A list of texts, or the keys of an object."""
    return tuple([item for item in value if type(item) is str]) if type(value) in (list, dict) else ()


def _labels(value: "Any") -> "dict[str, str]":
    if type(value) is not dict:
        return {}
    return {key: text for key, text in value.items() if type(text) is str}


def _healthcheck(value: "Any", image: str) -> Healthcheck | None:
    if type(value) is not dict:
        return None
    test = _texts(value.get("Test"))
    if not test or test[0] == "NONE":
        return None
    if test[0] not in ("CMD", "CMD-SHELL"):
        raise PyctrError(
            f"image {image[:12]} has a healthcheck of the unknown kind {test[0]!r}", "Use --no-healthcheck."
        )
    check = Healthcheck(test)
    given = {
        "interval": _number(value.get("Interval")),
        "timeout": _number(value.get("Timeout")),
        "start_period": _number(value.get("StartPeriod")),
        "retries": _number(value.get("Retries")),
    }
    return check.replace(**{name: number for name, number in given.items() if number})


def _number(value: "Any") -> int:
    """A count or nanoseconds; 0 stands for the default."""
    return value if type(value) is int and 0 < value < _LIMIT else 0
