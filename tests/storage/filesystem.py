"""What a root file system must do, whatever the driver: checks that run as root of its namespace.

The working directory of each, which it also gets as an argument, is the root of the layers of `layers()`.
It raises AssertionError.
"""

import errno
import fcntl
import mmap
import os
import shutil
import socket
import stat
from collections.abc import Callable

from tests.images import Layer

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw+ep, revision 2
MANY = 2000  # files of the large folder
DEEP = 200  # levels of the deep one
Check = Callable[[str], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    CHECKS[function.__name__] = function
    return function


def layers(*, large: bool = False) -> list[bytes]:
    """Two layers that have something of everything; the second hides and replaces parts of the first."""
    first = Layer().folder("d").file("d/one", "one").file("d/two", "two").folder("d/sub").file("d/sub/x")
    first.folder("gone").file("gone/x").file("hidden").file("replaced", "old")
    first.folder("cleared").file("cleared/a").symlink("soft", "d/one")
    first.file("owned", "o", 0o640, uid=1000, gid=2000).file("suid", "s", 0o4755).file("secret", "s", 0o600)
    first.file("linked", b"same").hardlink("link", "linked")
    capability = {"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1")}
    first.file("capable", pax_headers=capability).file(
        "named", pax_headers={"SCHILY.xattr.user.color": "red"}
    )
    first.file("holes", b"\0" * (1 << 20) + b"end").folder("sticky", 0o1777).file("sticky/mine")
    first.folder("large")
    for number in range(MANY if large else 0):
        first.file(f"large/{number}")
    second = Layer().whiteout("gone").whiteout("hidden").file("replaced", "new")
    second.folder("cleared").opaque("cleared").file("cleared/b")
    second.file("d/three", "three").folder("d/sub").file("d/sub/y")
    return [first.tar(), second.tar()]


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def write(path: str, text: bytes, mode: str = "wb") -> None:
    with open(path, mode) as file:
        file.write(text)


def fails(number: int, function: Callable[..., object], *args: object) -> None:
    try:
        function(*args)
    except OSError as error:
        assert error.errno == number, errno.errorcode[error.errno or 0]
    else:
        raise AssertionError(f"{function.__name__}{args} worked")


def as_user(uid: int, function: Callable[[], object]) -> int:
    """The errno that a process of this user gets, without capabilities; 0 for none."""
    child = os.fork()
    if not child:
        number = 255
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            function()
            number = 0
        except OSError as error:
            number = error.errno or 255
        finally:
            os._exit(number)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@check
def layers_are_one(root: str) -> None:
    assert sorted(os.listdir(f"{root}/d")) == ["one", "sub", "three", "two"]
    assert sorted(os.listdir(f"{root}/d/sub")) == ["x", "y"]
    assert os.listdir(f"{root}/cleared") == ["b"]
    assert read(f"{root}/replaced") == b"new"
    assert not {"gone", "hidden"} & set(os.listdir(root))
    assert not [name for name in os.listdir(root) if name.startswith(".wh.")]
    fails(errno.ENOENT, os.lstat, f"{root}/hidden")


@check
def owner_mode_time_and_attributes_are_kept(root: str) -> None:
    status = os.stat(f"{root}/owned")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 2000, 0o640)
    assert os.stat(f"{root}/suid").st_mode & 0o7777 == 0o4755
    assert os.getxattr(f"{root}/capable", "security.capability") == CAPABILITY
    assert os.getxattr(f"{root}/named", "user.color") == b"red"
    assert os.readlink(f"{root}/soft") == "d/one"
    assert read(f"{root}/soft") == b"one"


@check
def changing_a_file_of_a_layer(root: str) -> None:
    write(f"{root}/d/one", b" more", "ab")
    write(f"{root}/owned", b"new")
    assert (read(f"{root}/d/one"), read(f"{root}/owned")) == (b"one more", b"new")
    status = os.stat(f"{root}/owned")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_size) == (1000, 2000, 0o640, 3)
    os.truncate(f"{root}/d/two", 1)
    assert read(f"{root}/d/two") == b"t"


