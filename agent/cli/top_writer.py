"""Frames written to a terminal that may be slower than they come, or stopped: nobody waits for it.

The newest frame waits until the one before it is written in whole; those between are left out.
"""

import os
import select
import sys
import time

from agent.model.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.output import Output

# A terminal that takes nothing for so long when the screen is left keeps what is on it.
FINISH_SECONDS = 0.5
# A terminal says that it is gone by these as well as by an error.
_CHUNK_BYTES = 65_536


class FrameWriter:
    """Writes to a terminal over a descriptor of its own: the mode of the one that the shell shares is not changed.

    Where the terminal cannot be opened by its name, it writes as any program does, and waits. *Raises:* StorageError.
    """

    def __init__(self, output: "Output") -> None:
        self._output = output
        self._encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self._rest = memoryview(b"")
        self._next: bytes | None = None
        self._descriptor = _opened(output)

    def offer(self, frame: str) -> None:
        """Write as much of a frame as the terminal takes now; it waits where the one before is not whole yet."""
        if self._descriptor is None:
            self._output.write(frame)
            self._output.flush()
            return
        self._next = frame.encode(self._encoding, "backslashreplace")
        self.pump()

    def pump(self) -> None:
        """Write on."""
        assert self._descriptor is not None
        while True:
            if not self._rest:
                if self._next is None:
                    return
                self._rest, self._next = memoryview(self._next), None
            try:
                self._rest = self._rest[os.write(self._descriptor, self._rest[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                return
            except OSError as cause:
                raise StorageError("standard output", cause.strerror or str(cause)) from cause

    @property
    def waits_on(self) -> tuple[int, ...]:
        """The descriptor whose room is waited for; none where everything is written."""
        return (self._descriptor,) if self._descriptor is not None and (self._rest or self._next is not None) else ()

    def finish(self, text: str) -> bool:
        """Write a last text behind the frame at hand, within FINISH_SECONDS; False: the terminal does not take it, or has gone."""
        try:
            return self._finished(text, time.monotonic() + FINISH_SECONDS)
        except StorageError:
            # Nobody is there to read what could be said about it.
            return False

    def _finished(self, text: str, deadline: float) -> bool:
        self._next = None
        while self.waits_on and self._wait(deadline):
            self.pump()
        if self._rest:
            # The terminal is stopped: what it has of the frame it keeps, and nothing more.
            self._rest = memoryview(b"")
            return False
        self.offer(text)
        while self.waits_on and self._wait(deadline):
            self.pump()
        return not self.waits_on

    def _wait(self, deadline: float) -> bool:
        return bool(select.select([], list(self.waits_on), [], max(0.0, deadline - time.monotonic()))[1])

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _opened(output: "Output") -> int | None:
    try:
        return os.open(os.ttyname(output.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
