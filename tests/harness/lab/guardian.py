"""Runs a containerd of its own and ends everything that it has started.

`python -m harness.lab.guardian FOLDER PACKAGE VERSION nri|no-nri cgroupfs|systemd` reads orders, one per line, and answers each
with one line of JSON: `start`, `kill` (as a crash would), `stop`. At the end of its input, however that comes, every process, mount
and cgroup of the lab goes. It is the reaper of all that the runtime leaves behind: shims outlive their runtime, and on a machine
without an init process nobody else would take care of them.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType

from harness.lab.image import write_archive
from harness.lab.lab_cgroup import LabCgroup
from harness.lab.place import IMAGES, Place, configuration
from harness.waiting import SLOWNESS

_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_PDEATHSIG = 1
READY_SECONDS = 120.0 * SLOWNESS
END_SECONDS = 30.0 * SLOWNESS
REAP_MILLISECONDS = 200
# Makes, in mount and cgroup namespaces of its own, the branch the root of every hierarchy, and /run private; then it waits.
_NAMESPACES = r"""
for folder in {folders}; do echo $$ >"$folder/cgroup.procs"; done
exec unshare --mount --cgroup --propagation slave sh -ec '
    mount -t tmpfs -o mode=755 tmpfs /run
    {remount}
    echo made
    exec cat
'
"""


class Guardian:
    """One lab: its folder, its branch of cgroups, its containerd."""

    def __init__(self, folder: Path, package: Path, version: str, *, has_nri: bool, systemd_cgroups: bool = False) -> None:
        self.place = Place(folder)
        self._package = package
        self._version = version
        # systemd makes the cgroups of its pods itself, where it wants them: only a machine of the lab's own is used so.
        self._is_apart = not systemd_cgroups
        self._cgroup = LabCgroup(f"evergauge-runtime-{os.getpid()}" if self._is_apart else "")
        self._config = configuration(self.place, version, has_nri=has_nri, systemd_cgroups=systemd_cgroups)
        self._holder: subprocess.Popen[bytes] | None = None
        self._runtime: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Folders, cgroups, namespaces and images; nothing runs yet but a process that holds the namespaces."""
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        for path in (self.place.shared, self.place.data):
            path.mkdir(parents=True)
        self.place.config.write_text(self._config)
        if self._is_apart:
            subprocess.run(["mount", "--bind", self.place.shared, self.place.shared], check=True)
            subprocess.run(["mount", "--make-shared", self.place.shared], check=True)
            self._cgroup.make()
            self._hold_namespaces()
        programs = {"bin/busybox": self._package / "usr/bin/busybox", "bin/load": self._package / "usr/bin/load"}
        for name in IMAGES:
            write_archive(self._archive(name), name, programs)

    def _archive(self, name: str) -> Path:
        return self.place.data / f"{name.replace('/', '-')}.tar"

    def _hold_namespaces(self) -> None:
        mounts = sorted(self._cgroup.hierarchies, key=lambda each: len(each.mount.parts))
        lines = []
        if not any(each.mount == Path("/sys/fs/cgroup") for each in mounts):
            lines.append("mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup")
        for each in mounts:
            options = f"-o {each.options}" if each.options and not each.is_v2 else ""
            lines.append(f"mkdir -p {each.mount} && mount -t {each.kind} {options} none {each.mount}")
        # Processes beside child cgroups would keep version 2 from handing controllers down.
        lines += [f"mkdir {each.mount}/runtime && echo $$ >{each.mount}/runtime/cgroup.procs" for each in mounts]
        text = _NAMESPACES.format(folders=" ".join(map(str, self._cgroup.folders())), remount="\n    ".join(lines))
        self._holder = subprocess.Popen(
            ["sh", "-ec", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, preexec_fn=_die_with_parent
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"made\n":
            raise SystemExit("lab: the namespaces could not be made; see above")
        self._cgroup.pass_on_controllers()

    def start(self) -> dict[str, object]:
        """Start containerd, the images imported; where everything is."""
        enter, words = "", list[str]()
        if self._holder is not None:
            enter = "".join(f"echo $$ >{folder}/runtime/cgroup.procs; " for folder in self._cgroup.folders())
            pid = self._holder.pid
            words = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--cgroup=/proc/{pid}/ns/cgroup"]
        words += [str(self._package / "usr/bin/containerd"), "--config", str(self.place.config)]
        with self.place.log.open("ab") as log:
            self._runtime = subprocess.Popen(
                ["sh", "-ec", f'{enter} exec "$@"', "sh", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={"PATH": f"{self._package}/usr/bin:{self._package}/usr/sbin:/usr/sbin:/usr/bin:/sbin:/bin"},
                preexec_fn=_die_with_parent,
            )
        self._wait_for_images()
        return {
            "pid": self._runtime.pid,
            "socket": str(self.place.socket),
            "nri": str(self.place.nri),
            "shared": str(self.place.shared),
            "cgroup_root": str(self._cgroup.root),
            "cgroup_folders": list(map(str, self._cgroup.folders())) if self._is_apart else [],
        }

    def _wait_for_images(self) -> None:
        assert self._runtime is not None
        end = time.monotonic() + READY_SECONDS
        ctr = [str(self._package / "usr/bin/ctr"), "--address", str(self.place.socket), "--namespace", "k8s.io"]
        missing = list(IMAGES)
        while missing:
            if self._runtime.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"lab: containerd did not come up:\n{self.place.log.read_text(errors='replace')[-3000:]}")
            if self.place.socket.exists():
                command = [*ctr, "images", "import", "--local", str(self._archive(missing[0]))]
                if self._version == "1.7":
                    command.remove("--local")
                if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                    missing.pop(0)
                    continue
            time.sleep(0.02)

    def stop(self, number: int) -> dict[str, object]:
        """End containerd alone; what it has started lives on."""
        if self._runtime is not None and self._runtime.poll() is None:
            self._runtime.send_signal(number)
            try:
                self._runtime.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._runtime.kill()
                self._runtime.wait()
        return {"ended": True}

    def reap(self) -> None:
        """Let ended shims and containers go. The processes that are started here are waited for where they are started."""
        own = {each.pid for each in (self._holder, self._runtime) if each is not None}
        for pid in _children() - own:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)

    def end(self) -> list[str]:
        """Everything goes; what could not be removed."""
        self.stop(signal.SIGKILL)
        end = time.monotonic() + END_SECONDS
        # Shims, then what they leave, which becomes a child of this process.
        while True:
            has_children, left = _has_children(), self._processes()
            if time.monotonic() > end or not (has_children or left):
                break
            for pid in left - {os.getpid()}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        problems = [f"process {pid}" for pid in left]
        problems += map(str, self._cgroup.remove() if self._is_apart else [])
        self._unmount()
        shutil.rmtree(self.place.data, ignore_errors=True)
        for path in (self.place.socket, self.place.nri, Path(f"{self.place.socket}.ttrpc")):
            path.unlink(missing_ok=True)
        return problems

    def _processes(self) -> set[int]:
        return _children() | (self._cgroup.processes() if self._is_apart else set())

    def _unmount(self) -> None:
        inside = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for point in reversed([each for each in inside if Path(each).is_relative_to(self.place.folder)]):
            subprocess.run(["umount", "--lazy", point], check=False)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _children() -> set[int]:
    return set(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))


