"""The attach stream."""

import random

import pytest

from pyctr.runtime import frames


def test_frames_survive_any_cut() -> None:
    generator = random.Random(7)
    sent = [(generator.randrange(8), generator.randbytes(generator.randrange(2000))) for _ in range(200)]
    stream = b"".join(frames.pack(kind, payload) for kind, payload in sent)
    reader = frames.Reader()
    received = []
    while stream:
        cut = generator.randrange(1, 700)
        received += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert received == sent


def test_a_giant_frame_is_refused_before_it_is_read() -> None:
    with pytest.raises(frames.ProtocolError):
        frames.Reader().feed(b"\x01\xff\xff\xff\xff")


def test_unknown_types_pass_through_for_newer_peers() -> None:
    assert frames.Reader().feed(frames.pack(200, b"x")) == [(200, b"x")]


@pytest.mark.parametrize("size", [(1, 1), (24, 80), (65535, 65535)])
def test_resize_round_trip(size: tuple[int, int]) -> None:
    [(kind, payload)] = frames.Reader().feed(frames.pack_resize(*size))
    assert kind == frames.RESIZE
    assert frames.unpack_resize(payload) == size
