"""Text for people on a stream, written by a thread of its own, so that no other part ever waits for a reader.

A reader may stop for hours: Ctrl-S in a terminal, a full pipe, a log on a file system that does not answer. Asking
poll(2) before a write is not enough: a terminal and a pipe that are writable take a part and wait with the rest.
O_NONBLOCK acts on every process that shares the stream, and a terminal of another user cannot be opened again.
A thread always works: its queue is bounded, what does not fit is counted, and the process can end without it.
"""

import os
import select
import signal
import threading
import time
from collections import deque

# Some hundred lines, as many as a pipe holds: what is written while a terminal is stopped for a look at it.
QUEUE_BYTES_MAX = 64 << 10


class TextOutput:
    """One stream. Only `drain` and `close` wait, and they are told how long."""

    def __init__(self, descriptor: int, *, queue_bytes_max: int = QUEUE_BYTES_MAX) -> None:
        self._descriptor = descriptor
        self._queue_bytes_max = queue_bytes_max
        # Pieces that wait, each with the number of lost ones that it reports.
        self._pieces: deque[tuple[bytes, int]] = deque()
        self._queued_bytes = 0
        self._has_ended = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        # How many pieces were lost: in all, and since the last one that reported it.
        self.lost = 0
        self.untold = 0

    def put(self, piece: bytes, *, tells: int = 0) -> None:
        """Have it written in its turn, or count it as lost when too much waits. It reports `tells` of the untold losses."""
        with self._changed:
            is_full = bool(self._pieces) and self._queued_bytes + len(piece) > self._queue_bytes_max
            if self._has_ended or is_full or not self._start_thread():
                self._lose(0)
                return
            self.untold -= tells
            self._pieces.append((piece, tells))
            self._queued_bytes += len(piece)
            self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Wait until everything is written or lost, at most `seconds`; whether that came true."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._pieces:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def end(self) -> None:
        """Take nothing more; what waits is still written, and then the thread is gone."""
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Take nothing more, and wait `seconds` for what is still to be written. False when something still waits."""
        self.end()
        return self.drain(seconds)

    def _start_thread(self) -> bool:
        """Start the thread that writes, unless it runs. False when there can be none."""
        if self._thread is None:
            # A daemon thread: one that hangs must not keep the process from ending.
            thread = threading.Thread(target=self._run, name="output", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # The limit of threads: nothing is written, and everything is counted.
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        # Signals are the main thread's. And with SIGTTOU blocked a terminal takes the text of a background process (`stty
        # tostop`), where the kernel would otherwise stop the whole process (termios(3)).
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        while True:
            with self._changed:
                while not self._pieces:
                    if self._has_ended:
                        return
                    self._changed.wait()
                piece, tells = self._pieces[0]
            is_written = self._write(piece)
            with self._changed:
                self._pieces.popleft()
                self._queued_bytes -= len(piece)
                if not is_written:
                    self._lose(tells)
                self._changed.notify_all()

    def _lose(self, told: int) -> None:
        self.lost += 1
        self.untold += 1 + told

    def _write(self, piece: bytes) -> bool:
        """Write all of it, however long that takes; False when the reader has gone."""
        while piece:
            try:
                piece = piece[os.write(self._descriptor, piece) :]
            except BlockingIOError:
                # Another process that shares the stream made it non-blocking.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:
                return False
        return True
