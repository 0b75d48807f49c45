"""registries.conf: what short names mean, mirrors, other locations, and what is blocked."""

import pathlib
from collections.abc import Callable

import pytest

from pyctr.image import lookup, manifest, pull, reference, registries, transfer
from pyctr.image.progress import SILENT, Progress
from pyctr.image.pull import PullOptions
from pyctr.image.registries import Configuration
from pyctr.rootless.errors import PyctrError
from pyctr.storage.paths import Store
from tests import registries as real
from tests.commands import Cli
from tests.image.servers import Sample, Scripted, send, serve, status

QUICK = PullOptions(retries=0, retry_delay=0.01)
DIGEST = "sha256:" + "0123456789abcdef" * 4

Configure = Callable[[str], None]


@pytest.fixture
def configure(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Makes a text the user's registries.conf."""
    file = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(file))

    def write(text: str) -> None:
        file.write_text(text)

    return write


@pytest.fixture
def sample(scripted: Scripted) -> Sample:
    return Sample(scripted)


def parsed(tmp_path: pathlib.Path, *texts: str) -> Configuration:
    """What files with these texts say."""
    files = [tmp_path / f"{number}.conf" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    return registries.parse([str(file) for file in files])


def meant(found: Configuration, name: str) -> list[str]:
    return [str(each) for each in registries.candidates(found, reference.parse(name))]


def places(found: Configuration, name: str) -> list[tuple[str, bool]]:
    """Where a name is looked for, and whether that may be unencrypted."""
    return [
        (str(each.reference), each.insecure) for each in registries.sources(found, reference.parse(name))
    ]


def test_without_a_file_short_names_are_of_docker_io() -> None:
    assert meant(Configuration(), "busybox") == ["docker.io/library/busybox:latest"]


def test_search_registries_are_tried_in_their_order(tmp_path: pathlib.Path) -> None:
    found = parsed(tmp_path, 'unqualified-search-registries = ["quay.io", "docker.io"]')
    assert meant(found, "x:1") == ["quay.io/x:1", "docker.io/library/x:1"]
    assert meant(found, "ghcr.io/x") == ["ghcr.io/x:latest"]


def test_an_alias_wins_and_keeps_the_tag(tmp_path: pathlib.Path) -> None:
    text = 'unqualified-search-registries = ["quay.io"]\n[aliases]\n"tool" = "ghcr.io/us/tool"\n'
    found = parsed(tmp_path, text)
    assert meant(found, "tool:2") == ["ghcr.io/us/tool:2"]
    assert meant(found, f"tool@{DIGEST}") == [f"ghcr.io/us/tool@{DIGEST}"]


def test_later_files_replace_aliases_and_registries(tmp_path: pathlib.Path) -> None:
    first = '[aliases]\na = "one.io/a"\nb = "one.io/b"\n[[registry]]\nlocation = "x.io"\nblocked = true\n'
    second = '[aliases]\na = "two.io/a"\nb = ""\n[[registry]]\nlocation = "x.io"\ninsecure = true\n'
    found = parsed(tmp_path, first, second)
    assert found.aliases == {"a": "two.io/a"}
    assert places(found, "x.io/a:1") == [("x.io/a:1", True)]


def test_without_search_registries_a_short_name_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(PyctrError, match="no registry is searched"):
        meant(parsed(tmp_path, "unqualified-search-registries = []"), "x")


REMAPPED = """
[[registry]]
prefix = "example.com/foo"
location = "internal.example.net/bar"
[[registry]]
prefix = "example.com/foo/deep"
location = "deep.example.net"
insecure = true
[[registry]]
prefix = "*.wild.org"
location = "one.example.net/wild"
[[registry]]
prefix = "*.plain.org"
insecure = true
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.com/foo/a:1", ("internal.example.net/bar/a:1", False)),
        ("example.com/foo:1", ("internal.example.net/bar:1", False)),
        ("example.com/foobar:1", ("example.com/foobar:1", False)),
        ("example.com/foo/deep/a:1", ("deep.example.net/a:1", True)),
        ("a.b.wild.org/x:1", ("one.example.net/wild/x:1", False)),
        ("wild.org/x:1", ("wild.org/x:1", False)),
        ("a.wild.org.evil.com/x:1", ("a.wild.org.evil.com/x:1", False)),
        ("evil.com/a.wild.org/x:1", ("evil.com/a.wild.org/x:1", False)),
        ("a.plain.org:5000/x:1", ("a.plain.org:5000/x:1", True)),
        (f"example.com/foo/a@{DIGEST}", (f"internal.example.net/bar/a@{DIGEST}", False)),
    ],
)
def test_the_longest_prefix_says_where_a_name_is(
    tmp_path: pathlib.Path, name: str, expected: tuple[str, bool]
) -> None:
    assert places(parsed(tmp_path, REMAPPED), name) == [expected]


MIRRORED = """
[[registry]]
location = "example.com"
[[registry.mirror]]
location = "any.example.net/m"
insecure = true
[[registry.mirror]]
location = "digests.example.net"
pull-from-mirror = "digest-only"
[[registry.mirror]]
location = "tags.example.net"
pull-from-mirror = "tag-only"
[[registry]]
location = "strict.com"
mirror-by-digest-only = true
[[registry.mirror]]
location = "m.strict.com"
"""


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("example.com/a:1", ["any.example.net/m/a:1", "tags.example.net/a:1", "example.com/a:1"]),
        (f"example.com/a@{DIGEST}", ["any.example.net/m/a", "digests.example.net/a", "example.com/a"]),
        ("strict.com/a:1", ["strict.com/a:1"]),
        (f"strict.com/a@{DIGEST}", ["m.strict.com/a", "strict.com/a"]),
    ],
)
def test_mirrors_come_first_if_they_are_for_such_names(
    tmp_path: pathlib.Path, name: str, hosts: list[str]
) -> None:
    found = [place.partition("@")[0] for place, _ in places(parsed(tmp_path, MIRRORED), name)]
    assert found == hosts


@pytest.mark.parametrize(
    "text",
    [
        "[registries.search]\nregistries = ['x.io']",
        "unqualified-search-registries = 'x.io'",
        "unqualified-search-registries = [1]",
        "[aliases]\na = 1",
        "[aliases]\na = 'short'",
        "[aliases]\n'../x' = 'x.io/x'",
        "[[registry]]\ninsecure = true",
        "[[registry]]\nlocation = 'x.io'\ninsecure = 'yes'",
        "[[registry]]\nlocation = 'x.io'\n[[registry.mirror]]\npull-from-mirror = 'some'\nlocation = 'y'",
        "registry = 1",
        "not toml",
    ],
)
def test_a_wrong_file_is_named(tmp_path: pathlib.Path, text: str) -> None:
    with pytest.raises(PyctrError) as caught:
        parsed(tmp_path, text)
    assert "0.conf" in caught.value.message or "../x" in caught.value.message


def test_a_blocked_registry_is_not_asked(
    own_store: Store, sample: Sample, scripted: Scripted, configure: Configure
) -> None:
    configure(f'[[registry]]\nlocation = "{scripted.address}"\nblocked = true\n')
    with pytest.raises(PyctrError, match="blocks"):
        pull.pull(own_store, sample.reference, QUICK)
    with pytest.raises(PyctrError, match="blocks"):
        pull.pull_tags(own_store, f"{scripted.address}/sample", QUICK)
    assert scripted.requests == []


def test_an_image_comes_from_its_mirror_under_its_own_name(
    own_store: Store, sample: Sample, scripted: Scripted, configure: Configure
) -> None:
    mirror = f'[[registry.mirror]]\nlocation = "{scripted.address}"\n'
    configure(f'[[registry]]\nlocation = "registry.invalid"\n{mirror}')
    image = pull.pull(own_store, "registry.invalid/sample", QUICK)
    assert lookup.find(own_store, "registry.invalid/sample:latest").image == image


class Warned(Progress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


def test_a_mirror_that_fails_is_told_and_passed_over(
    own_store: Store, sample: Sample, scripted: Scripted, configure: Configure
) -> None:
    with serve() as broken:
        mirror = f'[[registry.mirror]]\nlocation = "{broken.address}"\n'
        configure(f'[[registry]]\nlocation = "{scripted.address}"\n{mirror}')
        told = Warned()
        assert pull.pull(own_store, sample.reference, QUICK, told).config_digest == sample.config_digest
        assert broken.requests and broken.address in told.texts[0]


def test_passwords_of_the_command_line_are_not_for_mirrors(
    own_store: Store, sample: Sample, scripted: Scripted, configure: Configure
) -> None:
    with serve() as mirror:
        asking = status(401, WWW_Authenticate='Basic realm="x"')
        mirror.answers["/v2/sample/manifests/latest"] = asking
        table = f'[[registry.mirror]]\nlocation = "{mirror.address}"\n'
        configure(f'[[registry]]\nlocation = "{scripted.address}"\n{table}')
        pull.pull(own_store, sample.reference, QUICK.replace(creds="me:secret"))
        assert mirror.requests
        assert not [headers for _, headers in mirror.requests if "authorization" in headers]


def test_search_registries_are_asked_until_one_has_it(
    own_store: Store, sample: Sample, scripted: Scripted, configure: Configure
) -> None:
    with serve() as first:
        configure(f'unqualified-search-registries = ["{first.address}", "{scripted.address}"]')
        found = pull.pull_if_needed(own_store, "sample", "missing", QUICK)
        assert found.name == sample.reference
        assert first.requests
    before = len(scripted.requests)
    assert pull.pull_if_needed(own_store, "sample", "missing", QUICK) == found
    assert len(scripted.requests) == before


def test_an_image_pulled_by_an_alias_is_found_by_it(
    own_store: Store, sample: Sample, scripted: Scripted, configure: Configure
) -> None:
    configure(f'[aliases]\nnick = "{scripted.address}/sample"\n')
    pull.pull(own_store, "nick", QUICK)
    assert lookup.find(own_store, "nick").name == sample.reference


def test_all_failures_of_a_short_name_are_told(own_store: Store, configure: Configure) -> None:
    with serve() as one, serve() as two:
        configure(f'unqualified-search-registries = ["{one.address}", "{two.address}"]')
        with pytest.raises(PyctrError) as caught:
            pull.pull(own_store, "missing", QUICK)
        assert one.address in caught.value.message and two.address in caught.value.message


def test_all_tags_are_pulled(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    scripted.answers["/v2/sample/tags/list"] = send(b'{"name": "sample", "tags": ["latest", "two"]}')
    scripted.answers["/v2/sample/manifests/two"] = scripted.answers["/v2/sample/manifests/latest"]
    found = pull.pull_tags(own_store, f"{scripted.address}/sample", QUICK)
    assert [each.config_digest for each in found] == [sample.config_digest] * 2
    assert lookup.find(own_store, f"{scripted.address}/sample:two")


def test_all_tags_of_one_tag_are_refused(own_store: Store) -> None:
    with pytest.raises(PyctrError, match="without tag"):
        pull.pull_tags(own_store, "localhost:1/a:b", QUICK)


def test_a_second_pull_reads_nothing_but_a_digest(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    first = transfer.pull(own_store, reference.parse(sample.reference), QUICK, SILENT)
    before = len(scripted.requests)
    assert transfer.pull(own_store, reference.parse(sample.reference), QUICK, SILENT) == first
    assert scripted.methods[before:] == ["HEAD"]


def test_a_registry_without_head_is_read(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    first = transfer.pull(own_store, reference.parse(sample.reference), QUICK, SILENT)
    path = f"{sample.path}/manifests/latest"
    get = scripted.answers[path]
    scripted.answers[path] = lambda handler: (status(405) if handler.command == "HEAD" else get)(handler)
    assert transfer.pull(own_store, reference.parse(sample.reference), QUICK, SILENT) == first


class Lines(Progress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def line(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(
    ("limit", "left", "words"),
    [
        ("100;w=21600", "76;w=21600", "100 pulls in 6 hours, 76 are left"),
        ("100", "1", "100 pulls, 1 are left"),
        ("\x1b[31m", "1", ""),
        ("100", "x", ""),
    ],
)
def test_the_limit_of_a_registry_is_told(
    own_store: Store, sample: Sample, limit: str, left: str, words: str
) -> None:
    data = sample.serve_manifest()
    answer = send(data, manifest.DOCKER_MANIFEST, ratelimit_limit=limit, ratelimit_remaining=left)
    sample.answer(f"{sample.path}/manifests/latest", answer)
    lines = Lines()
    transfer.pull(own_store, reference.parse(sample.reference), QUICK, lines)
    found = [text for text in lines.texts if "pulls" in text]
    assert len(found) == bool(words) and all(words in text for text in found)


def test_a_real_registry_behind_a_prefix(own_store: Store, configure: Configure) -> None:
    with real.serve() as address:
        configure(f'[[registry]]\nprefix = "*.example.org"\nlocation = "{address}"\n')
        with pytest.raises(PyctrError, match="does not have it"):
            pull.pull(own_store, "a.example.org/none", QUICK)


# What is said of a registry holds for all that talks to it.


def said_of(domain: str, **words: str) -> str:
    """registries.conf for one registry."""
    lines = [f"{key} = {value}" for key, value in words.items()]
    return "\n".join(["[[registry]]", f'location = "{domain}"', *lines, ""])


@pytest.fixture
def conf(tmp_path: pathlib.Path) -> pathlib.Path:
    """The registries.conf of `asked`."""
    return tmp_path / "conf"


def asked(cli: Cli, conf: pathlib.Path, domain: str, command: str) -> str:
    """What pyctr says when a command asks a registry that is not there."""
    words = [word.format(domain) for word in command.split()]
    done = cli(*words, check=False, env={"CONTAINERS_REGISTRIES_CONF": str(conf)})
    assert done.returncode == 125
    return str(done.stderr)


every_command = pytest.mark.parametrize(
    "command",
    [
        "pull --retry=0 {}/x:1",
        "pull --retry=0 -a {}/x",
        "push --retry=0 localhost/busybox {}/x",
        "manifest push -q app {}/x",
        "manifest add app docker://{}/x",
        "manifest inspect docker://{}/x",
        "login -u me -p x {}",
        "login -u me -p x {}/team",
        "search {}/x",
        "search --list-tags {}/x",
    ],
)


@every_command
def test_what_is_blocked_is_so_for_every_command(
    cli: Cli, busybox: str, conf: pathlib.Path, command: str
) -> None:
    cli("manifest", "create", "app", busybox)
    conf.write_text(said_of("registry.invalid", blocked="true"))
    assert "registries.conf blocks registry.invalid" in asked(cli, conf, "registry.invalid", command)


@every_command
def test_what_is_insecure_is_so_for_every_command(
    cli: Cli, busybox: str, conf: pathlib.Path, command: str
) -> None:
    """0.0.0.0 leads to this machine, but is no name of it that pyctr trusts; the server speaks no TLS."""
    cli("manifest", "create", "app", busybox)
    with serve() as plain:
        domain = f"0.0.0.0:{plain.address.partition(':')[2]}"
        conf.write_text("")
        asked(cli, conf, domain, command)
        assert plain.requests == []
        conf.write_text(said_of(domain, insecure="true"))
        asked(cli, conf, domain, command)
        assert plain.requests
