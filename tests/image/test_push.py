"""Pushing to registries that break off, lie, stall or point elsewhere."""

import contextlib
import gzip
import hashlib
import json
import pathlib
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from pyctr.image import load, lookup, push, reference, transfer, transport, upload
from pyctr.image.credentials import Credentials
from pyctr.image.progress import SILENT
from pyctr.image.pull import PullOptions
from pyctr.image.rendering import Wishes
from pyctr.image.transport import Access
from pyctr.rootless.errors import PyctrError
from pyctr.storage import sweep
from pyctr.storage.paths import Store
from tests.image import servers, takers
from tests.image.servers import Scripted
from tests.image.takers import Taker, Taking
from tests.images import Layer, write_docker_archive

QUICK = Access(retries=2, retry_delay=0.01, connect=5, stall=5)
ME = QUICK.replace(credentials=Credentials("me", "s3cret-word"))
NAME = "example.com/made:1"
SIZE = 3 << 20  # bytes of the layer's only file, which no compression makes smaller
AT_BREAK = 1 << 20


@pytest.fixture
def taker() -> Iterator[Taker]:
    with takers.serve() as server:
        yield server


@pytest.fixture
def made(own_store: Store, tmp_path: pathlib.Path) -> str:
    """An image with one large and one small layer in `own_store`; its name."""
    large = Layer().file("noise", random.Random(1).randbytes(SIZE)).tar()
    small = Layer().file("text", "x" * 10_000).tar()
    write_docker_archive(tmp_path / "made.tar", [large, small], NAME, {"Cmd": ["sh"]})
    load.load(own_store, str(tmp_path / "made.tar"))
    return NAME


def send(
    store: Store, name: str, to: Taker | Scripted, access: Access = QUICK, wishes: Wishes | None = None
) -> str:
    found = lookup.find(store, name)
    target = reference.parse(f"{to.address}/app:1")
    return push.push(store, found.image, target, wishes or Wishes(), access, SILENT)


