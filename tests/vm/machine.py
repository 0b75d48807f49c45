"""Builds a Debian disk with systemd and runs jobs on it under qemu, all as an ordinary user.

The disk is made once. A job is a tar on a second disk: the machine unpacks it to /job, runs /job/job as
root, writes its output to a serial port and powers off. It has an ordinary user `dev` with subordinate ids,
who does not linger.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from tests import images

SERIAL_EXIT = "JOB-EXIT"
PACKAGES = (
    "linux-image-cloud-amd64,initramfs-tools,zstd,systemd-sysv,dbus-user-session,libpam-systemd,udev,iproute2,procps,"
    "uidmap,slirp4netns,passt,fuse-overlayfs,python3,libseccomp2,busybox-static"
)
FILES = {
    "etc/systemd/system/job.service": """\
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/root/run-job
""",
    "root/run-job": f"""\
#!/bin/sh
mkdir /job && tar -C /job -xf /dev/vdb
bash /job/job >/dev/ttyS1 2>&1 </dev/null
echo {SERIAL_EXIT} $? >/dev/ttyS1
systemctl poweroff --force
""",
    "etc/fstab": "/dev/vda / ext4 defaults 0 1\n",
    "etc/hostname": "machine\n",
    "etc/modules": "overlay\nfuse\ntun\n",
}
# The bind shows the tree without what mmdebstrap has mounted into it.
CUSTOMIZE = """\
set -e
cp -r {files}/. "$1"
chmod 755 "$1/root/run-job"
chroot "$1" useradd --create-home --shell /bin/bash dev
chroot "$1" systemctl mask getty.target apt-daily.timer apt-daily-upgrade.timer
cp "$1"/boot/vmlinuz-* {out}/vmlinuz
cp "$1"/boot/initrd.img-* {out}/initrd
mount --bind "$1" /mnt
mke2fs -q -t ext4 -d /mnt {out}/disk {size}
umount /mnt
chmod 666 {out}/*
"""
WANTS = "/etc/systemd/system/multi-user.target.wants"


class Outcome(NamedTuple):
    """What a job printed (both streams) and its exit code; 124 when it did not come to an end."""

    output: str
    code: int


def build(folder: pathlib.Path, size: str = "3G") -> None:
    """Makes `folder`/{disk,vmlinuz,initrd} in about two minutes. RuntimeError with mmdebstrap's output."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        out = pathlib.Path(work, "out")
        out.mkdir()
        for path in (pathlib.Path(work), out):
            path.chmod(0o777)  # mmdebstrap's root is a subordinate id of ours
        files = _write_files(pathlib.Path(work, "files"))
        hook = CUSTOMIZE.format(files=files, out=out, size=size)
        command = ["mmdebstrap", "--mode=unshare", "--variant=apt", "--quiet", "--format=null"]
        command += [
            f"--include={PACKAGES}",
            f"--customize-hook={hook}",
            images.suite(),
            "/dev/null",
            images.mirror(),
        ]
        made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            raise RuntimeError(f"mmdebstrap failed:\n{made.stdout}")
        folder.mkdir(exist_ok=True)
        for name in ("vmlinuz", "initrd", "disk"):
            subprocess.run(["cp", "--sparse=always", out / name, folder / name], check=True)


def _write_files(folder: pathlib.Path) -> pathlib.Path:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / WANTS[1:]).mkdir(parents=True)
    (folder / WANTS[1:] / "job.service").symlink_to("../job.service")
    return folder


def run(machine: pathlib.Path, job: pathlib.Path, seconds: float = 240) -> Outcome:
    """Boots a throw-away copy of the machine in `machine`, runs the tar `job` in it."""
    with tempfile.TemporaryDirectory(dir=job.parent) as work:
        output, console = pathlib.Path(work, "output"), pathlib.Path(work, "console")
        command = _qemu(machine, job, output, console)
        try:
            subprocess.run(command, check=True, timeout=seconds, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return Outcome(_read(output) + "\n--- console\n" + _read(console)[-4000:], 124)
        return _outcome(_read(output), _read(console))


def _qemu(
    machine: pathlib.Path, job: pathlib.Path, output: pathlib.Path, console: pathlib.Path
) -> list[str]:
    accelerator = "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg,thread=multi"
    command = ["qemu-system-x86_64", "-accel", accelerator, "-smp", "2", "-m", "1536", "-no-reboot"]
    command += ["-kernel", str(machine / "vmlinuz"), "-initrd", str(machine / "initrd")]
    command += ["-append", "root=/dev/vda rw console=ttyS0 panic=-1 quiet", "-display", "none"]
    command += ["-serial", f"file:{console}", "-serial", f"file:{output}"]
    command += ["-drive", f"file={machine / 'disk'},format=raw,if=virtio,snapshot=on"]
    return [*command, "-drive", f"file={job},format=raw,if=virtio,readonly=on"]


def _outcome(output: str, console: str) -> Outcome:
    found = re.search(rf"^{SERIAL_EXIT} (\d+)\n", output, re.MULTILINE)
    if not found:
        return Outcome(f"{output}\n--- console\n{console[-4000:]}", 124)
    return Outcome(output[: found.start()], int(found[1]))


def _read(path: pathlib.Path) -> str:
    return path.read_text(errors="replace").replace("\r", "") if path.exists() else ""


def have_programs() -> bool:
    return all(map(shutil.which, ("qemu-system-x86_64", "mmdebstrap", "mke2fs")))
