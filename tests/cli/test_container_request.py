"""Command lines of `run` as requests."""

import os
import pathlib

import pytest

from pyctr.engine.request import Request
from pyctr.net.model import Network, PortMapping
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Log, Namespace
from pyctr.storage.paths import Store
from tests.asking import ask

SLIRP = "[network]\ndefault_rootless_network_cmd = 'slirp4netns'"


@pytest.fixture
def place(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "own.conf"))
    monkeypatch.delenv("PODMAN_USERNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return Store(root=str(tmp_path / "root"), runroot=str(tmp_path / "run"))


def configure(text: str) -> None:
    pathlib.Path(os.environ["CONTAINERS_CONF"]).write_text(text)


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ([], "image_name", "i"),
        ([], "command", ("c", "-x", "--rm")),
        ([], "ephemeral", False),
        (["--rm"], "ephemeral", True),
        (["-it"], "tty", True),
        (["-it"], "stdin_open", True),
        (["--name", "web"], "name", "web"),
        (["--name=web", "--replace"], "replaces", True),
        ([], "entrypoint", None),
        (["--entrypoint", ""], "entrypoint", ()),
        (["--entrypoint", "/bin/a b"], "entrypoint", ("/bin/a b",)),
        (["--entrypoint", '["a", "b c"]'], "entrypoint", ("a", "b c")),
        (["--entrypoint", "[a"], "entrypoint", ("[a",)),
        (["--entrypoint", "[1]"], "entrypoint", ("[1]",)),
        (["-w", "/srv"], "working_dir", "/srv"),
        (["-u", "app:1"], "user", "app:1"),
        (["--group-add", "a,b", "--group-add=5"], "groups", ("a", "b", "5")),
        (["-h", "web"], "hostname", "web"),
        (["--umask", "077"], "umask", 0o077),
        ([], "shm_size", 64 << 20),
        (["--shm-size", "1m"], "shm_size", 1 << 20),
        (["--shm-size", "0"], "shm_size", 0),
        (["--read-only"], "read_only", True),
        (["--read-only-tmpfs=false"], "read_only_tmpfs", False),
        (["--image-volume", "ignore"], "image_volumes", "ignore"),
        (["-l", "a", "-l", "b=c=d", "--label=e="], "labels", {"a": "", "b": "c=d", "e": ""}),
        (["--annotation", "a=b"], "annotations", {"a": "b"}),
        (["--stop-signal", "int"], "stop_signal", 2),
        (["--stop-timeout", "3"], "stop_timeout", 3),
        (["--restart", "no"], "restart", "no"),
        (["--restart=never"], "restart", "no"),
        (["--oom-score-adj", "-5"], "oom_score_adj", -5),
        (["--no-healthcheck"], "no_healthcheck", True),
        (["--detach-keys", ""], "detach_keys", ""),
        (["--sig-proxy=false"], "sig_proxy", False),
        (["-P"], "publish_all", True),
        ([], "namespaces", ()),
        (["--pid", "host"], "namespaces", (Namespace("pid", "host"),)),
        (
            ["--uts=host", "--ipc=host"],
            "namespaces",
            tuple(Namespace(kind, "host") for kind in ("ipc", "uts")),
        ),
        (["--network", "host"], "namespaces", (Namespace("net", "host"),)),
        (["--pid=private", "--cgroupns=private", "--ipc=shareable"], "namespaces", ()),
        (["--ipc", "none"], "no_shm", True),
        ([], "keep_id", None),
        (["--userns", "host"], "keep_id", None),
        (["--userns", ""], "keep_id", None),
        (["--userns", "keep-id"], "keep_id", (os.getuid(), os.getgid())),
        (["--userns", "keep-id:uid=5"], "keep_id", (5, os.getgid())),
        (["--userns", "keep-id:uid=5,gid=6"], "keep_id", (5, 6)),
        ([], "log", Log()),
        (["--log-driver", "none"], "log", Log("none")),
        (["--log-driver", "json-file", "--log-opt", "max-size=1m"], "log", Log(max_size=1 << 20)),
        (["--log-opt", "path=/l", "--log-opt", "tag=a,b"], "log", Log(path="/l", tag="a,b")),
    ],
)
def test_requests(place: Store, words: list[str], field: str, value: object) -> None:
    assert getattr(ask(place, *words, "i", "c", "-x", "--rm"), field) == value


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["none"], {}),
        (["slirp4netns"], {"driver": "slirp4netns"}),
        (["pasta:-T,5201"], {"driver": "pasta", "options": ("-T", "5201")}),
        (["pasta", "-p", "80:8080,53:53/udp"], {
            "driver": "pasta", "ports": (PortMapping("", 80, 8080), PortMapping("", 53, 53, "udp"))}),
        (["none", "--expose", "80", "--expose", "7-8/udp"], {"exposed": ("80/tcp", "7/udp", "8/udp")}),
        (["pasta", "--dns", "1.1.1.1,::1", "--dns-search", ".", "--dns-option=ndots:1"], {
            "driver": "pasta", "dns": ("1.1.1.1", "::1"), "dns_search": (".",),
            "dns_options": ("ndots:1",)}),
        (["pasta", "--dns", "none"], {"driver": "pasta", "manage_resolv_conf": False}),
        (["none", "--no-hosts"], {"manage_hosts": False}),
        (["none", "--add-host", "a;b:1.2.3.4", "--add-host=c:fd::1", "--add-host=d:host-gateway"], {
            "extra_hosts": ("a:1.2.3.4", "b:1.2.3.4", "c:fd::1", "d:host-gateway")}),
    ],
)  # fmt: skip
def test_networks(place: Store, words: list[str], changes: dict[str, object]) -> None:
    assert ask(place, "--network", *words, "i").network == Network().replace(**changes)