def check_arrived(taker: Taker, digest: str) -> None:
    """Everything is there, and nothing is but what it says."""
    data, media_type = taker.manifests["app", "1"]
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    document = json.loads(data)
    assert document["mediaType"] == media_type
    for blob in (document["config"], *document["layers"]):
        content = taker.blobs["app", blob["digest"]]
        assert len(content) == blob["size"]
        assert blob["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"


def at(
    method: str, act: Callable[[Taking], bool], *, part: str = "/uploads/", times: int = 1
) -> takers.Hook:
    """A hook for the first `times` requests of a method with `part` in their path."""
    left = [times]

    def hook(request: Taking) -> bool:
        if request.command != method or part not in request.path or not left[0]:
            return False
        left[0] -= 1
        return act(request)

    return hook


def take_some(request: Taking) -> bool:
    """Keeps a part of what is sent, then breaks off."""
    name = request.path.partition("?")[0].rpartition("/")[2]
    request.taker.uploads[name] += request.rfile.read(AT_BREAK)
    return request.hang_up()


def status(code: int, **headers: str) -> Callable[[Taking], bool]:
    def act(request: Taking) -> bool:
        request.body()
        return request.answer(code, b"", **headers)

    return act


def test_all_of_an_image_arrives(own_store: Store, made: str, taker: Taker) -> None:
    check_arrived(taker, send(own_store, made, taker))
    assert not taker.uploads


def test_what_is_there_is_not_sent_again(own_store: Store, made: str, taker: Taker) -> None:
    first = send(own_store, made, taker)
    taker.seen.clear()
    assert send(own_store, made, taker) == first
    assert {method for method, _, _ in taker.seen} == {"HEAD", "PUT"}
    assert taker.count("PUT", "/manifests/") == taker.count("PUT") == 1


def test_a_blob_of_another_size_is_not_taken_for_ours(own_store: Store, made: str, taker: Taker) -> None:
    taker.hook = at("HEAD", lambda request: request.answer(200, b"short"), part="/blobs/", times=3)
    check_arrived(taker, send(own_store, made, taker))


def test_a_blob_of_another_digest_is_not_taken_for_ours(own_store: Store, made: str, taker: Taker) -> None:
    lie = f"sha256:{'0' * 64}"

    def hook(request: Taking) -> bool:
        if request.command != "HEAD":
            return False
        request.send_response(200)
        request.send_header("Docker-Content-Digest", lie)
        request.end_headers()
        return True

    taker.hook = hook
    check_arrived(taker, send(own_store, made, taker))


def test_a_break_is_resumed_where_the_registry_says(own_store: Store, made: str, taker: Taker) -> None:
    taker.hook = at("PATCH", take_some)
    check_arrived(taker, send(own_store, made, taker))
    ranges = [
        headers["content-range"]
        for method, _, headers in taker.seen
        if method == "PATCH" and "content-range" in headers
    ]
    assert ranges[0].startswith(f"{AT_BREAK}-")
    assert not taker.uploads


def test_an_upload_that_was_forgotten_begins_anew(own_store: Store, made: str, taker: Taker) -> None:
    def forget(request: Taking) -> bool:
        request.taker.uploads.clear()
        return request.hang_up()

    taker.hook = at("PATCH", forget)
    check_arrived(taker, send(own_store, made, taker))


def test_a_lost_answer_costs_no_second_upload(own_store: Store, made: str, taker: Taker) -> None:
    def take_all(request: Taking) -> bool:
        repository, _, name = (
            request.path.partition("?")[0].removeprefix("/v2/").partition("/blobs/uploads/")
        )
        data = bytes(taker.uploads.pop(name)) + request.body()
        taker.blobs[repository, request.query("digest")] = data
        return request.hang_up()

    taker.hook = at("PUT", take_all, times=3)
    check_arrived(taker, send(own_store, made, taker))
    assert taker.count("POST") == 3


@pytest.mark.parametrize("code", [405, 415, 501])
def test_a_registry_without_chunks_gets_all_in_one(
    own_store: Store, made: str, taker: Taker, code: int
) -> None:
    taker.hook = at("PATCH", status(code), times=9)
    check_arrived(taker, send(own_store, made, taker))


def test_a_registry_that_takes_no_body_at_the_end_gets_chunks(
    own_store: Store, made: str, taker: Taker
) -> None:
    def hook(request: Taking) -> bool:
        refuse = request.command == "PUT" and "/uploads/" in request.path
        if not refuse or not int(request.headers["Content-Length"]):
            return False
        return status(405)(request)

    taker.hook = hook
    check_arrived(taker, send(own_store, made, taker))


def test_a_registry_that_takes_no_way_at_all_is_an_error(own_store: Store, made: str, taker: Taker) -> None:
    taker.hook = lambda request: request.command in ("PUT", "PATCH") and status(405)(request)
    with pytest.raises(PyctrError, match="writing blob .* status 405"):
        send(own_store, made, taker)


def test_a_limit_of_the_size_makes_the_pieces_smaller(own_store: Store, made: str, taker: Taker) -> None:
    limit = 1 << 20

    def hook(request: Taking) -> bool:
        if request.command != "PATCH" or int(request.headers["Content-Length"]) <= limit:
            return False
        return status(413)(request)

    taker.hook = hook
    check_arrived(taker, send(own_store, made, taker))
    assert taker.count("PATCH") > 3


def test_a_registry_may_want_large_pieces(own_store: Store, made: str, taker: Taker) -> None:
    """After a break pieces are smaller, but not smaller than OCI-Chunk-Min-Length."""
    least = str(SIZE + (1 << 20))
    opened = at("POST", lambda request: announce(request, least), times=9)
    broken = at("PATCH", take_some)
    taker.hook = lambda request: opened(request) or broken(request)
    check_arrived(taker, send(own_store, made, taker))
    assert taker.count("PATCH") == 2


def announce(request: Taking, least: str) -> bool:
    place = f"/v2/app/blobs/uploads/{request.taker.open_upload()}"
    return request.answer(202, Location=place, OCI_Chunk_Min_Length=least)


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "HEAD"])
@pytest.mark.parametrize("code", [429, 503])
def test_a_passing_failure_is_tried_again(
    own_store: Store, made: str, taker: Taker, method: str, code: int
) -> None:
    taker.hook = at(method, status(code), part="/blobs/")
    check_arrived(taker, send(own_store, made, taker))


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_lasting_failure_is_told_with_the_destination(
    own_store: Store, made: str, taker: Taker, method: str
) -> None:
    taker.hook = at(method, status(503), times=99)
    with pytest.raises(PyctrError) as caught:
        send(own_store, made, taker)
    assert caught.value.message.startswith(
        f"pushing to docker://{taker.address}/app:1: writing blob sha256:"
    )
    assert not taker.manifests


