"""What a container executes."""

import os

import pytest

from pyctr.engine import process
from pyctr.engine.imagedefaults import ImageDefaults
from pyctr.engine.request import Request, Security
from pyctr.rootless.errors import PyctrError
from pyctr.storage.paths import Store

IMAGE = ImageDefaults(entrypoint=("e", "1"), command=("c", "2"), user="app", working_dir="/srv")


@pytest.mark.parametrize(
    ("request_", "image", "argv"),
    [
        (Request(), IMAGE, ("e", "1", "c", "2")),
        (Request(command=("x",)), IMAGE, ("e", "1", "x")),
        (Request(entrypoint=("n",)), IMAGE, ("n",)),
        (Request(entrypoint=("n",), command=("x",)), IMAGE, ("n", "x")),
        (Request(entrypoint=(), command=("x",)), IMAGE, ("x",)),
        (Request(command=("x",)), ImageDefaults(), ("x",)),
        (Request(), ImageDefaults(command=("c",)), ("c",)),
        (Request(init_binary="/i", command=("x",)), ImageDefaults(), ("/run/podman-init", "--", "x")),
    ],
)
def test_argv(place: Store, request_: Request, image: ImageDefaults, argv: tuple[str, ...]) -> None:
    assert process.plan(place, request_, image, hostname="h").argv == argv


@pytest.mark.parametrize("request_", [Request(), Request(entrypoint=())])
def test_something_must_be_executed(place: Store, request_: Request) -> None:
    with pytest.raises(PyctrError, match="no command or entrypoint provided"):
        process.plan(
            place, request_, ImageDefaults(command=("c",) if request_.entrypoint == () else ()), hostname="h"
        )


@pytest.mark.parametrize(
    ("request_", "image", "cwd"),
    [
        (Request(), ImageDefaults(), "/"),
        (Request(), IMAGE, "/srv"),
        (Request(), ImageDefaults(working_dir="srv"), "/srv"),
        (Request(working_dir="/w"), IMAGE, "/w"),
    ],
)
def test_working_folder(place: Store, request_: Request, image: ImageDefaults, cwd: str) -> None:
    asked = request_.replace(command=("x",))
    assert process.plan(place, asked, image, hostname="h").cwd == cwd


@pytest.mark.parametrize(
    ("request_", "user"),
    [
        (Request(), "app"),
        (Request(user="1:2"), "1:2"),
        (Request(keep_id=(5, 6)), "5:6"),
        (Request(keep_id=(5, 6), user="root"), "root"),
    ],
)
def test_user(place: Store, request_: Request, user: str) -> None:
    assert process.plan(place, request_, IMAGE, hostname="h").user == user


@pytest.mark.parametrize(
    ("security", "filtered"),
    [
        (Security(), True),
        (Security(seccomp="unconfined"), False),
        (Security(privileged=True), False),
        (Security(capabilities_dropped=("ALL",)), True),
    ],
)
def test_filter(place: Store, security: Security, filtered: bool) -> None:
    path = process.plan(place, Request(security=security), IMAGE, hostname="h").seccomp
    assert bool(path) == filtered
    assert not filtered or os.path.getsize(path) % 8 == 0
