"""Ports of the loopback interface that a test has for itself, also while nothing listens on them."""

import random
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

LOOPBACK = "127.0.0.1"
_LOWEST = 10_000
_TRIES_MAX = 200


@dataclass
class LoopbackPort:
    """One port; `release` gives it back.

    Below the range from which the kernel gives connections their own end: while the program of a test is dead, none can get this
    port, and a client that calls it cannot be connected to itself.
    """

    number: int
    _reservation: socket.socket = field(repr=False)

    @classmethod
    def take(cls) -> Self:
        """A port that is free now, and that no other test on this machine takes until it is released."""
        highest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]) - 1
        chance = random.SystemRandom()
        for _ in range(_TRIES_MAX):
            number = chance.randint(min(_LOWEST, highest), highest)
            reservation = socket.socket(socket.AF_UNIX)
            try:
                # A name of the kernel's own, which ends with the process that has it: a second one gets an error.
                reservation.bind(f"\0evergauge-test-port-{number}")
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((LOOPBACK, number))
                return cls(number, reservation)
            except OSError:
                reservation.close()
        raise RuntimeError(f"no free port from {_LOWEST} to {highest}")

    def release(self) -> None:
        """Others may take it."""
        self._reservation.close()