def test_a_registry_that_takes_nothing_ends(own_store: Store, made: str, taker: Taker) -> None:
    def nothing(request: Taking) -> bool:
        request.body()
        return request.answer(202, Location=request.path, Range="0-0")

    taker.hook = at("PATCH", nothing, times=99)
    with pytest.raises(PyctrError, match="took nothing"):
        send(own_store, made, taker)


@pytest.mark.parametrize("told", ["0-99999999", "0-9999999999999999999999", "bytes=0-99999999"])
def test_a_registry_that_has_more_than_there_is_lies(
    own_store: Store, made: str, taker: Taker, told: str
) -> None:
    def more(request: Taking) -> bool:
        request.body()
        return request.answer(202, Location=request.path, Range=told)

    taker.hook = at("PATCH", more, times=99)
    with pytest.raises(PyctrError, match="registry (has|took)"):
        send(own_store, made, taker)


@pytest.mark.parametrize("part", ["/blobs/uploads/", "/manifests/"])
def test_a_registry_that_got_another_digest_is_told(
    own_store: Store, made: str, taker: Taker, part: str
) -> None:
    lie = f"sha256:{'0' * 64}"
    taker.hook = at("PUT", status(201, Docker_Content_Digest=lie), part=part)
    with pytest.raises(PyctrError, match=lie):
        send(own_store, made, taker)


def test_an_upload_without_a_place_is_an_error(own_store: Store, made: str, taker: Taker) -> None:
    taker.hook = at("POST", status(202), times=99)
    with pytest.raises(PyctrError, match="does not say where"):
        send(own_store, made, taker)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "gopher:x"])
def test_an_upload_to_nonsense_is_an_error(own_store: Store, made: str, taker: Taker, target: str) -> None:
    taker.hook = at("POST", status(202, Location=target), times=99)
    with pytest.raises(PyctrError, match="writing blob"):
        send(own_store, made, taker)


def test_an_upload_from_https_to_http_is_refused() -> None:
    to = transport.Transport("example.com", QUICK)
    with pytest.raises(transport.Unreachable, match="not encrypted"):
        to.following("https://example.com/v2/x/blobs/uploads/", "http://example.com/v2/x/blobs/uploads/1")


def locked(request: Taking, word: str = "Basic") -> bool:
    """Wants credentials for everything."""
    if request.headers.get("Authorization", "").startswith(word):
        return False
    request.body()
    return request.answer(401, WWW_Authenticate='Basic realm="x"')


def test_an_upload_to_another_host_gets_no_credentials(own_store: Store, made: str, taker: Taker) -> None:
    with takers.serve() as other:

        def away(request: Taking) -> bool:
            if locked(request):
                return True
            if request.command != "POST":
                return False
            place = f"/v2/app/blobs/uploads/{other.open_upload()}"
            return request.answer(202, Location=f"http://{other.address}{place}")

        taker.hook = away
        send(own_store, made, taker, ME)
        assert len(other.blobs) == 3
        assert not [headers for _, _, headers in other.seen if "authorization" in headers]


