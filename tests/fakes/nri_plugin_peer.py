"""The runtime's end of one plugin's connection: it answers the plugin's calls and calls the plugin, within deadlines."""

import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from fakes.nri_wire import (
    INVALID_ARGUMENT,
    PLUGIN_SERVICE,
    REQUEST,
    RUNTIME_SERVICE,
    UNIMPLEMENTED,
    Message,
    Reader,
    WireError,
    bytes_of,
    fields,
    frame,
    frames,
    number_of,
    request,
    response,
    text_of,
)

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-")
UNKNOWN_CONNECTION = 77
_CREDENTIALS = struct.Struct("3i")


class PluginGone(Exception):
    """The connection ended, or the plugin did not answer in time and was dropped."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a plugin answered: a code (0 is well) with its message, the payload, and how long it took."""

    code: int
    message: str
    payload: bytes
    elapsed_ns: int


@dataclass(slots=True)
class Manner:
    """How a runtime behaves on a connection; as it is, it behaves well.

    `cut_after_bytes`: the connection ends after so many bytes to the plugin. `frame_bytes`: payload of each frame, None: as Go.
    `write_bytes` with `pause_seconds`: so many bytes in one write, then a pause. `stray_frames`: before each message a frame for
    a connection that nobody has. `nonsense`: sent instead of anything else. `answers_late_seconds`: so long after the registration
    its answer comes, Configure before it.
    """

    cut_after_bytes: int | None = None
    frame_bytes: int | None = None
    write_bytes: int | None = None
    pause_seconds: float = 0.0
    stray_frames: bool = False
    is_silent: bool = False
    nonsense: bytes = b""
    refusal: tuple[int, str] | None = None
    answers_late_seconds: float = 0.0
    configures: bool = True
    configuration: str = ""


