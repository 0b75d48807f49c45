"""The process that thaws a frozen container."""

import os
import pathlib

import pytest

from pyctr.engine import freezing, truth
from pyctr.rootless import processes
from pyctr.runtime.state import State
from pyctr.storage.paths import Store


@pytest.mark.parametrize("open_before", range(3))
def test_it_thaws_whatever_its_descriptor(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, open_before: int
) -> None:
    """With nothing open before, its pipe is descriptor 3, the first that is not a stream."""
    (tmp_path / "cgroup.freeze").write_text("0")
    (tmp_path / "cgroup.events").write_text("frozen 1")
    monkeypatch.setattr(truth, "current", lambda *_: State(status="running", cgroup=str(tmp_path)))
    child = os.fork()
    if not child:
        try:
            processes.close_all_but(set())
            for _ in range(open_before):
                os.dup(0)
            with freezing.frozen(Store(root="", runroot=""), "box"):
                frozen = (tmp_path / "cgroup.freeze").read_text()
            os._exit(frozen != "1")
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (tmp_path / "cgroup.freeze").read_text() == "0"
