"""What run and create share: from a request to a written container, with the image pulled when it is
missing.
"""

from pyctr.cli import pulling
from pyctr.engine import create

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyctr.cli.reader import Options
    from pyctr.engine.request import Request
    from pyctr.rootless.idmap import IdMaps
    from pyctr.runtime.spec import Spec
    from pyctr.runtime.state import State


def make(
    options: "Options", request: "Request", maps: "IdMaps | None" = None, state: "State | None" = None
) -> "Spec":
    """The container that the request asks for, not started. PyctrError leaves nothing behind."""
    if request.rootfs:
        return create.create(options.store, request, None, maps, state)
    found = pulling.image_for(options.store, request.image_name, options.pull, options)
    named = request.replace(image_name=found.name or request.image_name)
    return create.create(options.store, named, found.image, maps, state)