def test_another_host_that_asks_for_credentials_gets_none(own_store: Store, made: str, taker: Taker) -> None:
    with takers.serve() as other:
        other.hook = lambda request: locked(request)
        away = status(202, Location=f"http://{other.address}/v2/app/blobs/uploads/0")
        taker.hook = lambda request: locked(request) or at("POST", away, times=99)(request)
        with pytest.raises(PyctrError, match="denied") as caught:
            send(own_store, made, taker, ME)
        assert not [headers for _, _, headers in other.seen if "authorization" in headers]
        assert "s3cret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_redirect_of_an_upload_is_followed_without_credentials(
    own_store: Store, made: str, taker: Taker, method: str
) -> None:
    """307 and 308 repeat the request; what another host gets of it is the body alone."""
    with takers.serve() as other:
        other.uploads = taker.uploads
        other.blobs = taker.blobs

        def hook(request: Taking) -> bool:
            if locked(request):
                return True
            redirected = request.command == method and "/uploads/" in request.path
            if not redirected:
                return False
            return status(307, Location=f"http://{other.address}{request.path}")(request)

        taker.hook = hook
        check_arrived(taker, send(own_store, made, taker, ME))
        assert other.count(method)
        assert not [headers for _, _, headers in other.seen if "authorization" in headers]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
def test_redirects_without_end_are_an_error(own_store: Store, made: str, taker: Taker, method: str) -> None:
    def around(request: Taking) -> bool:
        return status(307, Location=request.path)(request)

    taker.hook = at(method, around, part="/blobs/", times=999)
    with pytest.raises(PyctrError, match="redirects"):
        send(own_store, made, taker)


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirect_that_changes_the_method_is_refused(
    own_store: Store, made: str, taker: Taker, code: int
) -> None:
    taker.hook = at("POST", status(code, Location="/elsewhere"), times=99)
    with pytest.raises(PyctrError, match=f"status {code}"):
        send(own_store, made, taker)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
def test_a_registry_that_stalls_is_an_error(own_store: Store, made: str, taker: Taker, method: str) -> None:
    def stall(request: Taking) -> bool:
        taker.over.wait()
        return request.hang_up()

    taker.hook = at(method, stall, part="/blobs/", times=99)
    with pytest.raises(PyctrError, match="no answer in time|connection broke"):
        send(own_store, made, taker, QUICK.replace(stall=0.3, retries=1))


def test_a_registry_that_stops_reading_is_an_error(own_store: Store, made: str, taker: Taker) -> None:
    """The buffers between both ends hold less than the layer."""

    def stall(request: Taking) -> bool:
        request.rfile.read(1000)
        taker.over.wait()
        return request.hang_up()

    taker.hook = at("PATCH", stall, times=99)
    with pytest.raises(PyctrError, match="no answer in time|connection broke"):
        send(own_store, made, taker, QUICK.replace(stall=0.3, connect=0.3, retries=1))


