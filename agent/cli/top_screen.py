"""The live screen of `agentctl top`: redraws in place, reads keys, and restores the terminal."""

import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Protocol

from agent.cli.top_keys import is_cut, is_cut_character, keys_of
from agent.cli.top_style import Line, texts
from agent.cli.top_writer import FrameWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from agent.cli.output import Output

# The second screen of the terminal, so that what stood on the first comes back; the cursor is hidden meanwhile.
_ENTER = "\x1b[?1049h\x1b[?25l"
# Also ends a style: the last frame may be cut within one.
_LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[2J", "\x1b[K", "\x1b[J"
# So much is read at once, and so long the rest of a sequence is waited for.
_KEYS_BYTES = 64
_SEQUENCE_SECONDS = 0.05
# At an unknown size the smallest terminal in use.
_SIZE_LEAST = os.terminal_size((80, 24))


class _Left(Enum):
    """Why the screen is left."""

    ENDED = auto()
    STOPPED = auto()


class Shown(Protocol):
    """What the screen shows: a view of `agentctl top`."""

    def press(self, key: str) -> bool:
        """Do what a key asks for; True: the screen is to be left. *Raises:* EvergaugeError."""
        ...

    def sample(self) -> object:
        """Look for data. *Raises:* EvergaugeError when there is none."""
        ...

    def lines(self, width: int | None, height: int, *, has_keys: bool = False) -> list[Line]:
        """The lines of the screen now. `has_keys`: somebody can type. *Raises:* EvergaugeError."""
        ...


def watch(top: Shown, output: "Output", interval_seconds: float, *, has_colour: bool = False) -> None:
    """Draw until `q`. Without a terminal on standard input only a signal ends it. *Raises:* EvergaugeError."""
    # The first screen may fail, and its sentence belongs on the first screen.
    top.sample()
    keyboard = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    with _wake_up() as waker:
        while True:
            screen = _LiveScreen(top, output, keyboard, waker, has_colour=has_colour)
            with screen.on_terminal():
                left = screen.show(interval_seconds)
            if left is _Left.ENDED:
                return
            # The terminal is the shell's again.
            _stop_ourselves()


def print_on(top: Shown, output: "Output", interval_seconds: float, *, has_colour: bool = False) -> None:
    """Print one screen below the other until a signal ends it, where that is all a terminal can do. *Raises:* EvergaugeError."""
    while True:
        size = _size(output)
        lines = texts(top.lines(size.columns, max(1, size.lines - 1)), has_colour=has_colour)
        output.write("".join(f"{line.rstrip()}\n" for line in lines) + "\n")
        output.flush()
        time.sleep(interval_seconds)


class _LiveScreen:
    """One stay on the terminal: from the start, or from `fg`, to the end or to Ctrl-Z."""

    def __init__(self, top: Shown, output: "Output", keyboard: int | None, waker: int, *, has_colour: bool) -> None:
        self._top = top
        self._output = output
        self._keyboard = keyboard
        self._waker = waker
        self._has_colour = has_colour
        self._writer = FrameWriter(output)
        self._size: os.terminal_size | None = None

    @contextmanager
    def on_terminal(self) -> Iterator[None]:
        """The terminal without echo and line editing, on its second screen; as it was when this ends, however it ends."""
        before = termios.tcgetattr(self._keyboard) if self._keyboard is not None else None
        try:
            self._take_keys()
            self._writer.offer(_ENTER)
            yield
        finally:
            is_left = self._writer.finish(_LEAVE)
            self._writer.close()
            if self._keyboard is not None and before is not None:
                # A terminal that takes nothing would be waited for until it does; one that has gone has no modes.
                with suppress(termios.error):
                    termios.tcsetattr(self._keyboard, termios.TCSADRAIN if is_left else termios.TCSANOW, before)

    def show(self, interval_seconds: float) -> _Left:
        """Draw at each interval, key and new size."""
        while True:
            self._draw()
            left = self._wait(time.monotonic() + interval_seconds)
            if left is not None:
                return left

    def _take_keys(self) -> None:
        if self._keyboard is not None:
            modes = termios.tcgetattr(self._keyboard)
            modes[3] &= ~(termios.ICANON | termios.ECHO)
            termios.tcsetattr(self._keyboard, termios.TCSANOW, modes)

    def _draw(self) -> None:
        size = _size(self._output)
        lines = texts(self._top.lines(size.columns, size.lines, has_keys=self._keyboard is not None), has_colour=self._has_colour)
        # What a smaller or larger terminal made of the screen before goes first.
        begin = _HOME if size == self._size or self._size is None else _HOME + _CLEAR
        self._size = size
        # One write, no line break behind the last line: nothing flickers, nothing scrolls.
        self._writer.offer(begin + "\n".join(line + _CLEAR_LINE for line in lines) + _CLEAR_REST)

    def _wait(self, until: float) -> _Left | None:
        """Wait for a key, a signal or the time; how the screen is to be left, None: it goes on."""
        watched = [self._waker] if self._keyboard is None else [self._waker, self._keyboard]
        while True:
            ready, writable, _ = select.select(watched, self._writer.waits_on, [], max(0.0, until - time.monotonic()))
            if writable:
                self._writer.pump()
            if ready or not writable or time.monotonic() >= until:
                break
        # The numbers of the signals that came.
        came = os.read(self._waker, 64) if self._waker in ready else b""
        if signal.SIGTSTP in came:
            return _Left.STOPPED
        if signal.SIGCONT in came:
            # Another program may have left the terminal in its own mode.
            self._take_keys()
            self._size = os.terminal_size((0, 0))
        if self._keyboard in ready and self._keyboard is not None:
            return self._press(_read_keys(self._keyboard))
        return None

    def _press(self, typed: str) -> _Left | None:
        # With nothing to read the terminal has gone.
        return _Left.ENDED if not typed or any(self._top.press(key) for key in keys_of(typed)) else None


def _stop_ourselves() -> None:
    """Stop as any program does on Ctrl-Z; return once it is continued."""
    asked = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, asked)


def _size(output: "Output") -> os.terminal_size:
    try:
        size = os.get_terminal_size(output.fileno())
    except OSError:
        return _SIZE_LEAST
    return size if size.columns and size.lines else _SIZE_LEAST


def _read_keys(keyboard: int) -> str:
    """What was typed, sequences in whole: a key that is held down fills the buffer, and its last sequence would be cut in two."""
    typed = os.read(keyboard, _KEYS_BYTES)
    while (is_cut(typed.decode(errors="replace")) or is_cut_character(typed)) and len(typed) < 2 * _KEYS_BYTES:
        if not select.select([keyboard], [], [], _SEQUENCE_SECONDS)[0]:
            # The key Esc itself.
            break
        more = os.read(keyboard, 1)
        if not more:
            break
        typed += more
    return typed.decode(errors="replace")


def _end(number: int, _frame: "FrameType | None") -> "NoReturn":
    raise SystemExit(128 + number)


@contextmanager
def _wake_up() -> Iterator[int]:
    """A descriptor that becomes readable at Ctrl-Z and at a new size of the terminal; ending signals restore the terminal first."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    replaced = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    # SIGTSTP is only noted: stopped here, the shell would get a terminal without echo. Where it is ignored it stays so.
    stops = [signal.SIGTSTP] if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN else []
    noted = [signal.SIGWINCH, signal.SIGCONT, *stops]
    replaced |= {number: signal.signal(number, lambda _number, _frame: None) for number in noted}
    woken_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(woken_before)
        for number, handler in replaced.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)
