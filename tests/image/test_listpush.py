"""Pushing a manifest list whose images are at other registries, hostile ones among them."""

from collections.abc import Iterator

import pytest

from pyctr.image import listpush, manifestlist, platform, reference
from pyctr.image.credentials import Credentials
from pyctr.image.progress import SILENT
from pyctr.image.rendering import Wishes
from pyctr.image.transport import Access
from pyctr.rootless.errors import PyctrError
from pyctr.storage import blobs
from pyctr.storage.paths import Store
from tests.image import takers
from tests.image.servers import Sample, Scripted, status
from tests.image.takers import Taker

QUICK = Access(retries=0, connect=5, stall=5)
ME = QUICK.replace(credentials=Credentials("me", "s3cret-word"))
FORCED = Wishes(compression="gzip", force=True)
either_way = pytest.mark.parametrize("wishes", [Wishes(), FORCED], ids=["copied", "changed"])


@pytest.fixture
def taker() -> Iterator[Taker]:
    with takers.serve() as server:
        yield server


def push(store: Store, sample: Sample, to: str, wishes: Wishes, access: Access) -> None:
    """Pushes a list of one image of another registry."""
    made = manifestlist.create(store, "list")
    name = f"{manifestlist.REMOTE}{sample.reference}"
    made = manifestlist.add(store, made, name, QUICK, wanted=platform.wanted())
    listpush.push_list(store, made, reference.parse(to), wishes, access, SILENT)


def lock(sample: Sample) -> None:
    """From now on the layer is for those only who log in."""
    sample.answer(sample.blob(sample.layer_digest), status(401, WWW_Authenticate='Basic realm="x"'))


@either_way
def test_the_password_of_the_destination_goes_to_no_other_registry(
    own_store: Store, scripted: Scripted, taker: Taker, wishes: Wishes
) -> None:
    sample = Sample(scripted)
    lock(sample)
    with pytest.raises(PyctrError, match="access is denied"):
        push(own_store, sample, f"{taker.address}/app:1", wishes, ME)
    assert [headers for _, headers in scripted.requests if "authorization" in headers] == []


def test_how_the_destination_is_verified_is_for_it_alone(
    own_store: Store, scripted: Scripted, taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: dict[str, Access] = {}

    def opened(origin: reference.Reference, access: Access) -> None:
        used[origin.domain] = access
        raise PyctrError("enough")

    monkeypatch.setattr("pyctr.image.listpush.Repository", opened)
    access = ME.replace(tls_verify=False, cert_dir="/nowhere")
    with pytest.raises(PyctrError, match="enough"):
        push(own_store, Sample(scripted), f"{taker.address}/app:1", Wishes(), access)
    assert used == {scripted.address: QUICK}


def test_within_one_registry_the_password_opens_both(own_store: Store, scripted: Scripted) -> None:
    sample = Sample(scripted)
    lock(sample)
    with pytest.raises(PyctrError, match="access is denied"):
        push(own_store, sample, f"{scripted.address}/app:1", FORCED, ME)
    assert [headers for _, headers in scripted.requests if "authorization" in headers]


@either_way
def test_the_failure_that_came_first_is_told(
    own_store: Store, scripted: Scripted, taker: Taker, wishes: Wishes
) -> None:
    """Not that of the other blob, which another pull brings and which is waited for no longer."""
    sample = Sample(scripted)
    absent = {**sample.manifest["layers"][0], "digest": f"sha256:{'0' * 64}"}
    sample.manifest["layers"].append(absent)
    sample.config["rootfs"]["diff_ids"].append(f"sha256:{'1' * 64}")
    sample.publish()
    with blobs.writer(own_store, sample.layer_digest, resume=True) as other:
        with pytest.raises(PyctrError, match=str(absent["digest"])):
            push(own_store, sample, f"{taker.address}/app:1", wishes, QUICK)
        other.write(sample.layer)
