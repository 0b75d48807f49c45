"""What a container executes: command, user, working folder, environment, limits."""

from pyctr.engine import environment, security
from pyctr.engine.imagedefaults import ImageDefaults
from pyctr.engine.mounts import INIT_TARGET
from pyctr.engine.request import Request
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Process
from pyctr.storage.paths import Store


def entrypoint_and_command(
    request: Request, image: ImageDefaults
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """podman-run(1), --entrypoint: one of the user's own clears the image's command too."""
    if request.entrypoint is not None:
        return request.entrypoint, request.command
    return image.entrypoint, request.command or image.command


def plan(store: Store, request: Request, image: ImageDefaults, *, hostname: str) -> Process:
    """The process of a container. PyctrError when there is nothing to execute."""
    entrypoint, command = entrypoint_and_command(request, image)
    argv = (*entrypoint, *command)
    if not argv:
        raise PyctrError(
            "no command or entrypoint provided, and no CMD or ENTRYPOINT from image",
            "Add a command after the image.",
        )
    bounding, ambient = security.capability_sets(request.security)
    return Process(
        argv=(INIT_TARGET, "--", *argv) if request.init_binary else argv,
        env=environment.compose(request.environment, image.env, tty=request.tty, hostname=hostname),
        cwd=request.working_dir or _image_folder(image.working_dir),
        user=_user(request, image),
        groups=request.groups,
        tty=request.tty,
        stdin_open=request.stdin_open,
        capabilities=bounding,
        ambient=ambient,
        no_new_privileges=request.security.no_new_privileges,
        seccomp=_filter(store, request, bounding),
        limits=request.limits,
        umask=request.umask,
        oom_score_adj=request.oom_score_adj,
    )


def _image_folder(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _user(request: Request, image: ImageDefaults) -> str:
    """With --userns keep-id the process is the user, whatever the image says."""
    if request.user:
        return request.user
    if request.keep_id is not None:
        return f"{request.keep_id[0]}:{request.keep_id[1]}"
    return image.user


def _filter(store: Store, request: Request, bounding: tuple[str, ...]) -> str:
    profile = request.security.seccomp
    if profile == "unconfined" or (request.security.privileged and not profile):
        return ""
    from pyctr.rootless import seccomp

    return seccomp.compiled_filter(store.cache(), capabilities=bounding, profile=profile or seccomp.DEFAULT)
