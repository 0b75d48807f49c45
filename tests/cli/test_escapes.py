"""What images, containers and registries say of themselves drives no terminal."""

import json
import pathlib
from collections.abc import Iterator

import pytest

from tests.commands import Cli
from tests.image.servers import Sample, Scripted, send, serve, status
from tests.images import Layer, image_config, write_docker_archive
from tests.runtime.terminals import terminal

EVIL = "\x1b]0;owned\x07\x9b31m\u202egnp\x7f\r"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with serve() as server:
        yield server


def archive(path: pathlib.Path, name: str = "localhost/evil:1") -> pathlib.Path:
    """A docker-archive that is evil wherever it may be."""
    layer = Layer().folder("d").file(f"d/{EVIL}", "x").tar()
    config = {
        "Cmd": [f"/{EVIL}"],
        "Env": [f"A={EVIL}"],
        "Labels": {EVIL: EVIL, "label": EVIL},
        "User": "",
        "StopSignal": "TERM",
    }
    write_docker_archive(path, [layer], name, config)
    return path


def evil_config(diff_id: str) -> bytes:
    made = image_config([diff_id], {"Labels": {"label": EVIL}, "Cmd": [EVIL]})
    made["history"] = [{"created_by": EVIL, "comment": EVIL, "author": EVIL, "created": EVIL}]
    return json.dumps({**made, "author": EVIL, "architecture": EVIL, "created": EVIL, "os": EVIL}).encode()


@pytest.fixture
def evil(cli: Cli, tmp_path: pathlib.Path) -> str:
    """An image, a container of it, a volume and a list, all of them evil."""
    cli("load", "-q", "-i", archive(tmp_path / "evil.tar"))
    cli("create", "--name", "box", "--label", f"l={EVIL}", "localhost/evil:1", "x", EVIL)
    cli("commit", "-q", "-m", EVIL, "--author", EVIL, "box", "again")
    cli("volume", "create", "--label", f"a={EVIL}", "vol")
    cli("manifest", "create", "--annotation", f"a={EVIL}", "list", "localhost/evil:1")
    return "localhost/evil:1"


def is_tame(text: str) -> bool:
    return all(line.replace("\t", "").isprintable() for line in text.split("\n"))


def on_terminal(cli: Cli, *words: object) -> str:
    """What a command prints on a terminal."""
    with terminal(columns=200) as screen:
        screen.run(cli, *words)
        screen.command.wait(60)
        screen.type("\n=end=\n")  # the echo of it comes after all output
        return screen.read("=end=").replace("\r\n", "\n").replace("=end=", "")


TABLES = [
    "images",
    "images --digests --no-trunc",
    "history evil:1",
    "history --no-trunc again",
    "image tree --whatrequires evil:1",
    "image diff evil:1",
    "image diff --format json evil:1",
    "ps -a",
    "ps -a --no-trunc --size",
    "ps -a --format table{{.Command}}\t{{.Labels}}",
    "system df -v",
    "volume ls",
    "inspect box",
    "image inspect evil:1 again",
    "history --format json again",
    "images --format json",
    "ps -a --format json",
    "volume inspect vol",
    "manifest inspect list",
]
TEMPLATES = [
    ("image inspect -f {{.Config.Cmd}} evil:1", "Cmd"),
    ('image inspect -f {{index(.Config.Labels)"label"}} evil:1', "label"),
    ("inspect -f {{json(.Config)}} box", "json"),
    ("history --format {{.Comment}} again", "Comment"),
    ("ps -a --no-trunc --format {{.Command}}", "Command"),
    ("volume inspect --format {{.Labels}} vol", "Labels"),
]


def words_of(command: str) -> list[str]:
    """The words of a command; brackets stand for blanks in a word."""
    words = command.replace("table{{", "table({{").split(" ")
    return [word.replace("(", " ").replace(")", " ") for word in words]


def test_no_table_and_no_json_has_escapes(cli: Cli, evil: str) -> None:
    for command in TABLES:
        done = cli(*words_of(command))
        assert is_tame(done.stdout) and is_tame(done.stderr), command
    (found,) = json.loads(cli("image", "inspect", evil).stdout)
    assert found["Config"]["Labels"]["label"] == EVIL


