"""Events of forks and exits of all threads of the host, from the best source that this kernel and user allow.

perf is best: it reports which *thread* created a thread, has instants of CLOCK_MONOTONIC, and checking for new events needs no
system call. The process connector reports only the process of a new thread, which is then taken for a child of the process's
first thread. *Source:* perf_event_open(2), linux/cn_proc.h, linux/connector.h.
"""

import ctypes
import mmap
import os
import socket
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from errno import EACCES, ECONNREFUSED, EINVAL, ENOBUFS, ENODEV, ENOENT, ENOSYS, EPERM, EPROTONOSUPPORT
from platform import machine
from struct import Struct
from typing import NamedTuple, Protocol


class EventKind:
    """The kinds of event."""

    FORK, EXIT, EXEC = "fork", "exit", "exec"


class ThreadEvent(NamedTuple):
    """One event. For a fork `parent` is the creating thread; for an exec `thread` is the process's first thread, which the
    calling one has become."""

    at_ns: int
    kind: str
    process: int
    thread: int
    parent: int = 0


class EventSource(Protocol):
    """A source of events."""

    name: str

    def descriptors(self) -> list[int]:
        """What to poll for, so that no buffer overflows between two calls of `drain`."""
        ...

    def drain(self) -> tuple[list[ThreadEvent], bool]:
        """All events since the last call in the order of their instants, and whether some were lost. *Raises:* OSError."""
        ...

    def close(self) -> None:
        """Ends the subscription."""
        ...


# ---- perf ---------------------------------------------------------------------------------------

_SYSCALL_NUMBER = {"x86_64": 298, "aarch64": 241}
_ATTRIBUTE_BYTES = 112
_SOFTWARE, _DUMMY = 1, 9
_SAMPLE_TID, _SAMPLE_TIME = 1 << 1, 1 << 2
# comm (reports exec), task (fork and exit), wake by watermark, ids on every record, exec told apart, an own clock
_FLAGS = 1 << 9 | 1 << 13 | 1 << 14 | 1 << 18 | 1 << 24 | 1 << 25
_CLOCK_MONOTONIC = 1
_FLAG_FD_CLOEXEC = 8
_LOST, _COMM, _EXIT, _FORK = 2, 3, 4, 7
_MISC_COMM_EXEC = 1 << 13
# About 8,000 events per CPU; poll wakes us when the ring is half full.
_RING_PAGES = 128
_PAGE = mmap.PAGESIZE
_RING_BYTES = _RING_PAGES * _PAGE
# Where head and tail stand in the first page.
_HEAD_AT = 1024
_TWO_LONGS = Struct("<QQ")
_RECORD_HEAD = Struct("<IHH")
# pid, ppid, tid, ptid, time
_TASK = Struct("<IIIIQ")
_PROCESS_THREAD = Struct("<II")
_TIME = Struct("<Q")
_ATTRIBUTES = Struct("<IIQQQQQII32xIi16x")


