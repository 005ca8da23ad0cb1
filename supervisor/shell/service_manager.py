"""What the supervisor tells the service manager that started it: ready, status, still alive, stopping. *Source:* sd_notify(3).

Without a service manager every message is dropped. Nothing here waits: what cannot be sent now is kept, the newest of each
kind, and sent later.
"""

import os
import socket
from collections.abc import MutableMapping, Sequence

from agent.model.timebase import MS, S

_NS_PER_US = 1_000
# When a busy service manager is tried again.
RETRY_NS = 100 * MS


class ServiceManager:
    """Sends to the socket that NOTIFY_SOCKET names. The variables are removed, so that no worker sends in our name."""

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        interval_us = int(environment.pop("WATCHDOG_USEC", "0") or "0")
        # WATCHDOG_PID names the process that is watched: a child that inherited the variables is not it.
        is_ours = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._interval_ns = interval_us * _NS_PER_US if is_ours and self._address else 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._beaten_at_ns: int | None = None
        self._unsent: dict[str, str] = {}

    def tell_ready(self, reasons: Sequence[str]) -> None:
        """The start is over; `reasons` say why the agent is not ready, where it is not."""
        status = {"STATUS": _line(f"not ready: {'; '.join(reasons)}")} if reasons else {}
        self._tell({"READY": "1", "MAINPID": str(os.getpid())} | status)

    def announce(self, status: str, *, is_stopping: bool) -> None:
        """One line for `systemctl status`, and whether the end has begun."""
        self._tell({"STATUS": _line(status)} | ({"STOPPING": "1"} if is_stopping else {}))

    def turn(self, now_ns: int) -> None:
        """Report to a watchdog that the loop turns, and send what could not be sent; called at every turn of the loop."""
        if self._unsent:
            self._tell({})
        if self._interval_ns and (self._beaten_at_ns is None or now_ns - self._beaten_at_ns >= min(self._interval_ns // 4, S)):
            self._beaten_at_ns = now_ns
            self._send("WATCHDOG=1")

    def next_deadline_ns(self, now_ns: int) -> int | None:
        """When `turn` must be called at the latest. *Absent:* no watchdog is set and nothing is unsent."""
        if self._unsent:
            return now_ns + RETRY_NS
        return self._beaten_at_ns + self._interval_ns // 2 if self._interval_ns and self._beaten_at_ns is not None else None

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _tell(self, fields: dict[str, str]) -> None:
        self._unsent |= fields
        if self._send("\n".join(f"{name}={value}" for name, value in self._unsent.items())):
            self._unsent.clear()

    def _send(self, text: str) -> bool:
        """Send without waiting; False when it is to be sent again later."""
        if not self._address:
            return True
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto(text.encode(), address)
        except BlockingIOError:
            return False
        except OSError:
            # The service manager has gone.
            return True
        return True


def _line(text: str) -> str:
    return " ".join(text.split())