def test_a_template_is_tame_on_a_terminal_and_exact_elsewhere(cli: Cli, evil: str) -> None:
    for command, what in TEMPLATES:
        words = words_of(command)
        assert EVIL.rstrip("\r") in cli(*words).stdout or what == "json", what
        shown = on_terminal(cli, *words)
        assert is_tame(shown) and "owned" in shown, what


def test_no_error_of_an_archive_has_escapes(cli: Cli, tmp_path: pathlib.Path) -> None:
    for name in (EVIL, f"localhost/{EVIL}:1"):
        done = cli("load", "-i", archive(tmp_path / "x.tar", name), check=False)
        assert done.returncode == 125 and is_tame(done.stderr)
    for layer in (
        Layer().file(f"../{EVIL}/../../x"),
        Layer().hardlink("a", EVIL),
        Layer().add(EVIL, type=b"9"),
    ):
        write_docker_archive(tmp_path / "y.tar", [layer.tar()], "localhost/x:1")
        assert is_tame(cli("load", "-i", tmp_path / "y.tar", check=False).stderr)


def test_no_error_of_a_container_has_escapes(cli: Cli, evil: str) -> None:
    done = cli("run", "--rm", evil, check=False)
    assert done.returncode == 127 and "owned" in done.stderr and is_tame(done.stderr)
    for words in (["run", "--rm", "--workdir", f"/{EVIL}", evil], ["run", "--rm", "-u", EVIL, evil]):
        done = cli(*words, check=False)
        assert done.returncode > 124 and is_tame(done.stderr)
    assert is_tame(cli("start", "box", "absent", check=False).stderr)


def test_nothing_that_a_registry_says_has_escapes(cli: Cli, scripted: Scripted) -> None:
    sample = Sample(scripted)
    said = json.dumps({"errors": [{"code": EVIL, "message": EVIL}]}).encode()
    path = f"{sample.path}/manifests/latest"
    for code in (400, 401, 403, 404, 418, 429, 500):
        sample.answer(path, send(said, code=code, Retry_After="0"))
        done = cli("pull", "--retry=0", sample.reference, check=False)
        assert done.returncode and is_tame(done.stderr), code
    for header in ("WWW_Authenticate", "Location", "Docker_Content_Digest", "Warning"):
        for code in (302, 401):
            sample.answer(path, status(code, **{header: 'Bearer realm="http://x\x1b[31m\x07"'}))
            assert is_tame(cli("pull", "--retry=0", sample.reference, check=False).stderr), header


def test_a_pulled_image_says_nothing_with_escapes(cli: Cli, scripted: Scripted) -> None:
    sample = Sample(scripted)
    sample.config |= json.loads(evil_config("sha256:" + "0" * 64)) | {"rootfs": sample.config["rootfs"]}
    sample.publish()
    done = cli("pull", sample.reference)
    assert "owned" in done.stderr and is_tame(done.stderr)
    for command in ("images", "history --no-trunc sample", "image tree sample", "image inspect sample"):
        assert is_tame(cli(*command.split()).stdout.replace("sample", "")), command
    sample.manifest["annotations"] = {EVIL: EVIL}
    sample.manifest["layers"][0]["mediaType"] = EVIL
    sample.publish()
    assert is_tame(cli("pull", "--retry=0", sample.reference, check=False).stderr)


def test_nothing_that_is_found_has_escapes(cli: Cli, scripted: Scripted) -> None:
    found = {"name": f"me/{EVIL}", "description": EVIL, "star_count": 1, "is_official": True}
    scripted.answers["/v1/search"] = send(json.dumps({"results": [found, {**found, "name": "x"}]}).encode())
    scripted.answers["/v2/_catalog"] = send(json.dumps({"repositories": ["x", EVIL]}).encode())
    scripted.answers["/v2/x/tags/list"] = send(json.dumps({"name": EVIL, "tags": ["1", EVIL]}).encode())
    scripted.answers["/v2/"] = status(200)
    for words in (["--no-trunc", f"{scripted.address}/x"], ["--list-tags", f"{scripted.address}/x"]):
        done = cli("search", *words, check=False)
        assert done.stdout and is_tame(done.stdout) and is_tame(done.stderr)