class PluginPeer:
    """One connection. `registration` is the name and index that the plugin gave."""

    def __init__(self, stream: socket.socket, manner: Manner) -> None:
        self._socket = stream
        self._manner = manner
        self._reader = Reader()
        self._sent_bytes = 0
        self._next_stream = 1
        self._writing = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[Message | None]] = {}
        self._registered = threading.Event()
        self.registration: tuple[str, str] | None = None
        self.problem = ""
        """Why the runtime's side ended the connection; empty: the plugin ended it, or nobody did."""
        self.is_closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="nri-peer", daemon=True)

    @property
    def largest_frame_bytes(self) -> int:
        """The longest payload of a frame that the plugin sent."""
        return self._reader.largest_frame_bytes

    @property
    def pid(self) -> int:
        """The process that connected, by the kernel's word."""
        pid: int = _CREDENTIALS.unpack(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
        return pid

    @property
    def sent_bytes(self) -> int:
        """What went to the plugin so far."""
        return self._sent_bytes

    def start(self) -> None:
        """Listen; a runtime that sends nonsense does it now."""
        self._thread.start()
        if self._manner.nonsense:
            with suppress(PluginGone):
                self._write(self._manner.nonsense)

    def wait_registered(self, seconds: float) -> None:
        """*Raises:* PluginGone when the plugin does not register in time, or its registration is refused."""
        end = time.monotonic() + seconds
        while not self._registered.wait(0.0005):
            if self.is_closed.is_set():
                raise PluginGone(self.problem or "the plugin went away before it was registered")
            if time.monotonic() > end:
                self.close("plugin registration timed out")
                raise PluginGone(self.problem)
        if self.registration is None:
            self.close("the registration was refused")
            raise PluginGone(self.problem)

    def call(self, method: str, payload: bytes, seconds: float) -> Answer:
        """Call the plugin. *Raises:* PluginGone; a plugin that does not answer in time is dropped, as the Go side does."""
        began_ns = time.perf_counter_ns()
        answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        with self._writing:
            stream, self._next_stream = self._next_stream, self._next_stream + 2
            self._answers[stream] = answers
            message = request(stream, method, payload, int(seconds * 1e9))
            self._write(self._framed(PLUGIN_SERVICE, message))
        try:
            answer = answers.get(timeout=seconds)
        except queue.Empty:
            self.close(f"{method} was not answered within {seconds:g} s")
            raise PluginGone(self.problem) from None
        finally:
            self._answers.pop(stream, None)
        if answer is None:
            raise PluginGone(self.problem or "the plugin closed the connection")
        status = fields(bytes_of(content := fields(answer.data), 1))
        elapsed_ns = time.perf_counter_ns() - began_ns
        return Answer(number_of(status, 1), text_of(status, 2), bytes_of(content, 2), elapsed_ns)

    def close(self, problem: str = "") -> None:
        """End the connection at once."""
        if problem and not self.problem:
            self.problem = problem
        self.is_closed.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until nothing of the connection is left."""
        self._thread.join(10)
        self._socket.close()

    # ---- bytes -------------------------------------------------------------------------------------

    def _framed(self, connection: int, message: bytes) -> bytes:
        sizes: Iterator[int] | None = None
        if self._manner.frame_bytes is not None:
            sizes = iter(lambda: self._manner.frame_bytes or 1, 0)
        stray = frame(UNKNOWN_CONNECTION, b"nobody listens here") if self._manner.stray_frames else b""
        return stray + frames(connection, message, sizes)

    def _write(self, data: bytes) -> None:
        step = self._manner.write_bytes or len(data)
        for start in range(0, len(data), step):
            part = data[start : start + step]
            limit = self._manner.cut_after_bytes
            is_last = limit is not None and self._sent_bytes + len(part) >= limit
            if limit is not None and is_last:
                part = part[: limit - self._sent_bytes]
            try:
                self._socket.sendall(part)
            except OSError as cause:
                self.close()
                raise PluginGone(f"nothing can be sent: {cause}") from cause
            self._sent_bytes += len(part)
            if is_last:
                self.close(f"cut after {self._sent_bytes} bytes")
                raise PluginGone(self.problem)
            if self._manner.pause_seconds:
                self.is_closed.wait(self._manner.pause_seconds)

    def _listen(self) -> None:
        try:
            while data := self._socket.recv(1 << 16):
                if self._manner.is_silent or self._manner.nonsense:
                    continue
                for message in self._reader.receive(data):
                    self._take(message)
        except (OSError, PluginGone):
            pass
        except WireError as problem:
            self.close(f"protocol error: {problem}")
        finally:
            self.close()
            for waiting in list(self._answers.values()):
                waiting.put(None)

    def _take(self, message: Message) -> None:
        if message.kind != REQUEST:
            # An answer that nobody waits for any more is dropped.
            if (waiting := self._answers.get(message.stream)) is not None:
                waiting.put(message)
            return
        answer = self._served(message)
        if self._manner.answers_late_seconds:
            # As in Go: the call that configures may overtake the answer to the registration.
            self._registered.set()
            self.is_closed.wait(self._manner.answers_late_seconds)
        with self._writing:
            self._write(self._framed(RUNTIME_SERVICE, answer))
        self._registered.set()

    def _served(self, message: Message) -> bytes:
        content = fields(message.data)
        service, method = text_of(content, 1), text_of(content, 2)
        if (service, method) != ("nri.pkg.api.v1alpha1.Runtime", "RegisterPlugin"):
            return response(message.stream, code=UNIMPLEMENTED, text=f"{service}/{method}")
        if self._manner.refusal is not None:
            return response(message.stream, code=self._manner.refusal[0], text=self._manner.refusal[1])
        asked = fields(bytes_of(content, 3))
        name, index = text_of(asked, 1), text_of(asked, 2)
        if not name or not _NAME_CHARACTERS.issuperset(name):
            return response(message.stream, code=INVALID_ARGUMENT, text=f"invalid plugin name {name!r}")
        if len(index) != 2 or not index.isascii() or not index.isdigit():
            return response(message.stream, code=INVALID_ARGUMENT, text=f"invalid plugin index {index!r}")
        self.registration = (name, index)
        return response(message.stream)
