"""The live screen of `agentctl top`: redraws in place, reads keys, and restores the terminal."""

import os
import select
import signal
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol

from agent.cli.top_keys import HINT, HINT_ASCII, is_cut, keys_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

    from agent.cli.output import Output

QUIT_KEYS = ("q", "Q", "\x04")

# The second screen of the terminal, so that what stood on the first comes back; the cursor is hidden meanwhile.
_ENTER = "\x1b[?1049h\x1b[?25l"
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
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
    """What the screen shows: a view of `agentctl top`. `sort_by_key` are the keys that choose its order."""

    sort: str

    @property
    def sort_by_key(self) -> Mapping[str, str]:
        """The orders by their keys."""
        ...

    def step(self, key: str) -> bool:
        """Go where a key goes in time; False: it is no such key. *Raises:* EvergaugeError."""
        ...

    def sample(self) -> object:
        """Look for data. *Raises:* EvergaugeError when there is none."""
        ...

    def render(self, *, width: int | None, height: int, keys: tuple[str, str] = ("", "")) -> list[str]:
        """The lines of the screen now; `keys` say which keys choose an order, and which go in time. *Raises:* EvergaugeError."""
        ...


def watch(top: Shown, output: "Output", interval_seconds: float) -> None:
    """Draw until `q`. Without a terminal on standard input only a signal ends it. *Raises:* EvergaugeError."""
    # The first screen may fail, and its sentence belongs on the first screen.
    top.sample()
    keyboard = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    with _wake_up() as waker:
        while True:
            with _terminal(output, keyboard):
                if _show_until_left(top, output, keyboard, waker, interval_seconds) is _Left.ENDED:
                    return
            # The terminal is the shell's again.
            _stop_ourselves()


def print_on(top: Shown, output: "Output", interval_seconds: float) -> None:
    """Print one screen below the other until a signal ends it, where that is all a terminal can do. *Raises:* EvergaugeError."""
    while True:
        size = _size(output)
        lines = top.render(width=size.columns, height=max(1, size.lines - 1))
        output.write("".join(f"{line.rstrip()}\n" for line in lines) + "\n")
        output.flush()
        time.sleep(interval_seconds)


def _show_until_left(top: Shown, output: "Output", keyboard: int | None, waker: int, interval_seconds: float) -> "_Left":
    while True:
        _draw(top, output, has_keys=keyboard is not None)
        left = _wait(top, keyboard, waker, time.monotonic() + interval_seconds)
        if left is not None:
            return left


def _stop_ourselves() -> None:
    """Stop as any program does on Ctrl-Z; return once it is continued."""
    asked = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, asked)


def _draw(top: Shown, output: "Output", *, has_keys: bool) -> None:
    size = _size(output)
    keys = (f"(keys {' '.join(top.sort_by_key)} q)", _time_keys()) if has_keys else ("", "")
    lines = top.render(width=size.columns, height=size.lines, keys=keys)
    # One write, no line break behind the last line: nothing flickers, nothing scrolls.
    output.write(_HOME + "\n".join(line + _CLEAR_LINE for line in lines) + _CLEAR_REST)
    output.flush()


def _time_keys() -> str:
    """The keys that go back and forth, in letters that the terminal has."""
    try:
        HINT.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return HINT_ASCII
    return HINT


def _size(output: "Output") -> os.terminal_size:
    try:
        size = os.get_terminal_size(output.fileno())
    except OSError:
        return _SIZE_LEAST
    return size if size.columns and size.lines else _SIZE_LEAST


def _wait(top: Shown, keyboard: int | None, waker: int, until: float) -> "_Left | None":
    """Wait for a key, a signal or the time; how the screen is to be left, None: it goes on."""
    watched = [waker] if keyboard is None else [waker, keyboard]
    ready, _, _ = select.select(watched, [], [], max(0.0, until - time.monotonic()))
    # The numbers of the signals that came.
    came = os.read(waker, 64) if waker in ready else b""
    if signal.SIGTSTP in came:
        return _Left.STOPPED
    if keyboard in ready and keyboard is not None:
        typed = _read_keys(keyboard)
        # The terminal has gone.
        if not typed:
            return _Left.ENDED
        for key in keys_of(typed):
            if key in QUIT_KEYS:
                return _Left.ENDED
            if not top.step(key):
                top.sort = top.sort_by_key.get(key, top.sort)
    return None


def _read_keys(keyboard: int) -> str:
    """What was typed, sequences in whole: a key that is held down fills the buffer, and its last sequence would be cut in two."""
    typed = os.read(keyboard, _KEYS_BYTES)
    while is_cut(typed.decode(errors="replace")) and len(typed) < 2 * _KEYS_BYTES:
        if not select.select([keyboard], [], [], _SEQUENCE_SECONDS)[0]:
            # The key Esc itself.
            break
        more = os.read(keyboard, 1)
        if not more:
            break
        typed += more
    return typed.decode(errors="replace")


@contextmanager
def _terminal(output: "Output", keyboard: int | None) -> Iterator[None]:
    """The terminal without echo and line editing, on its second screen; as it was when this ends, however it ends."""
    before = termios.tcgetattr(keyboard) if keyboard is not None else None
    try:
        if keyboard is not None and before is not None:
            changed = [*before[:3], before[3] & ~(termios.ICANON | termios.ECHO), *before[4:]]
            termios.tcsetattr(keyboard, termios.TCSADRAIN, changed)
        output.write(_ENTER)
        yield
    finally:
        if keyboard is not None and before is not None:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        output.write(_LEAVE)
        output.flush()


def _end(number: int, _frame: "FrameType | None") -> "NoReturn":
    raise SystemExit(128 + number)


@contextmanager
def _wake_up() -> Iterator[int]:
    """A descriptor that becomes readable at Ctrl-Z and at a new size of the terminal; ending signals restore the terminal first."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    replaced = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    # SIGTSTP is only noted: stopped here, the shell would get a terminal without echo. Where it is ignored it stays so.
    noted = [signal.SIGWINCH, *([signal.SIGTSTP] if signal.getsignal(signal.SIGTSTP) is not signal.SIG_IGN else [])]
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
