"""The plan of a root file system: pure values, compared without any privilege."""

from pyctr.net.model import Network
from pyctr.runtime import rootfs
from pyctr.runtime.rootfs import (
    Bind,
    Freeze,
    MakeDev,
    Marker,
    Mask,
    MountNew,
    MountRoot,
    MountVolume,
    Pivot,
    ReadOnlyRoot,
    Step,
    Tmpfs,
)
from pyctr.runtime.spec import Mount, Process, Rootfs, Spec
from pyctr.storage.paths import Store

STORE = Store("/store", "/run/store")
ID = "ab" * 32
FOLDER = f"/store/containers/{ID}"


def spec_with(**fields: object) -> Spec:
    basis = Spec(1, ID, "name", 0, Rootfs("image", key="k"), Process(("true",), ()))
    return basis.replace(**fields)


def plan(**fields: object) -> list[Step]:
    return rootfs.plan(STORE, spec_with(**fields))


def test_the_least_container() -> None:
    words = ("bind", "nosuid", "nodev")
    assert plan() == [
        MountRoot(),
        MakeDev(),
        Bind(f"{FOLDER}/hosts", "/etc/hosts", words),
        Bind(f"{FOLDER}/resolv.conf", "/etc/resolv.conf", words),
        Bind(f"{FOLDER}/hostname", "/etc/hostname", words),
        Marker(),
        Pivot(),
    ]


def test_kernel_file_systems_come_before_what_may_lie_below_them() -> None:
    steps = plan(mounts=(Mount("bind", "/proc/x", "/x"), Mount("proc", "/proc"), Mount("bind", "/a", "/a")))
    kinds = [step for step in steps if isinstance(step, MountNew | Bind)]
    assert kinds[0] == MountNew("proc", "/proc", host="/proc")
    assert [step.target for step in kinds[1:3]] == ["/a", "/proc/x"]


def test_parents_come_before_children() -> None:
    mounts = (Mount("bind", "/a/b/c", "/1"), Mount("tmpfs", "/a"), Mount("bind", "/a/b", "/2"))
    steps = [step for step in plan(mounts=mounts) if isinstance(step, Bind | Tmpfs)]
    assert [step.target for step in steps[:3]] == ["/a", "/a/b", "/a/b/c"]


def test_masks_come_after_the_pivot_and_last_of_all() -> None:
    steps = plan(masked_paths=("/proc/kcore",), read_only_paths=("/proc/sys",))
    assert steps[-3:] == [Pivot(), Mask("/proc/kcore"), Freeze("/proc/sys")]


def test_the_root_is_read_only_only_after_the_mount_points_are_made() -> None:
    steps = plan(rootfs=Rootfs("image", key="k", read_only=True))
    assert steps[-2:] == [ReadOnlyRoot(), Pivot()]


def test_a_volume_is_one_step_that_reads_its_record_when_it_is_made() -> None:
    steps = plan(mounts=(Mount("volume", "/data", "vol", ("rw",)),))
    assert MountVolume("vol", "/data", ("rw",)) in steps


def test_a_folder_of_the_users_own_gets_no_marker() -> None:
    assert Marker() not in plan(rootfs=Rootfs("path", path="/x"))


def test_files_of_etc_that_the_user_mounts_or_declines_are_left_alone() -> None:
    network = Network(manage_hosts=False)
    steps = plan(network=network, mounts=(Mount("bind", "/etc/hostname", "/x"),))
    managed = [step.target for step in steps if isinstance(step, Bind) and step.source.startswith(FOLDER)]
    assert managed == ["/etc/resolv.conf"]


def test_every_step_describes_itself() -> None:
    assert all(type(step).__name__ in step.describe() for step in plan())
