"""Blobs get their name only when their content is what the name says."""

import hashlib
import os
import subprocess
import sys

import pytest

from pyctr.rootless.errors import NoSuchObject, PyctrError
from pyctr.storage import blobs
from pyctr.storage.paths import Store

DATA = b"some content"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
OTHER = f"sha256:{hashlib.sha256(b'other').hexdigest()}"


def files(store: Store, algorithm: str = "sha256") -> list[str]:
    return sorted(os.listdir(f"{store.blobs()}/{algorithm}"))


@pytest.mark.parametrize(
    "text",
    (
        "",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "md5:" + "a" * 32,
        "sha512:" + "a" * 64,
        "sha256:../" + "a" * 61,
        "sha256:" + "a" * 64 + "\n",
        "a" * 64,
    ),
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(PyctrError, match="is not a digest"):
        blobs.parse_digest(text)


def test_what_is_a_digest() -> None:
    assert str(blobs.parse_digest(DIGEST)) == DIGEST
    assert blobs.parse_digest("sha512:" + "0" * 128).algorithm == "sha512"


def test_what_was_written_can_be_read(own_store: Store) -> None:
    assert blobs.put_blob(own_store, DATA) == DIGEST
    assert blobs.has_blob(own_store, DIGEST) and not blobs.has_blob(own_store, OTHER)
    assert blobs.read_blob(own_store, DIGEST) == DATA
    assert blobs.blob_size(own_store, DIGEST) == len(DATA)
    with blobs.open_blob(own_store, DIGEST) as file:
        assert file.read() == DATA


def test_sha512(own_store: Store) -> None:
    digest = f"sha512:{hashlib.sha512(DATA).hexdigest()}"
    assert blobs.put_blob(own_store, DATA, digest) == digest
    assert files(own_store, "sha512") == [digest[7:]]


def test_wrong_content_leaves_nothing(own_store: Store) -> None:
    with pytest.raises(PyctrError, match=f"blob {OTHER} is not what was sent: .* {DIGEST}"):
        blobs.put_blob(own_store, DATA, OTHER)
    assert files(own_store) == []


def test_more_than_was_announced_leaves_nothing(own_store: Store) -> None:
    with (
        pytest.raises(PyctrError, match=f"blob {DIGEST} is larger than the 5 bytes"),
        blobs.writer(own_store, DIGEST, limit=5) as blob,
    ):
        for letter in DATA:
            blob.write(bytes([letter]))
    assert files(own_store) == []


def test_a_failure_leaves_nothing(own_store: Store) -> None:
    with pytest.raises(KeyError), blobs.writer(own_store, DIGEST) as blob:
        blob.write(DATA)
        raise KeyError
    assert files(own_store) == []


def test_a_resumed_blob_continues_where_it_was(own_store: Store) -> None:
    with pytest.raises(ConnectionError), blobs.writer(own_store, DIGEST, resume=True) as blob:
        blob.write(DATA[:5])
        raise ConnectionError
    with blobs.writer(own_store, DIGEST, resume=True) as blob:
        assert blob.size == 5
        blob.write(DATA[5:])
    assert files(own_store) == [DIGEST[7:]] and blobs.read_blob(own_store, DIGEST) == DATA


def test_a_resumed_blob_can_start_again(own_store: Store) -> None:
    with pytest.raises(ConnectionError), blobs.writer(own_store, DIGEST, resume=True) as blob:
        blob.write(b"nonsense")
        raise ConnectionError
    with blobs.writer(own_store, DIGEST, resume=True) as blob:
        blob.restart()
        blob.write(DATA)
    assert blobs.read_blob(own_store, DIGEST) == DATA


def test_a_resumed_blob_that_is_wrong_is_dropped(own_store: Store) -> None:
    for _attempt in range(2):
        with (
            pytest.raises(PyctrError, match="is not what was sent"),
            blobs.writer(own_store, DIGEST, resume=True) as w,
        ):
            assert w.size == 0
            w.write(b"nonsense")
    assert files(own_store) == []


def test_a_blob_that_rotted_is_not_returned(own_store: Store) -> None:
    blobs.put_blob(own_store, DATA)
    with open(own_store.blob(DIGEST), "wb") as file:
        file.write(b"some kontent")
    with pytest.raises(PyctrError, match=f"blob {DIGEST} is damaged on disk"):
        blobs.read_blob(own_store, DIGEST)


def test_a_missing_blob_is_named(own_store: Store) -> None:
    for look in (blobs.open_blob, blobs.read_blob, blobs.blob_size):
        with pytest.raises(NoSuchObject, match=f"no such blob: {DIGEST}"):
            look(own_store, DIGEST)


def test_a_large_blob_is_not_read_into_memory(own_store: Store) -> None:
    digest = blobs.put_blob(own_store, bytes(100))
    with pytest.raises(PyctrError, match="larger than 99 bytes"):
        blobs.read_blob(own_store, digest, limit=99)


WRITE = """
import sys
from pyctr.storage import blobs, paths
with blobs.writer(paths.Store(root=sys.argv[1], runroot=""), sys.argv[2], resume=True) as blob:
    blob.write(b"some")
    print("ready", flush=True)
    sys.stdin.read()
    blob.write(b" content")
"""


def test_kill_in_the_middle_leaves_no_blob(own_store: Store) -> None:
    command = [sys.executable, "-c", WRITE, own_store.root, DIGEST]
    child = subprocess.Popen(command, stdin=-1, stdout=-1)
    assert child.stdout and child.stdout.readline() == b"ready\n"
    child.kill()
    child.communicate()
    assert not blobs.has_blob(own_store, DIGEST)
    with blobs.writer(own_store, DIGEST, resume=True) as blob:
        assert blob.size == 4
        blob.write(b" content")
    assert files(own_store) == [DIGEST[7:]]


def test_a_second_writer_of_a_resumed_blob_waits(own_store: Store) -> None:
    command = [sys.executable, "-c", WRITE, own_store.root, DIGEST]
    first = subprocess.Popen(command, stdin=-1, stdout=-1)
    assert first.stdout and first.stdout.readline() == b"ready\n"
    second = subprocess.Popen(command, stdin=-1, stdout=-1)
    first.communicate(b"")
    assert second.communicate(b"")[0] == b"ready\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert files(own_store) == [DIGEST[7:]]