def test_ports_are_discarded_with_a_warning_where_there_is_no_network(
    place: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(place, "--net=host", "-p", "80:80", "i").network.ports == ()
    assert "Port mappings have been discarded" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--name", "a/b"],
        ["--replace"],
        ["-w", "rel"],
        ["--env", "=x"],
        ["--env-file", "/absent"],
        ["--env-merge", "A"],
        ["--label", "=x"],
        ["--label-file", "/absent"],
        ["--annotation", "x"],
        ["--cidfile", "/etc/passwd"],
        ["--stop-signal", "FOO"],
        ["--stop-timeout", "-1"],
        ["--restart", "always"],
        ["--oom-score-adj", "3000"],
        ["--umask", "999"],
        ["--ulimit", "foo=1"],
        ["--shm-size", "x"],
        ["--ipc", "host", "--shm-size", "1m"],
        ["--ipc", "container:x"],
        ["--pid", "ns:/x"],
        ["--uts", "foo"],
        ["--cgroupns", "foo"],
        ["--userns", "auto"],
        ["--userns", "nomap"],
        ["--userns", "keep-id:size=5"],
        ["--userns", "keep-id:uid=x"],
        ["--uts", "host", "-h", "x"],
        ["-h", "x" * 65],
        ["-h", "a b"],
        ["-h", "a\n1.2.3.4 evil"],
        ["--group-add", "keep-groups"],
        ["--tz", "Foo/Bar"],
        ["--init", "--init-path", "/absent"],
        ["--log-driver", "journald"],
        ["--log-opt", "label=x"],
        ["--log-opt", "max-size=x"],
        ["--security-opt", "foo=bar"],
        ["--cap-add", "foo"],
        ["-v", "/absent:/x"],
        ["-v", "/tmp:/x", "--tmpfs", "/x"],
        ["--network", "foo"],
        ["--network", "bridge"],
        ["--network", "container:x"],
        ["--network", "host:x"],
        ["--network", "none", "--network", "host"],
        ["--network", "none", "--dns", "1.1.1.1"],
        ["--network", "none", "--dns-search", "x"],
        ["--dns", "foo"],
        ["--dns-search", "a\nb"],
        ["--add-host", "foo"],
        ["--add-host", "foo:bar"],
        ["--add-host", "a b:1.2.3.4"],
        ["--no-hosts", "--add-host", "a:1.1.1.1"],
        ["-p", "a"],
        ["-p", "0:80"],
        ["--expose", "x"],
        ["--rootfs", "/absent"],
    ],
)
def test_wrong_words_are_refused(place: Store, words: list[str]) -> None:
    with pytest.raises(PyctrError):
        ask(place, *words, "i")


def test_a_root_file_system_is_a_folder(place: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "fs").mkdir()
    request = ask(place, "--rootfs", "fs", "sh")
    assert (request.rootfs, request.image_name, request.command) == (str(tmp_path / "fs"), "", ("sh",))


