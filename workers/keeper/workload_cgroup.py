"""One workload's cgroup: made, limited, watched, emptied, read for the last time, removed.

*Source:* Documentation/admin-guide/cgroup-v2.rst. Files that an older kernel lacks (cgroup.kill before 5.14, memory.peak before
5.19) are done without.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from errno import EBUSY, ENODEV

from agent.kernel_file import read_to_end
from workers.keeper.cgroup_place import CgroupPlace, cgroup_of
from workers.keeper.limit_file import OPTIONAL, LimitWrite, flat_keyed, io_bytes
from workers.keeper.protocol import RefusalWord, WorkloadEnding
from workers.keeper.refusal import WorkloadRefused

FILE_BYTES_MAX = 64 << 10
# cgroup.procs of a fork bomb: what is not read in this turn is in the next.
PROCS_BYTES_MAX = 1 << 20
# A workload may make cgroups inside its own.
INNER_MAX = 1000
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW


class WorkloadCgroup:
    """An open cgroup. It stays the same one, whatever happens to its name."""

    def __init__(self, place: CgroupPlace, path: str, folder: int) -> None:
        self.path = path
        self._full = place.root + path
        self._shown = place.shown + path.removeprefix(place.path)
        self.folder = folder
        self.number = os.fstat(folder).st_ino
        # Ready with EPOLLPRI when it becomes empty or populated. *Absent:* None where the kernel tells no change.
        self.events = self._open_events()

    def close(self) -> None:
        """Let go; the cgroup stays."""
        if self.events is not None:
            os.close(self.events)
        os.close(self.folder)

    def limit(self, name: str, files: Sequence[LimitWrite]) -> dict[str, str]:
        """Write these limits and read back what the kernel made of them. *Raises:* WorkloadRefused."""
        in_force: dict[str, str] = {}
        for file in files:
            try:
                self._write(file.name, file.text)
                in_force[file.name] = self._read(file.name).strip()
            except OSError as cause:
                if file.name in OPTIONAL:
                    continue
                raise _refused(name, file, cause) from cause
        return in_force

    def is_populated(self) -> bool:
        """Whether any process is in it or below it; one that was removed has none."""
        assert self.events is not None
        try:
            return flat_keyed(os.pread(self.events, FILE_BYTES_MAX, 0).decode()).get("populated", 0) != 0
        except OSError:
            return False

    def members(self) -> list[int]:
        """The processes in it and below it, as many as are read in one go."""
        pids: list[int] = []
        for inner in self._inner():
            with suppress(OSError):
                pids += [int(word) for word in self._read(f"{inner}cgroup.procs", PROCS_BYTES_MAX).split()]
        return pids

    def terminate(self) -> None:
        """Ask every process in it to end; frozen ones could not hear it."""
        with suppress(OSError):
            self._write("cgroup.freeze", "0")
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End every process in it, also one that forks for ever. Where the kernel cannot do that at once (before 5.14), the
        cgroup is frozen first, so that nothing is forked while each is killed."""
        try:
            self._write("cgroup.kill", "1")
            return
        except OSError:
            pass
        with suppress(OSError):
            self._write("cgroup.freeze", "1")
        self._signal(signal.SIGKILL)
        # Frozen processes die of SIGKILL; what is forked in between is killed by the next call.

    def final_reading(self, ending: WorkloadEnding) -> WorkloadEnding:
        """The ending with what the cgroup says at last. *Absent:* what the kernel or a missing controller does not tell."""
        from msgspec.structs import replace

        cpu_usec = self._keyed("cpu.stat").get("usage_usec")
        events, io = self._keyed("memory.events"), self._text("io.stat")
        peak = self._text("memory.peak")
        read, written = (None, None) if io is None else io_bytes(io)
        return replace(
            ending,
            oom_kills=events.get("oom_kill"),
            cpu_ns=None if cpu_usec is None else cpu_usec * 1000,
            memory_peak_bytes=int(peak) if peak is not None and peak.strip().isdecimal() else None,
            io_read_bytes=read,
            io_write_bytes=written,
        )

    def remove(self) -> str:
        """Remove it with all cgroups inside. Returns why it is still there; empty: it is gone."""
        inner = list(self._inner())
        for path in reversed(inner[1:]):
            with suppress(OSError):
                os.rmdir(path, dir_fd=self.folder)
        try:
            # By name, since there is no other way: if another one has the name by now, this one is gone already.
            if os.stat(self._full, follow_symlinks=False).st_ino == self.number:
                os.rmdir(self._full)
        except FileNotFoundError:
            return ""
        except OSError as cause:
            return "its processes are still ending" if cause.errno == EBUSY else cause.strerror or "unknown"
        return ""

    def _signal(self, number: int) -> None:
        for pid in self.members():
            with suppress(OSError):
                pidfd = os.pidfd_open(pid)
                try:
                    # The number may be another process's by now, and that one is none of ours.
                    if self.holds(pid):
                        signal.pidfd_send_signal(pidfd, number)
                finally:
                    os.close(pidfd)

    def holds(self, pid: int) -> bool:
        """Whether this process is in it or below it."""
        path = cgroup_of(pid)
        return path == self._shown or path.startswith(f"{self._shown}/")

    def _inner(self) -> Iterator[str]:
        """Prefixes of the names of files in it and in all cgroups below it, outer ones first."""
        waiting = [""]
        for _ in range(INNER_MAX):
            if not waiting:
                return
            prefix = waiting.pop(0)
            yield prefix
            with suppress(OSError):
                folder = os.open(prefix or ".", _OPEN | os.O_RDONLY | os.O_DIRECTORY, dir_fd=self.folder)
                try:
                    with os.scandir(folder) as entries:
                        waiting += [f"{prefix}{entry.name}/" for entry in entries if entry.is_dir(follow_symlinks=False)]
                finally:
                    os.close(folder)

    def _open_events(self) -> int | None:
        return self._open("cgroup.events", os.O_RDONLY)

    def _keyed(self, name: str) -> dict[str, int]:
        return flat_keyed(self._text(name) or "")

    def _text(self, name: str) -> str | None:
        try:
            return self._read(name)
        except OSError:
            return None

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | _OPEN, dir_fd=self.folder)

    def _read(self, name: str, bytes_max: int = FILE_BYTES_MAX) -> str:
        descriptor = self._open(name, os.O_RDONLY)
        try:
            return read_to_end(descriptor, bytes_max).decode("utf-8", "replace")
        finally:
            os.close(descriptor)

    def _write(self, name: str, text: str) -> None:
        descriptor = self._open(name, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def _refused(name: str, file: LimitWrite, cause: OSError) -> WorkloadRefused:
    if isinstance(cause, FileNotFoundError):
        problem = f"{file.name} is not there: controller {file.controller} is not enabled for it"
        return WorkloadRefused(RefusalWord.NO_LIMITS, name, problem, "enable it, or run with --without-limits")
    if cause.errno == ENODEV:
        return WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"the kernel cannot limit this disk ({file.text})", "name a whole disk")
    return WorkloadRefused(RefusalWord.BAD_LIMIT, name, f"the kernel refuses «{file.text}» for {file.name}: {cause.strerror}")