@check
def changing_status_keeps_the_content(root: str) -> None:
    os.chmod(f"{root}/d/one", 0o600)
    os.chown(f"{root}/d/one", 5, 65536)
    os.utime(f"{root}/d/one", ns=(1_000_000_001, 2_000_000_003))
    status = os.stat(f"{root}/d/one")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (5, 65536, 0o600)
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_001, 2_000_000_003)
    assert read(f"{root}/d/one") == b"one"
    os.chmod(f"{root}/d", 0o711)
    os.chown(f"{root}/d", 7, 8)
    assert sorted(os.listdir(f"{root}/d")) == ["one", "sub", "three", "two"]
    os.chown(f"{root}/soft", 9, 9, follow_symlinks=False)
    assert os.lstat(f"{root}/soft").st_uid == 9


@check
def attributes_can_be_changed(root: str) -> None:
    for name in ("named", "d", "new"):
        path = f"{root}/{name}"
        if name == "new":
            write(path, b"")
        os.setxattr(path, "user.shape", b"round")
        assert os.getxattr(path, "user.shape") == b"round"
        assert "user.shape" in os.listxattr(path)
        os.removexattr(path, "user.shape")
        fails(errno.ENODATA, os.getxattr, path, "user.shape")
    assert os.getxattr(f"{root}/named", "user.color") == b"red"
    os.setxattr(f"{root}/d/one", "security.capability", CAPABILITY)
    assert os.getxattr(f"{root}/d/one", "security.capability") == CAPABILITY
    os.chmod(f"{root}/capable", 0o700)
    assert os.getxattr(f"{root}/capable", "security.capability") == CAPABILITY


@check
def marks_of_overlays_are_not_for_containers(root: str) -> None:
    for name in ("user.overlay.opaque", "user.fuseoverlayfs.opaque", "trusted.overlay.opaque"):
        try:
            os.setxattr(f"{root}/d", name, b"y")
        except OSError:
            continue
    assert sorted(os.listdir(f"{root}/d")) == ["one", "sub", "three", "two"]


@check
def appending_goes_to_the_end(root: str) -> None:
    first = os.open(f"{root}/d/one", os.O_RDWR | os.O_APPEND)
    second = os.open(f"{root}/d/one", os.O_WRONLY | os.O_APPEND)
    for fd, word in ((first, b"1"), (second, b"2"), (first, b"3")):
        os.write(fd, word)
    assert os.pread(first, 100, 0) == read(f"{root}/d/one") == b"one123"
    os.close(first)
    os.close(second)


