"""What the supervisor tells the service manager that started it: ready, status, still alive, stopping. *Source:* sd_notify(3).

Without a service manager every word goes nowhere. Nothing here waits: a datagram that cannot be taken is dropped, the next
one says the same and more.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

from agent.model.timebase import S

_NS_PER_US = 1_000


class ServiceManager:
    """Speaks to the socket that NOTIFY_SOCKET names; the variables are taken away, so that no worker speaks in our name."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        interval_us = int(environment.pop("WATCHDOG_USEC", "0") or "0")
        # WATCHDOG_PID names the process that is watched: a child that inherited the variables is not it.
        is_ours = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval_ns = interval_us * _NS_PER_US if is_ours else 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._next_beat_at_ns = 0

    @property
    def is_there(self) -> bool:
        """Whether a service manager listens."""
        return bool(self._address)

    def tell_ready(self, status: str) -> None:
        """The start is over."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={_line(status)}")

    def announce(self, status: str, *, is_stopping: bool) -> None:
        """One line for `systemctl status`, and whether the end has begun."""
        self._tell(f"STATUS={_line(status)}" + ("\nSTOPPING=1" if is_stopping else ""))

    def beat(self, now_ns: int) -> None:
        """Say that the loop turns, four times in each watchdog interval at most; nothing where no watchdog is set."""
        if self._interval_ns and now_ns >= self._next_beat_at_ns:
            self._next_beat_at_ns = now_ns + min(self._interval_ns // 4, 1 * S)
            self._tell("WATCHDOG=1")

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # Full or gone: it will miss a word, supervision goes on.
        with suppress(OSError):
            self._socket.sendto(text.encode(), address)


def _line(text: str) -> str:
    return " ".join(text.split())