def _has_children() -> bool:
    """Whether any is left once those that have ended are reaped; the kernel's list may miss one while another ends (proc(5))."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _orders(guardian: Guardian) -> Iterator[str]:
    """Each line of the input. Meanwhile ended processes that became this one's children are reaped."""
    waiting, text = select.poll(), b""
    waiting.register(0, select.POLLIN)
    while True:
        if not waiting.poll(REAP_MILLISECONDS):
            guardian.reap()
            continue
        data = os.read(0, 4096)
        if not data:
            return
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            yield line.decode().strip()


class _Ended(Exception):
    """Somebody asked this process to end."""


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def main() -> None:
    """Prepare, obey, clean up."""
    folder, package, version, nri, driver = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    guardian = Guardian(Path(folder), Path(package), version, has_nri=nri == "nri", systemd_cgroups=driver == "systemd")
    orders: dict[str, Callable[[], dict[str, object]]] = {
        "start": guardian.start,
        "kill": lambda: guardian.stop(signal.SIGKILL),
        "stop": lambda: guardian.stop(signal.SIGTERM),
    }
    try:
        guardian.prepare()
        for order in _orders(guardian):
            print(json.dumps(orders[order]()), flush=True)
    except _Ended:
        pass
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if problems := guardian.end():
            print(f"lab: left behind: {', '.join(problems)}", file=sys.stderr)
            raise SystemExit(1)


if __name__ == "__main__":
    main()
