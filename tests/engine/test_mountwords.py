"""-v, --mount and --tmpfs."""

import os
import pathlib

import pytest

from pyctr.engine import mountwords
from pyctr.rootless.errors import PyctrError
from pyctr.runtime.spec import Mount

BIND = ("rbind", "rprivate")
VOLUME = ("rbind", "rprivate", "nosuid", "nodev")
TMPFS = ("rw", "nosuid", "nodev", "tmpcopyup")


@pytest.mark.parametrize(
    ("word", "mount"),
    [
        ("/tmp:/a", Mount("bind", "/a", "/tmp", BIND)),
        ("/tmp/:/a/", Mount("bind", "/a", "/tmp", BIND)),
        ("/tmp:/a/../b//c", Mount("bind", "/b/c", "/tmp", BIND)),
        ("/dev/null:/n", Mount("bind", "/n", "/dev/null", BIND)),
        ("/tmp:/a:ro", Mount("bind", "/a", "/tmp", ("ro", *BIND))),
        ("/tmp:/a:rw,nosuid,noexec", Mount("bind", "/a", "/tmp", ("rw", "nosuid", "noexec", *BIND))),
        ("/tmp:/a:bind,rslave", Mount("bind", "/a", "/tmp", ("bind", "rslave"))),
        ("/tmp:/a:shared", Mount("bind", "/a", "/tmp", ("shared", "rbind"))),
        ("/tmp:/a:copy", Mount("bind", "/a", "/tmp", BIND)),
        ("data:/a", Mount("volume", "/a", "data", VOLUME)),
        ("data:/a:", Mount("volume", "/a", "data", VOLUME)),
        ("data:/a:ro,nocopy", Mount("volume", "/a", "data", ("ro", "nocopy", *VOLUME))),
        (
            "data:/a:exec,suid,dev",
            Mount("volume", "/a", "data", ("exec", "suid", "dev", "rbind", "rprivate")),
        ),
        ("data:/a:nocreate", Mount("volume", "/a", "data", ("nocreate", *VOLUME))),
        ("/a", Mount("volume", "/a", "", VOLUME)),
    ],
)
def test_volume(word: str, mount: Mount) -> None:
    assert mountwords.parse_volume(word) == mount


@pytest.mark.skipif(os.path.exists("/sys/fs/selinux/enforce"), reason="this host has SELinux")
@pytest.mark.parametrize("word", ["/tmp:/a:z", "/tmp:/a:Z", "/tmp:/a:z,Z"])
def test_relabelling_means_nothing_without_selinux(word: str) -> None:
    assert mountwords.parse_volume(word).options == BIND


def test_relative_sources_are_resolved_now(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert mountwords.parse_volume("./here:/a").source == str(tmp_path / "here")
    assert mountwords.parse_volume("../:/a").source == str(tmp_path.parent)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "invalid volume"),
        (":", "invalid volume"),
        ("/tmp:", "invalid volume"),
        (":/a", "invalid volume"),
        ("/tmp:/a:ro:x", "invalid volume"),
        ("/absent:/a", "statfs /absent: no such file or directory"),
        ("./absent:/a", "statfs /.*/absent: no such file or directory"),
        ("data:a", "invalid container path 'a'"),
        ("/tmp:/", "it is the root"),
        ("/tmp:/a/..", "it is the root"),
        ("rel", "invalid container path 'rel'"),
        ("a/b:/x", "invalid volume name: 'a/b'"),
        ("tmp.x:/x", "invalid volume name"),
        ("/tmp:/a:foo", "unknown mount option 'foo'"),
        ("/tmp:/a:ro,rw", "ro and rw exclude each other"),
        ("/tmp:/a:rslave,shared", "rslave and shared exclude each other"),
        ("data:/a:rshared", "is for folders of the host"),
        ("/tmp:/a:U", "the option U is not supported yet"),
        ("/tmp:/a:O", "the option O is not supported yet"),
        ("/tmp:/a:O,upperdir=/u", "the option O is not supported yet"),
        ("/tmp:/a:idmap=uids=0-1-1", "the option idmap is not supported yet"),
        ("/tmp:/a:size=1m", "unknown mount option 'size=1m'"),
    ],
)
def test_wrong_volumes_are_refused(word: str, message: str) -> None:
    with pytest.raises(PyctrError, match=message):
        mountwords.parse_volume(word)