class PerfEvents:
    """One ring per CPU, which the kernel fills with the events of threads on that CPU. *Raises:* OSError if not allowed.

    *Source:* perf_event_open(2).
    """

    name = "perf"

    def __init__(self) -> None:
        if machine() not in _SYSCALL_NUMBER:
            raise OSError(ENOSYS, "the number of perf_event_open is not known for this machine")
        self._rings: list[tuple[int, mmap.mmap]] = []
        # Taken from a ring, and later than the last call: of another ring something earlier may be missing.
        self._held_back: list[ThreadEvent] = []
        try:
            for cpu in range(os.cpu_count() or 1):
                self._open(cpu)
        except OSError:
            self.close()
            raise

    def _open(self, cpu: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        attributes = _ATTRIBUTES.pack(
            _SOFTWARE, _ATTRIBUTE_BYTES, _DUMMY, 0, _SAMPLE_TID | _SAMPLE_TIME, 0, _FLAGS, _RING_BYTES // 2, 0, 0, _CLOCK_MONOTONIC
        )
        descriptor = libc.syscall(_SYSCALL_NUMBER[machine()], attributes, -1, cpu, -1, ctypes.c_ulong(_FLAG_FD_CLOEXEC))
        if descriptor < 0:
            number = ctypes.get_errno()
            # This CPU is offline.
            if number == ENODEV:
                return
            raise OSError(number, os.strerror(number), "perf_event_open")
        try:
            self._rings.append((descriptor, mmap.mmap(descriptor, _PAGE + _RING_BYTES)))
        except OSError:
            os.close(descriptor)
            raise

    def descriptors(self) -> list[int]:
        """See `EventSource`."""
        return [descriptor for descriptor, _ in self._rings]

    def drain(self) -> tuple[list[ThreadEvent], bool]:
        """See `EventSource`.

        Rings are read one after the other. What happened meanwhile waits for the next call: else the end of a thread could be told
        before its beginning, which stands in a ring that was read earlier.
        """
        until_ns = time.monotonic_ns()
        events, self._held_back = self._held_back, []
        lost = False
        for _, ring in self._rings:
            head, tail = _TWO_LONGS.unpack_from(ring, _HEAD_AT)
            if head != tail:
                lost |= _take_records(_between(ring, tail, head), events)
                _TIME.pack_into(ring, _HEAD_AT + 8, head)
        events.sort()
        first_later = bisect_right(events, until_ns, key=lambda event: event.at_ns)
        self._held_back = events[first_later:]
        return events[:first_later], lost

    def close(self) -> None:
        """Ends the subscription."""
        for descriptor, ring in self._rings:
            ring.close()
            os.close(descriptor)
        self._rings = []


def _between(ring: mmap.mmap, tail: int, head: int) -> bytes:
    start, end = _PAGE + tail % _RING_BYTES, _PAGE + head % _RING_BYTES
    return ring[start:end] if start < end else ring[start:] + ring[_PAGE:end]


def _take_records(data: bytes, events: list[ThreadEvent]) -> bool:
    """Appends the events in a part of a ring; True: the kernel reports that it dropped some."""
    lost = False
    place = 0
    while place < len(data):
        kind, misc, size = _RECORD_HEAD.unpack_from(data, place)
        body = place + _RECORD_HEAD.size
        if kind in (_FORK, _EXIT):
            process, _, thread, parent, at_ns = _TASK.unpack_from(data, body)
            is_fork = kind == _FORK
            events.append(
                ThreadEvent(at_ns, EventKind.FORK if is_fork else EventKind.EXIT, process, thread, parent if is_fork else 0)
            )
        elif kind == _COMM and misc & _MISC_COMM_EXEC:
            process, thread = _PROCESS_THREAD.unpack_from(data, body)
            (at_ns,) = _TIME.unpack_from(data, place + size - _TIME.size)
            events.append(ThreadEvent(at_ns, EventKind.EXEC, process, thread))
        lost |= kind == _LOST
        place += size
    return lost


# ---- the process connector ----------------------------------------------------------------------

_NETLINK_CONNECTOR, _CN_PROCESS, _DONE = 11, 1, 3
_LISTEN = 1
_SO_RCVBUFFORCE = 33
# Holds a second of a heavy fork storm.
_BUFFER_BYTES = 8 << 20
_DATAGRAM_BYTES = 4096
# netlink: length, type, flags, sequence, port; connector: two words of address, sequence, acknowledgement, length, flags
_HEADS = Struct("<IHHIIIIIIHH")
_OPERATION = Struct("<I")
# what, cpu, time, and for a fork parent thread, parent process, child thread, child process; for the others thread, process
_PROCESS_EVENT = Struct("<IIQIIII")
_FORKED, _EXECED, _EXITED = 1, 2, 0x8000_0000


class ConnectorEvents:
    """The kernel's process connector. *Raises:* OSError if not allowed. *Source:* linux/cn_proc.h."""

    name = "process connector"

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, _NETLINK_CONNECTOR)
        try:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
            self._socket.bind((0, _CN_PROCESS))
            length = _HEADS.size + _OPERATION.size
            head = _HEADS.pack(length, _DONE, 0, 0, 0, _CN_PROCESS, 1, 0, 0, _OPERATION.size, 0)
            self._socket.send(head + _OPERATION.pack(_LISTEN))
        except OSError:
            self._socket.close()
            raise

    def descriptors(self) -> list[int]:
        """See `EventSource`."""
        # None: each fork of the host would wake us. The buffer holds events until the next call of `drain`.
        return []

    def drain(self) -> tuple[list[ThreadEvent], bool]:
        """See `EventSource`."""
        events: list[ThreadEvent] = []
        lost = False
        while True:
            try:
                data = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError as failure:
                if failure.errno != ENOBUFS:
                    raise
                lost = True
                continue
            _take_datagram(data, events)
        events.sort()
        return events, lost

    def close(self) -> None:
        """Ends the subscription."""
        self._socket.close()


def _take_datagram(data: bytes, events: list[ThreadEvent]) -> None:
    if len(data) < _HEADS.size + _PROCESS_EVENT.size:
        return
    what, _, at_ns, first, second, third, fourth = _PROCESS_EVENT.unpack_from(data, _HEADS.size)
    if what == _FORKED:
        # For a new thread the kernel names the parent of its process, which did not create the thread.
        parent = first if third == fourth else fourth
        events.append(ThreadEvent(at_ns, EventKind.FORK, fourth, third, parent))
    elif what in (_EXECED, _EXITED):
        events.append(ThreadEvent(at_ns, EventKind.EXEC if what == _EXECED else EventKind.EXIT, second, first))


# ---- choice -------------------------------------------------------------------------------------

# Errors of a kernel that does not have the source, or does not allow it to this user.
_NOT_HERE = (EACCES, EPERM, ENOSYS, ENODEV, ENOENT, EINVAL, ECONNREFUSED, EPROTONOSUPPORT)


def open_event_source(sources: tuple[Callable[[], EventSource], ...] = (PerfEvents, ConnectorEvents)) -> EventSource | None:
    """The best source that works here. *Absent:* None if none works. *Raises:* OSError for any other failure."""
    for source in sources:
        try:
            return source()
        except OSError as failure:
            if failure.errno not in _NOT_HERE:
                raise
    return None