def test_variables(place: Store, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HOST", "1")
    monkeypatch.setenv("https_proxy", "p")
    (tmp_path / "env").write_text("A=file\nFROM_HOST\n")
    asked = ask(place, "-e", "A=word", "--env-file", "env", "-e", "NOT_THERE", "i").environment
    assert asked.given == ("A=file", "FROM_HOST=1", "A=word")
    assert "https_proxy=p" in asked.host and "FROM_HOST=1" not in asked.host
    assert ask(place, "--http-proxy=false", "i").environment.host == ()
    assert "FROM_HOST=1" in ask(place, "--env-host", "i").environment.host


def test_label_files_go_before_labels(place: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "labels").write_text("# note\na=file\nb\n")
    assert ask(place, "--label-file", "labels", "-l", "a=word", "i").labels == {"a": "word", "b": ""}


def test_files_are_named_in_full(place: Store, tmp_path: pathlib.Path) -> None:
    request = ask(place, "--cidfile", "cid", "--pidfile", "pid", "--log-opt", "path=log", "i")
    names = (request.cid_file, request.pid_file, request.log.path)
    assert names == tuple(str(tmp_path / name) for name in ("cid", "pid", "log"))


@pytest.mark.parametrize(
    ("text", "words", "field", "value"),
    [
        ("[containers]\nread_only = true", [], "read_only", True),
        ("[containers]\nread_only = true", ["--read-only=false"], "read_only", False),
        ("[containers]\nshm_size = '1m'", [], "shm_size", 1 << 20),
        ("[containers]\nshm_size = '1m'", ["--shm-size=2m"], "shm_size", 2 << 20),
        ("[containers]\nshm_size = '1m'", ["--ipc=host"], "shm_size", 1 << 20),
        ("[containers]\numask = '0077'", [], "umask", 0o077),
        ("[containers]\nlog_driver = 'none'", [], "log", Log("none")),
        ("[containers]\nlog_driver = 'journald'\nlog_size_max = 9000", [], "log", Log(max_size=9000)),
        ("[containers]\nlog_driver = 'none'", ["--log-driver=k8s-file"], "log", Log()),
        ("[containers]\npidns = 'host'", [], "namespaces", (Namespace("pid", "host"),)),
        ("[containers]\npidns = 'host'", ["--pid=private"], "namespaces", ()),
        ("[containers]\nuserns = 'keep-id:uid=1,gid=2'", [], "keep_id", (1, 2)),
        ("[containers]\nuserns = 'keep-id'", ["--userns="], "keep_id", None),
        ("[containers]\nannotations = ['a=b']", ["--annotation=c=d"], "annotations", {"a": "b", "c": "d"}),
        ("[engine]\ndetach_keys = 'ctrl-x'", [], "detach_keys", "ctrl-x"),
        ("[engine]\ndetach_keys = 'ctrl-x'", ["--detach-keys=a"], "detach_keys", "a"),
        ("[engine]\nstop_timeout = 3", [], "stop_timeout", 3),
        ("[engine]\nimage_volume_mode = 'ignore'", [], "image_volumes", "ignore"),
    ],
)
def test_defaults_of_the_configuration(
    place: Store, text: str, words: list[str], field: str, value: object
) -> None:
    configure(text)
    assert getattr(ask(place, *words, "i"), field) == value


@pytest.mark.parametrize(
    ("text", "words", "changes"),
    [
        ("[containers]\nnetns = 'none'", [], {"driver": "none"}),
        ("[containers]\nnetns = 'host'", ["--network=none"], {"driver": "none"}),
        (SLIRP, [], {"driver": "slirp4netns"}),
        (SLIRP, ["--net=private"], {"driver": "slirp4netns"}),
        ("[network]\npasta_options = ['-a']", ["--net=pasta:-b"], {
            "driver": "pasta", "options": ("-a", "-b")}),
        ("[engine]\nnetwork_cmd_options = ['mtu=1']", ["--net=slirp4netns"], {
            "driver": "slirp4netns", "options": ("mtu=1",)}),
        ("[containers]\ndns_servers = ['1.1.1.1']", ["--net=pasta"], {
            "driver": "pasta", "dns": ("1.1.1.1",)}),
        ("[containers]\ndns_servers = ['1.1.1.1']", ["--net=pasta", "--dns=2.2.2.2"], {
            "driver": "pasta", "dns": ("2.2.2.2",)}),
        ("[containers]\nno_hosts = true", ["--net=none"], {"manage_hosts": False}),
        ("[containers]\nno_hosts = true", ["--net=none", "--add-host=a:1.1.1.1"], {
            "extra_hosts": ("a:1.1.1.1",)}),
    ],
)  # fmt: skip
def test_networks_of_the_configuration(
    place: Store, text: str, words: list[str], changes: dict[str, object]
) -> None:
    configure(text)
    assert ask(place, *words, "i").network == Network().replace(**changes)


def test_mounts_of_the_configuration_give_way(place: Store) -> None:
    configure("[containers]\nvolumes = ['/tmp:/a', '/tmp:/b']")
    found = {mount.target: mount.source for mount in ask(place, "-v", "/etc:/a", "i").mounts}
    assert found == {"/a": "/etc", "/b": "/tmp"}


def test_userns_of_the_environment(place: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAN_USERNS", "keep-id:uid=3,gid=4")
    assert ask(place, "i").keep_id == (3, 4)
    assert ask(place, "--userns=host", "i").keep_id is None


def test_an_init_is_found_or_named(place: Store, tmp_path: pathlib.Path) -> None:
    (tmp_path / "init").write_text("")
    (tmp_path / "init").chmod(0o755)
    assert ask(place, "--init", "--init-path", "init", "i").init_binary == str(tmp_path / "init")
    assert ask(place, "--init-path", "init", "i").init_binary == ""


def test_a_request_survives_as_a_value(place: Store) -> None:
    request = ask(place, "--rm", "-v", "/tmp:/a", "-p", "80:80", "--net=pasta", "i")
    assert Request.from_json(request.to_json()) == request