@pytest.mark.parametrize(
    ("word", "mount"),
    [
        ("type=bind,src=/tmp,dst=/a", Mount("bind", "/a", "/tmp", BIND)),
        ("type=bind,source=/tmp,target=/a,ro", Mount("bind", "/a", "/tmp", ("ro", *BIND))),
        ("type=bind,source=/tmp,destination=/a,readonly=true", Mount("bind", "/a", "/tmp", ("ro", *BIND))),
        ("type=bind,src=/tmp,dest=/a,ro=false", Mount("bind", "/a", "/tmp", ("rw", *BIND))),
        ("type=bind,src=/tmp,dst=/a,U=false", Mount("bind", "/a", "/tmp", BIND)),
        (
            "type=bind,src=/tmp,dst=/a,bind-propagation=rslave",
            Mount("bind", "/a", "/tmp", ("rslave", "rbind")),
        ),
        ("type=bind,src=/tmp,dst=/a,bind-nonrecursive", Mount("bind", "/a", "/tmp", ("bind", "rprivate"))),
        ("type=volume,src=data,dst=/a", Mount("volume", "/a", "data", VOLUME)),
        ("src=data,dst=/a", Mount("volume", "/a", "data", VOLUME)),
        ("type=volume,dst=/a", Mount("volume", "/a", "", VOLUME)),
        ("type=volume,dst=/a,volume-nocopy", Mount("volume", "/a", "", ("nocopy", *VOLUME))),
        ("type=tmpfs,dst=/a", Mount("tmpfs", "/a", "tmpfs", TMPFS)),
        (
            "type=tmpfs,dst=/a,tmpfs-size=1m,tmpfs-mode=700,notmpcopyup",
            Mount("tmpfs", "/a", "tmpfs", ("size=1048576", "mode=700", "rw", "nosuid", "nodev")),
        ),
        ("type=tmpfs,dst=/a,ro", Mount("tmpfs", "/a", "tmpfs", ("ro", "nosuid", "nodev", "tmpcopyup"))),
    ],
)
def test_mount(word: str, mount: Mount) -> None:
    assert mountwords.parse_mount(word) == mount


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "empty option"),
        ("type=bind,src=/tmp", "must set volume destination"),
        ("type=bind,dst=/a", "needs a source"),
        ("type=bind,src=/absent,dst=/a", "statfs /absent"),
        ("type=foo,dst=/a", "type 'foo' is not supported"),
        ("type=image,src=x,dst=/a", "type 'image' is not supported"),
        ("type=bind,src=/tmp,dst=/a,dst=/b", "repeated option"),
        ("type=bind,src=/tmp,dst=/a,ro=maybe", "ro=maybe is neither true nor false"),
        ("type=bind,src=/tmp,dst=/a,foo=1", "unknown mount option 'foo=1'"),
        ("type=bind,src=/tmp,dst=/a,idmap", "idmap is not supported yet"),
        ("type=volume,src=data,dst=/a,subpath=/x", "subpath is not supported yet"),
        ("type=bind,src=/tmp,dst=/a,bind-propagation=foo", "unknown mount option 'foo'"),
        ("type=tmpfs,dst=/a,tmpfs-mode=9", "invalid mode '9'"),
        ("type=tmpfs,dst=rel", "invalid container path"),
        ("type=tmpfs,dst=/a,src=/x", "unknown tmpfs option 'source=/x'"),
    ],
)
def test_wrong_mounts_are_refused(word: str, message: str) -> None:
    with pytest.raises(PyctrError, match=message):
        mountwords.parse_mount(word)


@pytest.mark.parametrize(
    ("word", "options"),
    [
        ("/a", TMPFS),
        ("/a:", TMPFS),
        ("/a:size=1g,exec", ("size=1073741824", "exec", *TMPFS)),
        ("/a:size=50%", ("size=50%", *TMPFS)),
        ("/a:mode=1777,uid=1,gid=2", ("mode=1777", "uid=1", "gid=2", *TMPFS)),
        ("/a:rw,noexec,nosuid,nodev", ("rw", "noexec", "nosuid", "nodev", "tmpcopyup")),
    ],
)
def test_tmpfs(word: str, options: tuple[str, ...]) -> None:
    assert mountwords.parse_tmpfs(word) == Mount("tmpfs", "/a", "tmpfs", options)


@pytest.mark.parametrize("word", ["rel", "/", "/a:foo", "/a:size=x", "/a:mode=9", "/a:uid=x", "/a:size"])
def test_wrong_tmpfs_are_refused(word: str) -> None:
    with pytest.raises(PyctrError):
        mountwords.parse_tmpfs(word)


@pytest.mark.parametrize(
    ("volume", "mount", "tmpfs"),
    [
        (["/tmp:/a", "/etc:/a/"], [], []),
        (["/tmp:/a"], ["type=tmpfs,dst=/a"], []),
        (["/tmp:/a"], [], ["/b/../a"]),
    ],
)
def test_one_place_takes_one_mount(volume: list[str], mount: list[str], tmpfs: list[str]) -> None:
    with pytest.raises(PyctrError, match="/a: duplicate mount destination"):
        mountwords.parse(volume, mount, tmpfs)
