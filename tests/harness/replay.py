"""Recordings of `/proc` over some ticks, and a kernel tree that plays them back: the same bytes, listings and errors each time.

A recording holds what every process showed at each tick, whether or not today's sampler reads it: it outlives changes of that.
*Source:* the files of proc(5); recorded by `harness/replay_record.py`.
"""

import errno
import lzma
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, field

FOLDER = Path(__file__).parents[1] / "fixtures" / "replay"
SUFFIX = ".replay"
# A recording is text that repeats; the small ones that are kept compress to a twentieth.
DECODED_BYTES_MAX = 64 << 20
# The content of a file, or the errno that reading it answered with.
Content = bytes | int


class RecordedTick(Struct):
    """What differs from the tick before. `names`: the listing of the root; `owners` by process; `lists`: other directories."""

    now_ns: int
    wall_ns: int
    boot_ns: int
    names: list[str]
    files: dict[str, Content] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    owners: dict[str, int] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    # CPU clocks of clock_gettime(2) in ns, by process.
    clocks: dict[str, int] = field(default_factory=dict)
    # Datagrams of taskstats since the tick before, in the order in which they came.
    exits: list[bytes] = field(default_factory=list)


class Recording(Struct):
    """Some ticks of a host, and one sentence about what is special in them."""

    about: str
    ticks: list[RecordedTick]
    # The number that the kernel gave taskstats; 0: no exit records were had.
    taskstats_family: int = 0


def load(name: str) -> Recording:
    """A recording of the corpus."""
    data = lzma.LZMADecompressor().decompress((FOLDER / f"{name}{SUFFIX}").read_bytes(), DECODED_BYTES_MAX)
    return msgspec.msgpack.decode(data, type=Recording)


def save(name: str, recording: Recording) -> Path:
    """Write a recording into the corpus."""
    path = FOLDER / f"{name}{SUFFIX}"
    path.write_bytes(lzma.compress(msgspec.msgpack.encode(recording), preset=9 | lzma.PRESET_EXTREME))
    return path


def names() -> list[str]:
    """The recordings of the corpus."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


class ReplayTree:
    """`agent.ports.KernelTree` over a recording; `advance` goes to the next tick.

    A descriptor stays with the process on whose file it was opened, as those of the kernel do: it answers ESRCH when that
    process has gone, also when another one has its number. `missing` are the files that were asked for and not recorded.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._files: dict[str, Content] = {}
        self._owners: dict[str, int] = {}
        self._lists: dict[str, list[str]] = {}
        self._starts: dict[str, bytes] = {}
        # A process that knows itself by its number can read clocks; in a container with the host's `/proc` it does not.
        self._has_clocks = any(tick.clocks for tick in recording.ticks)
        self._own_clock = clock_of(os.getpid())
        self._open: dict[int, tuple[str, bytes]] = {}
        self._next_descriptor = 100
        self._tick = -1
        self.missing: set[str] = set()
        self.advance()

    @property
    def now(self) -> RecordedTick:
        """The clocks of this tick."""
        return self._recording.ticks[self._tick]

    def advance(self) -> bool:
        """Go to the next tick; False: this was the last one."""
        if self._tick + 1 == len(self._recording.ticks):
            return False
        self._tick += 1
        tick = self.now
        for path in tick.gone:
            self._files.pop(path, None)
            self._lists.pop(path, None)
            self._owners.pop(path, None)
        self._files |= tick.files
        self._owners |= tick.owners
        self._lists |= tick.lists
        self._starts = {name: start_of(self._files.get(f"{name}/stat")) for name in tick.names}
        return True

    def list_names(self, path: str = ".") -> list[str]:
        """The names that were listed."""
        if path == ".":
            return list(self.now.names)
        if path not in self._lists:
            self._miss(path)
        return list(self._lists[path])

    def list_directories(self, path: str = ".") -> list[str]:
        """As `list_names`: only directories were listed."""
        return self.list_names(path)

    def open(self, path: str) -> int:
        """A descriptor; what had vanished when it was recorded is not there."""
        content = self._content(path)
        if content == errno.ENOENT or content == errno.EACCES:
            raise _error(content, path)
        self._next_descriptor += 1
        self._open[self._next_descriptor] = path, self._starts.get(_process_of(path), b"")
        return self._next_descriptor

    def read_open(self, descriptor: int, bytes_max: int, offset: int = 0) -> bytes:
        """What the file holds at this tick."""
        path, start = self._open[descriptor]
        process = _process_of(path)
        if process and self._starts.get(process) != start:
            raise _error(errno.ESRCH, path)
        content = self._content(path)
        if isinstance(content, int):
            raise _error(errno.ESRCH if content == errno.ENOENT else content, path)
        return content[offset : offset + bytes_max]

    def read_clocks(self, clocks: Sequence[int]) -> list[int | None]:
        """The recorded clocks of processes, and that of the reader."""
        known: dict[int, int | None] = {clock_of(int(name)): time_ns for name, time_ns in self.now.clocks.items()}
        if self._has_clocks:
            known.setdefault(self._own_clock, 1)
        return [known.get(clock) for clock in clocks]

    def close(self, descriptor: int) -> None:
        """Give it back; twice is an error."""
        del self._open[descriptor]

    def read(self, path: str, bytes_max: int) -> bytes:
        """Open, read, close."""
        content = self._content(path)
        if isinstance(content, int):
            raise _error(content, path)
        return content[:bytes_max]

    def owner(self, path: str) -> int:
        """The recorded user of a process."""
        if path not in self._owners:
            self._miss(path)
        return self._owners[path]

    def device(self, path: str = ".") -> int:
        """One file system, but for `loadavg`: it was recorded once, and does not say which number was given last."""
        return int(path == "loadavg")

    @property
    def open_descriptors(self) -> int:
        """How many were not given back."""
        return len(self._open)

    def _content(self, path: str) -> Content:
        if path == "self/status":
            return b"CapEff:\t000001ffffffffff\nNSpid:\t%d\n" % (os.getpid() if self._has_clocks else 0)
        if path not in self._files:
            self._miss(path)
        return self._files[path]

    def _miss(self, path: str) -> None:
        # Of a process that is not in the listing there is nothing, by right; all else a recording should have.
        if not _process_of(path) or _process_of(path) in self._starts:
            self.missing.add(path)
        raise _error(errno.ENOENT, path)


def clock_of(pid: int) -> int:
    """The number of the CPU clock of a process. *Source:* clock_getcpuclockid(3)."""
    return ~pid << 3 | 2


def start_of(stat: Content | None) -> bytes:
    """The start of a process, which with its number identifies it; nothing where its line was not recorded."""
    if not isinstance(stat, bytes):
        return b""
    fields = stat.rpartition(b")")[2].split()
    return fields[19] if len(fields) > 19 else b""


def _process_of(path: str) -> str:
    name = path.partition("/")[0]
    return name if name.isdecimal() else ""


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)
