"""Tokens that are good for a few requests only: a pull gets new ones on the way and finishes."""

import gzip
import json
import threading

import pytest

from pyctr.image import manifest, pull
from pyctr.image.manifest import DOCKER_LAYER
from pyctr.image.pull import PullOptions
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs, images
from pyctr.storage.paths import Store
from tests.image.servers import Answer, Handler, Sample, Scripted, in_turn, ranged, send, status, truncated
from tests.images import Layer

QUICK = PullOptions(retries=2, retry_delay=0.01)
LAYERS = 5


class Tokens:
    """Wraps all answers of a server: each wants a token, and each token is good for `uses` requests."""

    def __init__(self, scripted: Scripted, uses: int) -> None:
        self.given = 0
        self._left: dict[str, int] = {}
        self._uses = uses
        self._lock = threading.Lock()
        realm = f'Bearer realm="http://{scripted.address}/token",service="r",scope="repository:sample:pull"'
        self._refuse = status(401, WWW_Authenticate=realm)
        for path, answer in list(scripted.answers.items()):
            scripted.answers[path] = self._wanting(answer)
        scripted.answers["/token"] = self._give

    def _give(self, handler: Handler) -> None:
        with self._lock:
            self.given += 1
            self._left[f"Bearer token-{self.given}"] = self._uses
        send(json.dumps({"token": f"token-{self.given}"}).encode())(handler)

    def _wanting(self, answer: Answer) -> Answer:
        def checked(handler: Handler) -> None:
            token = handler.headers.get("Authorization", "")
            with self._lock:
                left = self._left.get(token, 0)
                self._left[token] = left - 1
            (answer if left > 0 else self._refuse)(handler)

        return checked


@pytest.fixture
def sample(scripted: Scripted) -> Sample:
    """An image of five layers, the last of which breaks off in the middle twice."""
    made = Sample(scripted)
    tars = [Layer().file(f"file{number}", bytes(range(256)) * 400).tar() for number in range(LAYERS)]
    packed = [gzip.compress(tar, 0, mtime=0) for tar in tars]
    made.config["rootfs"]["diff_ids"] = [manifest.digest_of(tar) for tar in tars]
    described = [
        {"mediaType": f"{DOCKER_LAYER}.gzip", "digest": manifest.digest_of(data), "size": len(data)}
        for data in packed
    ]
    made.manifest["layers"] = described
    made.publish()
    for layer, data in zip(described, packed, strict=True):
        made.answer(made.blob(str(layer["digest"])), ranged(data))
    last = made.blob(str(described[-1]["digest"]))
    made.answer(last, in_turn(truncated(packed[-1], 1000), ranged(packed[-1])))
    return made


@pytest.mark.parametrize("uses", [1, 2, 3])
def test_a_pull_gets_new_tokens_on_the_way(
    own_store: Store, sample: Sample, scripted: Scripted, uses: int
) -> None:
    tokens = Tokens(scripted, uses)
    image = pull.pull(own_store, sample.reference, QUICK)
    assert all(blobs.has_blob(own_store, layer.digest) for layer in image.layers)
    assert len(image.layers) == LAYERS
    assert tokens.given >= (LAYERS + 2) // uses


def test_a_token_that_is_never_taken_ends_it(own_store: Store, sample: Sample, scripted: Scripted) -> None:
    tokens = Tokens(scripted, 0)
    with pytest.raises(PyctrError, match="access is denied"):
        pull.pull(own_store, sample.reference, QUICK)
    assert tokens.given < 10
    assert images.image_ids(own_store) == []


def test_passwords_that_are_no_longer_taken_end_it(
    own_store: Store, sample: Sample, scripted: Scripted
) -> None:
    """The token server stops giving tokens in the middle."""
    Tokens(scripted, 2)
    scripted.answers["/token"] = in_turn(scripted.answers["/token"], status(401))
    with pytest.raises(PyctrError, match="gives no token for repository:sample:pull: status 401") as caught:
        pull.pull(own_store, sample.reference, QUICK)
    assert "pyctr login" in str(caught.value.hint)
    assert images.image_names(own_store) == []