def test_a_retry_after_of_years_is_not_obeyed(
    own_store: Store, made: str, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    taker.hook = at("POST", status(429, Retry_After="9" * 400))
    check_arrived(taker, send(own_store, made, taker))
    assert waited and max(waited) <= 60


def bearer(taker: Taker, tokens: Scripted) -> tuple[takers.Hook, list[str]]:
    """A hook that wants a token, each of which is good for four requests; the tokens that were given."""
    given: list[str] = []
    uses: dict[str, int] = {}

    def give(handler: servers.Handler) -> None:
        given.append(f"token-{len(given)}")
        servers.send(json.dumps({"token": given[-1]}).encode())(handler)

    def hook(request: Taking) -> bool:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        uses[token] = uses.get(token, 0) + 1
        if token in given and uses[token] <= 4:
            return False
        request.body()
        challenge = f'Bearer realm="http://{tokens.address}/token",service="r",scope="repository:app:pull"'
        return request.answer(401, WWW_Authenticate=challenge)

    tokens.answers["/token"] = give
    return hook, given


def test_a_token_that_expires_in_the_middle_is_renewed(
    own_store: Store, made: str, taker: Taker, scripted: Scripted
) -> None:
    taker.hook, given = bearer(taker, scripted)
    check_arrived(taker, send(own_store, made, taker, ME))
    assert len(given) > 1
    asked = [path for path, _ in scripted.requests]
    assert all("scope=repository%3Aapp%3Apull%2Cpush" in path for path in asked)


def test_wrong_credentials_are_told_without_them(own_store: Store, made: str, taker: Taker) -> None:
    taker.hook = lambda request: locked(request, "Basic never")
    with pytest.raises(PyctrError, match="denied") as caught:
        send(own_store, made, taker, ME)
    assert "s3cret" not in f"{caught.value!r} {caught.value.hint}"
    assert len(taker.seen) < 10


def test_a_blob_is_shared_by_another_repository(own_store: Store, made: str, taker: Taker) -> None:
    send(own_store, made, taker)
    blobs = {digest: data for (_, digest), data in taker.blobs.items()}
    taker.blobs = {("base", digest): data for digest, data in blobs.items()}
    name = pulled(own_store, taker)
    taker.seen.clear()
    digest = send(own_store, name, taker)
    check_arrived(taker, digest)
    assert taker.count("POST") == 3  # two shared layers, and the config
    assert taker.count("PATCH") == 0


@pytest.mark.parametrize("code", [401, 403, 404, 500])
def test_a_registry_that_shares_nothing_gets_the_bytes(
    own_store: Store, made: str, taker: Taker, code: int
) -> None:
    send(own_store, made, taker)
    blobs = {digest: data for (_, digest), data in taker.blobs.items()}
    taker.blobs = {("base", digest): data for digest, data in blobs.items()}
    name = pulled(own_store, taker)
    taker.hook = lambda request: bool(request.query("mount")) and status(code)(request)
    check_arrived(taker, send(own_store, name, taker))


def test_what_was_pushed_is_shared_with_the_next_repository(
    own_store: Store, made: str, taker: Taker
) -> None:
    """Also when it was compressed for that: the second push neither compresses nor sends a layer."""
    digest = send(own_store, made, taker)
    taker.seen.clear()
    found = lookup.find(own_store, made)
    to = reference.parse(f"{taker.address}/next:1")
    assert push.push(own_store, found.image, to, Wishes(), QUICK, SILENT) == digest
    assert (taker.count("POST"), taker.count("PATCH"), taker.count("PUT", "/uploads/")) == (3, 0, 1)
    assert not taker.uploads


def test_what_is_shared_no_longer_is_sent(own_store: Store, made: str, taker: Taker) -> None:
    send(own_store, made, taker)
    taker.blobs.clear()
    found = lookup.find(own_store, made)
    digest = push.push(
        own_store, found.image, reference.parse(f"{taker.address}/next:1"), Wishes(), QUICK, SILENT
    )
    taker.blobs = {("app", digest): data for (_, digest), data in taker.blobs.items()}
    check_arrived(taker, digest)
    assert not taker.uploads


def pulled(store: Store, taker: Taker) -> str:
    """The image of the taker's manifest as the pull of `base` from it; its name."""
    data, media_type = taker.manifests["app", "1"]
    name = f"{taker.address}/base:1"
    get = at(
        "GET",
        lambda request: request.answer(200, data, Content_Type=media_type),
        part="/manifests/",
        times=9,
    )
    before, taker.hook = taker.hook, get
    transfer.pull(store, reference.parse(name), PullOptions(), SILENT)
    taker.hook = before
    return name


def test_what_was_pulled_is_pushed_bit_by_bit(own_store: Store, made: str, taker: Taker) -> None:
    """Whatever the manifest looks like: unusual spaces, annotations, fields of others, a plain layer."""
    send(own_store, made, taker)
    document = json.loads(taker.manifests["app", "1"][0])
    plain = gzip.decompress(taker.blobs["app", document["layers"][1]["digest"]])
    digest = f"sha256:{hashlib.sha256(plain).hexdigest()}"
    taker.blobs["app", digest] = plain
    kind = "application/vnd.oci.image.manifest.v1+json"
    document["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json"
    layers = document["layers"]
    layers[0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+gzip"
    tar = "application/vnd.oci.image.layer.v1.tar"
    layers[1] = {"annotations": {"a": "b"}, "digest": digest, "size": len(plain), "mediaType": tar}
    changed = {"x-own": [1, 2], "layers": layers, "config": document["config"], "schemaVersion": 2}
    data = json.dumps({**changed, "annotations": {"é": "ü"}}, indent=3).encode()
    taker.manifests["app", "1"] = (data, kind)
    taker.blobs.update({("base", digest): blob for (_, digest), blob in taker.blobs.items()})
    name = pulled(own_store, taker)
    taker.manifests.clear()
    taker.blobs.clear()
    assert send(own_store, name, taker) == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert taker.manifests["app", "1"] == (data, kind)
    assert set(taker.blobs) == {("app", blob["digest"]) for blob in (document["config"], *layers)}


def test_a_digest_as_destination_must_be_that_of_the_manifest(
    own_store: Store, made: str, taker: Taker
) -> None:
    found = lookup.find(own_store, made)
    digest = send(own_store, made, taker)
    to = reference.parse(f"{taker.address}/app@{digest}")
    assert push.push(own_store, found.image, to, Wishes(), QUICK, SILENT) == digest
    wrong = reference.parse(f"{taker.address}/app@sha256:{'0' * 64}")
    with pytest.raises(PyctrError, match=digest):
        push.push(own_store, found.image, wrong, Wishes(), QUICK, SILENT)


def test_a_layer_that_rotted_on_disk_is_told(own_store: Store, made: str, taker: Taker) -> None:
    send(own_store, made, taker)
    taker.blobs.update({("base", digest): data for (_, digest), data in taker.blobs.items()})
    name = pulled(own_store, taker)
    taker.blobs.clear()
    layer = lookup.lookup(own_store, name).layers[0]
    path = pathlib.Path(own_store.blob(layer.digest))
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(PyctrError, match=f"{layer.digest} is damaged on disk"):
        send(own_store, name, taker, wishes=Wishes(compress=False))


@contextlib.contextmanager
def cutting(address: str, after: int) -> Iterator[str]:
    """host:port of a way to `address` that breaks, once, when a connection has sent `after` bytes."""
    host, _, port = address.partition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    cut = threading.Event()

    def pump(source: socket.socket, target: socket.socket, limit: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                limit -= len(data)
                if limit < 0 and not cut.is_set():
                    cut.set()
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client = listener.accept()[0]
                server = socket.create_connection((host, int(port)))
                for pair in ((client, server, after), (server, client, 1 << 60)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        assert cut.is_set()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_break_on_the_way_to_a_real_registry_is_got_over(
    own_store: Store, made: str, registry: str
) -> None:
    found = lookup.find(own_store, made)
    with cutting(registry, AT_BREAK) as address:
        target = reference.parse(f"{address}/app:1")
        digest = push.push(own_store, found.image, target, Wishes(), QUICK, SILENT)
    pulled = transfer.pull(own_store, reference.parse(f"{registry}/app:1"), PullOptions(), SILENT)
    assert pulled.manifest_digest == digest


def test_an_image_may_be_removed_while_it_is_pushed(own_store: Store, made: str, taker: Taker) -> None:
    """A push may take hours: it keeps nobody waiting, and what it has begun it ends."""
    found = lookup.find(own_store, made)

    def removed(request: Taking) -> bool:
        sweep.remove_image(own_store, found.image.id)
        return False

    taker.hook = at("POST", removed)
    target = reference.parse(f"{taker.address}/app:1")
    check_arrived(taker, push.push(own_store, found.image, target, Wishes(), QUICK, SILENT))
    assert not list(pathlib.Path(own_store.blobs(), "sha256").iterdir())


def test_pieces_are_small_enough_for_a_slow_line() -> None:
    """A piece is sent within one time-out: 60 seconds for 64 KiB."""
    assert upload._PIECE <= 1 << 16
