"""A real network of two interfaces: one here, its peer in a network of its own, in which a program receives."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fakes import own_network
from fakes.load import started
from harness.waiting import wait_until

# Addresses for tests of networks (RFC 2544).
HERE, THERE = "198.18.7.1", "198.18.7.2"


@contextmanager
def pair_of_interfaces(receiver: list[str]) -> Iterator[str]:
    """The name of the interface here, while the receiver runs over there; both interfaces go with the receiver. Only root can."""
    name = f"egt{os.getpid()}"
    own = os.readlink("/proc/self/ns/net")
    with started([sys.executable, own_network.__file__, "--", "/bin/sleep", "60"]) as place:
        network = f"/proc/{place.pid}/ns/net"
        wait_until(lambda: _program(place.pid) == "sleep" and os.readlink(network) != own, "the other network is there")
        _ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", str(place.pid))
        _ip("address", "add", f"{HERE}/30", "dev", name)
        _ip("link", "set", name, "up")
        there = ("nsenter", "--net=" + network)
        _ip("address", "add", f"{THERE}/30", "dev", name, within=there)
        _ip("link", "set", name, "up", within=there)
        try:
            with started([*there, *receiver]):
                yield name
        finally:
            # It would go with its network, but some time later.
            _ip("link", "delete", name)


def _program(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def _ip(*words: str, within: tuple[str, ...] = ()) -> None:
    subprocess.run([*within, "ip", *words], check=True)
