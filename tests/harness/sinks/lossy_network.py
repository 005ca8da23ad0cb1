"""A network that loses packets, between this machine and a sink: what a proxy, which carries bytes, cannot do.

    with LossyNetwork() as network, network.place(Collector(folder)) as collector:
        ...                                   # connect to collector.address

This machine, a router and the sink's host are three network namespaces in a row. The router forwards packets in both directions,
and drops one in so many by chance. The last two namespaces have no name: each ends with a process that holds it, and with them the
one interface of this machine.
"""

import json
import os
import random
import shutil
import socket
import subprocess
from contextlib import ExitStack
from typing import Self, TypeVar

import pytest
from harness import proc
from harness.sinks.program import SinkProgram
from harness.waiting import DEADLINE_SECONDS, wait_until

_RULES = """
table ip loss {{
    chain forward {{
        type filter hook forward priority 0; policy accept;
        numgen random mod 1000 < {per_mille} counter drop
    }}
}}
"""

P = TypeVar("P", bound=SinkProgram)


class LossyNetwork:
    """Use it as a context. Of 100 packets `loss_percent` are lost, 0.1 at least. Skips where it cannot be made."""

    def __init__(self, loss_percent: float = 10.0) -> None:
        if os.geteuid() != 0:
            pytest.skip("a network namespace needs root")
        if shutil.which("nft") is None:
            pytest.skip("needs nft; on Debian: apt-get install nftables")
        self._per_mille = round(loss_percent * 10)
        self._stack = ExitStack()
        self._reservation = socket.socket(socket.AF_UNIX)
        self._sink = ""
        self._in_router = self._in_host = tuple[str, ...]()

    def __enter__(self) -> Self:
        with self._stack:
            number = self._take_number()
            # Of the addresses for tests of networks (RFC 2544), four for each pair of interfaces.
            here, near, far, self._sink = (f"198.19.{number}.{last}" for last in (1, 2, 5, 6))
            name = f"egl{number}"
            router, host = self._hold_namespace(), self._hold_namespace()
            in_router, in_host = _within(router), _within(host)
            _run("ip", "link", "add", name, "type", "veth", "peer", "name", "near", "netns", str(router))
            # It would go with its peer, but some time later.
            self._stack.callback(_run, "ip", "link", "delete", name)
            _run(*in_router, "ip", "link", "add", "far", "type", "veth", "peer", "name", "sink", "netns", str(host))
            for within, device, address in (
                ((), name, here),
                (in_router, "near", near),
                (in_router, "far", far),
                (in_host, "sink", self._sink),
            ):
                _run(*within, "ip", "address", "add", f"{address}/30", "dev", device)
                _run(*within, "ip", "link", "set", device, "up")
            _run(*in_host, "ip", "link", "set", "lo", "up")
            _run(*in_host, "ip", "route", "add", "default", "via", far)
            _run("ip", "route", "add", f"198.19.{number}.4/30", "via", near)
            _run(*in_router, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
            _run(*in_router, "nft", "-f", "-", given=_RULES.format(per_mille=self._per_mille))
            self._in_router, self._in_host = in_router, in_host
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def place(self, program: P) -> P:
        """Have a program that is not started yet run behind the network."""
        assert program.process is None, "it runs already"
        program.address = self._sink
        program.prefix = self._in_host
        return program

    def lose(self, percent: float) -> None:
        """So many of 100 packets from now on; 0: none. What it has dropped is counted from 0 again."""
        rule = f"add rule ip loss forward numgen random mod 1000 < {round(percent * 10)} counter drop\n" if percent else ""
        _run(*self._in_router, "nft", "-f", "-", given=f"flush chain ip loss forward\n{rule}")

    @property
    def lost(self) -> int:
        """How many packets it has dropped."""
        found = json.loads(_run(*self._in_router, "nft", "-j", "list", "table", "ip", "loss"))["nftables"]
        # There is no rule while nothing is dropped.
        rules = [each["rule"]["expr"] for each in found if "rule" in each]
        return sum(int(part["counter"]["packets"]) for rule in rules for part in rule if "counter" in part)

    def _take_number(self) -> int:
        self._stack.enter_context(self._reservation)
        numbers = list(range(1, 255))
        random.SystemRandom().shuffle(numbers)
        for number in numbers:
            try:
                self._reservation.bind(f"\0evergauge-test-network-{number}")
                return number
            except OSError:
                continue
        raise RuntimeError("all networks for tests are in use")

    def _hold_namespace(self) -> int:
        """The process that holds a new one."""
        words = ["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--net", "--", "sleep", "infinity"]
        holder = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
        self._stack.callback(holder.wait, DEADLINE_SECONDS)
        self._stack.callback(holder.kill)
        wait_until(lambda: holder.poll() is not None or proc.name(holder.pid) == "sleep", "a network namespace is there")
        assert holder.poll() is None, "unshare could not make a network namespace"
        return holder.pid


def _within(pid: int) -> tuple[str, ...]:
    return ("nsenter", f"--net=/proc/{pid}/ns/net", "--")


def _run(*words: str, given: str = "") -> str:
    ended = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(words)}: {ended.stderr}"
    return ended.stdout
