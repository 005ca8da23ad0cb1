"""The signals that ask the agent to end or to seal, heard in the loop as events."""

import os
import select
import signal
from collections.abc import Callable

from supervisor.core.effect import RotateRequested, StopRequested
from supervisor.shell.poller import Register

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ROTATE_SIGNAL = signal.SIGUSR1
READ_BYTES = 256


def catch_signals(register: Register, on_event: Callable[[StopRequested | RotateRequested], None]) -> None:
    """Call `on_event` for each signal from now on; those that came during the start were held back and are heard now.

    *Raises:* OSError. *Source:* signal(7).
    """
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (*STOP_SIGNALS, ROTATE_SIGNAL):
        # nohup, and shells for what they start in the background, ask by this to be left alone.
        if number in (signal.SIGINT, signal.SIGHUP) and signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, ROTATE_SIGNAL))

    def on_readable(_mask: int) -> None:
        for number in os.read(read, READ_BYTES):
            if number == ROTATE_SIGNAL:
                on_event(RotateRequested())
            elif number in STOP_SIGNALS:
                on_event(StopRequested(signal.Signals(number).name))

    register(read, select.EPOLLIN, on_readable)
