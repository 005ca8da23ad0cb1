"""The signals that ask the agent to end, to seal or to read its settings again, heard in the loop as events."""

import os
import select
import signal
from collections.abc import Callable

from supervisor.core.effect import ReloadRequested, RotateRequested, StopRequested
from supervisor.shell.poller import Register

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
ROTATE_SIGNAL = signal.SIGUSR1
# A terminal that closes sends it to end what runs there; a service, which has no terminal, is asked by it to read its settings.
TERMINAL_SIGNAL = signal.SIGHUP
READ_BYTES = 256


def catch_signals(register: Register, on_event: Callable[[StopRequested | RotateRequested | ReloadRequested], None]) -> None:
    """Call `on_event` for each signal from now on; those that came during the start were held back and are heard now.

    *Raises:* OSError. *Source:* signal(7).
    """
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (*STOP_SIGNALS, ROTATE_SIGNAL, TERMINAL_SIGNAL):
        # nohup, and shells for what they start in the background, ask by this to be left alone.
        if number in (signal.SIGINT, signal.SIGHUP) and signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, ROTATE_SIGNAL, TERMINAL_SIGNAL))

    # Asked now: a terminal that closes is gone when its signal is heard.
    is_in_terminal = has_terminal()

    def on_readable(_mask: int) -> None:
        for number in os.read(read, READ_BYTES):
            if number == ROTATE_SIGNAL:
                on_event(RotateRequested())
            elif number == TERMINAL_SIGNAL and not is_in_terminal:
                on_event(ReloadRequested())
            elif number in (*STOP_SIGNALS, TERMINAL_SIGNAL):
                on_event(StopRequested(signal.Signals(number).name))

    register(read, select.EPOLLIN, on_readable)


def has_terminal() -> bool:
    """Whether this process has a controlling terminal now. *Source:* proc_pid_stat(5), tty_nr."""
    with open("/proc/self/stat", "rb") as file:
        return file.read().rpartition(b")")[2].split()[4] != b"0"
