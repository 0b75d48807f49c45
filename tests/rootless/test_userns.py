"""User namespaces of an ordinary user, against the kernel."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyctr.rootless import userns
from pyctr.rootless.errors import PyctrError
from pyctr.rootless.idmap import IdMaps, IdRange


def read_maps() -> list[str]:
    return [" ".join(line.split()) for line in Path("/proc/self/uid_map").read_text().splitlines()]


def total(ranges: tuple[IdRange, ...]) -> int:
    return sum(part.length for part in ranges)


def test_the_full_map_begins_with_the_user() -> None:
    maps = userns.default_maps()
    assert maps.uid[0] == IdRange(0, os.getuid(), 1)
    assert maps.gid[0] == IdRange(0, os.getgid(), 1)
    assert total(maps.uid) > 60_000


def test_a_call_runs_as_root_of_the_mapped_namespace() -> None:
    maps = userns.default_maps()
    uid, rows = userns.call_mapped(maps, lambda: [os.getuid(), read_maps()])
    assert uid == 0
    assert rows == [f"{part.inside} {part.outside} {part.length}" for part in maps.uid]


@pytest.mark.parametrize("own", [0, 1, 1000, 65000])
def test_keep_id_is_a_map_that_the_kernel_accepts(own: int) -> None:
    maps = userns.keep_id_maps(own, own)
    assert total(maps.uid) == total(userns.default_maps().uid)
    assert IdRange(own, os.getuid(), 1) in maps.uid
    path = f"/tmp/pyctr-test-keep-{os.getpid()}-{own}"
    owner = userns.call_mapped(maps, owner_of_new_file, own, path)
    assert owner == own


def owner_of_new_file(uid: int, path: str) -> int:
    """The owner, as the namespace sees it, of a file that the user's own id makes."""
    os.setresuid(uid, uid, uid)
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.unlink(path)
    return os.fstat(fd).st_uid


def test_errors_of_the_child_arrive_with_their_words() -> None:
    def fail() -> None:
        raise PyctrError("it broke", "mend it", exit_code=126)

    with pytest.raises(PyctrError) as caught:
        userns.call_mapped(userns.default_maps(), fail)
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == ("it broke", "mend it", 126)
    with pytest.raises(FileNotFoundError) as missing:
        userns.call_mapped(userns.default_maps(), os.listdir, "/no/such/folder")
    assert missing.value.filename == "/no/such/folder"


def test_a_killed_child_is_an_error() -> None:
    with pytest.raises(PyctrError, match="without an answer"):
        userns.call_mapped(userns.default_maps(), lambda: os.kill(os.getpid(), 9))


def test_a_call_can_be_ended_while_a_thread_waits_for_it() -> None:
    """As ctrl-c does in a pull. Neither of the two may take the other's news."""
    for _ in range(10):
        call = userns.start_mapped(userns.default_maps(), signal.pause)
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(call.result)
            call.end()
            with pytest.raises(PyctrError, match="without an answer"):
                result.result(30)
        call.end()


def test_ctrl_c_is_the_callers() -> None:
    """A terminal sends SIGINT to all processes of the command: the call is ended by whoever made it."""

    def interrupted() -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return "goes on"

    assert userns.call_mapped(userns.default_maps(), interrupted) == "goes on"


def test_an_id_that_is_not_ours_is_refused_with_the_helpers_words() -> None:
    foreign = IdMaps((IdRange(0, 1, 1),), (IdRange(0, 1, 1),))
    with pytest.raises(PyctrError, match="newuidmap"):
        userns.call_mapped(foreign, os.getuid)


def test_no_range_names_the_file_and_the_repair(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text("somebody:100000:65536\n")
    with pytest.raises(PyctrError, match="no subordinate ids") as caught:
        userns.subordinate_ranges(str(tmp_path / "subuid"), os.getuid())
    assert caught.value.hint is not None and "usermod" in caught.value.hint


def test_several_ranges_and_numeric_owners(tmp_path: Path) -> None:
    (tmp_path / "subuid").write_text(f"x:1:2\n{os.getuid()}:1000:10\nbad\n{os.getuid()}:5000:20\n")
    assert userns.subordinate_ranges(str(tmp_path / "subuid"), os.getuid()) == [(1000, 10), (5000, 20)]


def test_the_map_is_that_of_podman() -> None:
    command = ["podman", "unshare", "cat", "/proc/self/uid_map"]
    theirs = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [IdRange(*map(int, line.split())) for line in theirs.splitlines()]
    assert tuple(rows) == userns.default_maps().uid