@check
def mapped_memory(root: str) -> None:
    with open(f"{root}/d/three", "r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        assert shared[:] == b"three"
        shared[0:2] = b"TH"
        shared.flush()
        assert read(f"{root}/d/three") == b"THree"
        file.seek(0)
        file.write(b"__")
        file.flush()
        assert shared[:] == b"__ree"
    with (
        open(f"{root}/replaced", "rb") as lower,
        mmap.mmap(lower.fileno(), 0, prot=mmap.PROT_READ) as private,
    ):
        assert private[:] == b"new"


@check
def an_open_file_outlives_its_name(root: str) -> None:
    for name in ("d/one", "fresh"):
        if name == "fresh":
            write(f"{root}/{name}", b"one")
        fd = os.open(f"{root}/{name}", os.O_RDWR)
        os.unlink(f"{root}/{name}")
        fails(errno.ENOENT, os.stat, f"{root}/{name}")
        os.write(fd, b"ONE!")
        assert os.pread(fd, 10, 0) == b"ONE!"
        os.close(fd)


@check
def files_can_be_renamed(root: str) -> None:
    os.rename(f"{root}/d/one", f"{root}/d/first")
    os.rename(f"{root}/d/two", f"{root}/replaced")
    os.rename(f"{root}/soft", f"{root}/cleared/soft")
    assert sorted(os.listdir(f"{root}/d")) == ["first", "sub", "three"]
    assert (read(f"{root}/d/first"), read(f"{root}/replaced")) == (b"one", b"two")
    assert os.readlink(f"{root}/cleared/soft") == "d/one"
    fails(errno.EISDIR, os.rename, f"{root}/replaced", f"{root}/d")
    fails(errno.ENOTDIR, os.rename, f"{root}/cleared", f"{root}/replaced")


@check
def folders_can_be_renamed(root: str) -> None:
    """Those of layers as far as the driver can (EXDEV tells mv to copy), and never halfway."""
    os.makedirs(f"{root}/own/inner")
    write(f"{root}/own/inner/file", b"x")
    os.rename(f"{root}/own", f"{root}/moved")
    assert read(f"{root}/moved/inner/file") == b"x"
    shutil.move(f"{root}/d", f"{root}/e")
    assert sorted(os.listdir(f"{root}/e")) == ["one", "sub", "three", "two"]
    assert sorted(os.listdir(f"{root}/e/sub")) == ["x", "y"]
    assert not os.path.lexists(f"{root}/d")
    os.mkdir(f"{root}/d")
    assert os.listdir(f"{root}/d") == []
    fails(errno.ENOTEMPTY, os.rename, f"{root}/moved", f"{root}/e")


@check
def a_folder_takes_the_place_of_an_empty_one(root: str) -> None:
    for name in os.listdir(f"{root}/cleared"):
        os.unlink(f"{root}/cleared/{name}")
    os.mkdir(f"{root}/own")
    write(f"{root}/own/file", b"x")
    os.rename(f"{root}/own", f"{root}/cleared")
    assert os.listdir(f"{root}/cleared") == ["file"]


@check
def hard_links(root: str) -> None:
    assert os.path.samefile(f"{root}/linked", f"{root}/link")
    os.link(f"{root}/d/one", f"{root}/other")
    assert os.stat(f"{root}/other").st_nlink == 2
    write(f"{root}/other", b"both")
    assert read(f"{root}/d/one") == b"both"
    os.unlink(f"{root}/d/one")
    assert read(f"{root}/other") == b"both"
    assert os.stat(f"{root}/other").st_nlink == 1
    fails(errno.EEXIST, os.link, f"{root}/other", f"{root}/replaced")
    fails(errno.EPERM, os.link, f"{root}/d", f"{root}/folder")


@check
def a_link_to_a_file_of_a_layer_is_the_same_file(root: str) -> None:
    os.link(f"{root}/d/one", f"{root}/other")
    assert os.path.samefile(f"{root}/d/one", f"{root}/other")
    write(f"{root}/fresh", b"")
    os.link(f"{root}/fresh", f"{root}/other fresh")
    assert os.path.samefile(f"{root}/fresh", f"{root}/other fresh")


@check
def removing_folders(root: str) -> None:
    fails(errno.ENOTEMPTY, os.rmdir, f"{root}/d")
    fails(errno.EISDIR, os.unlink, f"{root}/d")
    fails(errno.ENOTDIR, os.rmdir, f"{root}/replaced")
    shutil.rmtree(f"{root}/d")
    fails(errno.ENOENT, os.lstat, f"{root}/d")
    assert "d" not in os.listdir(root)
    os.mkdir(f"{root}/d", 0o700)
    assert os.listdir(f"{root}/d") == []
    write(f"{root}/d/one", b"again")
    assert os.listdir(f"{root}/d") == ["one"]
    assert read(f"{root}/d/one") == b"again"


@check
def names_can_become_something_else(root: str) -> None:
    os.unlink(f"{root}/replaced")
    os.mkdir(f"{root}/replaced")
    write(f"{root}/replaced/x", b"x")
    shutil.rmtree(f"{root}/cleared")
    write(f"{root}/cleared", b"file")
    os.unlink(f"{root}/cleared")
    os.symlink("nowhere", f"{root}/cleared")
    os.mkdir(f"{root}/gone")
    write(f"{root}/hidden", b"back")
    assert os.listdir(f"{root}/replaced") == ["x"]
    assert os.readlink(f"{root}/cleared") == "nowhere"
    assert os.listdir(f"{root}/gone") == []
    assert read(f"{root}/hidden") == b"back"


@check
def large_folders(root: str) -> None:
    large = f"{root}/large"
    assert sorted(map(int, os.listdir(large))) == list(range(MANY))
    for number in range(0, MANY, 2):
        os.unlink(f"{large}/{number}")
    for number in range(MANY, MANY + 500):
        write(f"{large}/{number}", b"")
    assert sorted(map(int, os.listdir(large))) == [*range(1, MANY, 2), *range(MANY, MANY + 500)]
    with os.scandir(large) as entries:  # removed while it is read
        for entry in entries:
            os.unlink(entry.path)
    for name in os.listdir(large):
        os.unlink(f"{large}/{name}")
    assert os.listdir(large) == []
    os.rmdir(large)


@check
def reading_a_folder_agrees_with_its_files(root: str) -> None:
    with os.scandir(f"{root}/d") as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            again = os.lstat(entry.path)
            assert (status.st_ino, status.st_mode) == (again.st_ino, again.st_mode)
            assert entry.is_dir() == stat.S_ISDIR(status.st_mode)
    fd = os.open(f"{root}/d", os.O_RDONLY)
    before = os.listdir(fd)
    write(f"{root}/d/new", b"")
    os.lseek(fd, 0, os.SEEK_SET)
    assert sorted(os.listdir(fd)) == sorted([*before, "new"])
    os.close(fd)


@check
def deep_paths(root: str) -> None:
    for _ in range(DEEP):
        os.mkdir("d" * 40)
        os.chdir("d" * 40)
    write("bottom", b"deep")
    assert read("bottom") == b"deep"
    os.rename("bottom", "renamed")
    assert os.listdir(".") == ["renamed"]


@check
def odd_names(root: str) -> None:
    longest = os.statvfs(root).f_namemax
    names = [b"n" * longest, b"\xff\xfe", b"new\nline", "ümläut".encode(), b" ", b"-rf", b"a:b,c\\d"]
    folder = os.fsencode(f"{root}/d/sub")
    for name in names:
        with open(folder + b"/" + name, "wb") as file:
            file.write(name)
    assert set(os.listdir(folder)) == {*names, b"x", b"y"}
    for name in names:
        with open(folder + b"/" + name, "rb") as file:
            assert file.read() == name
    fails(errno.ENAMETOOLONG, os.mkdir, folder + b"/" + b"n" * (longest + 1))


@check
def symbolic_links(root: str) -> None:
    os.symlink("../replaced", f"{root}/d/up")
    assert read(f"{root}/d/up") == b"new"
    write(f"{root}/soft", b"through")
    assert read(f"{root}/d/one") == b"through"
    os.symlink("x" * 4000, f"{root}/long")
    assert os.readlink(f"{root}/long") == "x" * 4000
    fails(errno.EEXIST, os.symlink, "a", f"{root}/soft")


@check
def special_files(root: str) -> None:
    """No ordinary user can make a device, in no file system."""
    fails(errno.EPERM, os.mknod, f"{root}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert not os.path.lexists(f"{root}/null")
    os.mkfifo(f"{root}/fifo", 0o600)
    assert stat.S_ISFIFO(os.stat(f"{root}/fifo").st_mode)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("socket")
        server.listen()
        client.connect("socket")
    os.unlink("socket")


@check
def space_is_told(root: str) -> None:
    found = os.statvfs(root)
    assert found.f_blocks > found.f_bavail > 0
    assert found.f_namemax > 250  # where marks are files, these have longer names


@check
def holes_stay_holes(root: str) -> None:
    assert os.stat(f"{root}/holes").st_size == (1 << 20) + 3
    write(f"{root}/holes", b"!", "ab")
    status = os.stat(f"{root}/holes")
    assert status.st_size == (1 << 20) + 4
    assert status.st_blocks * 512 < 1 << 19
    assert read(f"{root}/holes") == b"\0" * (1 << 20) + b"end!"
    with open(f"{root}/sparse", "wb") as file:
        file.truncate(1 << 30)
        file.seek(1 << 29)
        file.write(b"middle")
    assert os.stat(f"{root}/sparse").st_blocks * 512 < 1 << 20


@check
def permissions_hold(root: str) -> None:
    assert as_user(1000, lambda: read(f"{root}/secret")) == errno.EACCES
    assert as_user(1000, lambda: write(f"{root}/owned", b"mine")) == 0
    assert as_user(1001, lambda: read(f"{root}/owned")) == errno.EACCES
    assert as_user(1000, lambda: os.unlink(f"{root}/d/one")) == errno.EACCES
    assert as_user(1000, lambda: os.chmod(f"{root}/replaced", 0o777)) == errno.EPERM
    assert as_user(1000, lambda: os.unlink(f"{root}/sticky/mine")) == errno.EPERM
    assert as_user(1000, lambda: write(f"{root}/sticky/his", b"")) == 0
    status = os.stat(f"{root}/sticky/his")
    assert (status.st_uid, status.st_gid) == (1000, 1000)


@check
def folders_hand_their_group_down(root: str) -> None:
    os.chown(f"{root}/d", 0, 50)
    os.chmod(f"{root}/d", 0o2775)
    write(f"{root}/d/file", b"")
    os.mkdir(f"{root}/d/folder")
    assert os.stat(f"{root}/d/file").st_gid == 50
    assert os.stat(f"{root}/d/folder").st_mode & 0o2000


@check
def writing_clears_set_uid(root: str) -> None:
    os.chmod(f"{root}/suid", 0o4777)
    assert as_user(1000, lambda: write(f"{root}/suid", b"evil", "ab")) == 0
    assert not os.stat(f"{root}/suid").st_mode & 0o4000


@check
def much_data(root: str) -> None:
    block = bytes(range(256)) * 4096
    with open(f"{root}/d/one", "r+b") as file:
        for number in range(8):
            file.write(block)
            os.pwrite(file.fileno(), b"%d" % number, number * len(block))
        os.fsync(file.fileno())
    data = read(f"{root}/d/one")
    assert len(data) == 8 * len(block)
    assert [data[number * len(block)] for number in range(8)] == list(b"01234567")
    with open(f"{root}/space", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1 << 16)
    assert os.stat(f"{root}/space").st_size == 1 << 16


@check
def files_can_be_locked(root: str) -> None:
    first, second = (os.open(f"{root}/d/three", os.O_RDWR) for _ in range(2))
    fcntl.flock(first, fcntl.LOCK_EX)
    fails(errno.EAGAIN, fcntl.flock, second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(first, fcntl.LOCK_UN)
    fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(first)
    os.close(second)
    fails(errno.EEXIST, os.open, f"{root}/d/one", os.O_CREAT | os.O_EXCL)


@check
def many_at_once(root: str) -> None:
    children = []
    for worker in range(4):
        child = os.fork()
        if not child:
            try:
                _busy(f"{root}/d", worker)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert sorted(os.listdir(f"{root}/d")) == sorted(
        ["one", "sub", "three", "two", *[f"{n}.kept" for n in range(4)]]
    )


def _busy(folder: str, worker: int) -> None:
    for number in range(50):
        write(f"{folder}/{worker}.{number}", b"x" * number)
        os.rename(f"{folder}/{worker}.{number}", f"{folder}/{worker}.kept")
        assert len(read(f"{folder}/{worker}.kept")) == number
        os.chmod(f"{folder}/one", 0o600 + worker)
