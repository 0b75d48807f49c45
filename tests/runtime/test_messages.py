"""The talk between launch, monitor and init."""

import os

import pytest

from pyctr.net.model import Helper
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.values import Value
from pyctr.runtime import messages


@pytest.mark.parametrize(
    "message",
    [
        messages.Launch("/root", "/run", "ab" * 32, Helper(("pasta",), "route"), 24, 80, attached=True),
        messages.Launch("/root", "/run", "ab" * 32),
        messages.Started(17),
        messages.Failed("no", "do", 126),
        messages.Born(4),
        messages.Prepare("/root", "/run", "x", ("IPv4",), 1, 2),
        messages.Go(),
    ],
    ids=lambda message: type(message).__name__,
)
def test_every_message_arrives_as_it_was_sent(message: Value) -> None:
    ours, theirs = messages.channel_pair()
    ours.send(message)
    assert theirs.receive() == (message, [])


def test_descriptors_travel_and_are_close_on_exec() -> None:
    ours, theirs = messages.channel_pair()
    read, write = os.pipe()
    ours.send(messages.Prepared(), (write,))
    _, [received] = theirs.receive()
    assert not os.get_inheritable(received)
    os.write(received, b"x")
    assert os.read(read, 1) == b"x"
    for fd in (read, write, received):
        os.close(fd)


def test_expect_raises_what_failed() -> None:
    ours, theirs = messages.channel_pair()
    ours.send(messages.Failed("it broke", "mend it", 127))
    with pytest.raises(PyctrError) as caught:
        theirs.expect(messages.Started)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("it broke", "mend it", 127)


def test_the_end_of_the_other_side_is_eof() -> None:
    ours, theirs = messages.channel_pair()
    ours.close()
    with pytest.raises(EOFError):
        theirs.expect(messages.Go)
