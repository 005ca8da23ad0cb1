"""TCP bytes of real processes: their sockets by netlink, their open files from /proc, connections over loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fakes.bus import RecordingBus
from fakes.tcp_world import tracked
from harness.waiting import wait_until

from agent.config import Config
from agent.model.absence import Absence
from agent.model.timebase import S
from agent.side_reader import SideReader, Unanswered
from workers.framework.condition import Conditions
from workers.process.breaker import FileBreaker, Metered
from workers.process.open_sockets import SocketLister
from workers.process.sock_diag import TcpSocket
from workers.process.socket_owners import SocketOwners
from workers.process.tcp import FD_LIMITS, TCP, TCP_SOCKETS, KernelTcpNetwork, TcpAround, TcpReader, open_tcp_reader
from workers.process.tracked_process import TrackedProcess
from workers.runtime.kernel_tree import OpenKernelTree

MB = 1_000_000
# Connects, says so; for each line on stdin sends that many bytes, and says so when all are acknowledged (tcp(7), SIOCOUTQ).
SENDER = """
import fcntl, socket, struct, sys, termios, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
for line in sys.stdin:
    connection.sendall(bytes(int(line)))
    while struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0]:
        time.sleep(0.001)
    print("sent", flush=True)
"""
# Accepts one connection, reads for ever.
RECEIVER = """
import socket
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
while connection.recv(1 << 16):
    pass
"""


@contextmanager
def _process(program: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program that has said its first line."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def _send(sender: subprocess.Popen[str], count: int) -> None:
    assert sender.stdin is not None
    assert sender.stdout is not None
    sender.stdin.write(f"{count}\n")
    sender.stdin.flush()
    assert sender.stdout.readline() == "sent\n"


def _reader(*processes: TrackedProcess) -> TcpReader:
    owners = SocketOwners({process.name: process for process in processes})
    listings = Metered(FileBreaker("fd", FD_LIMITS, Conditions(RecordingBus())), time.process_time_ns)
    network = KernelTcpNetwork(OpenKernelTree("/proc"))
    return TcpReader(network, SocketLister("/proc"), owners, sockets_max=100_000, listings=listings)


def test_a_sender_and_its_receiver_have_their_bytes_and_nobody_else() -> None:
    """One process sends ten megabytes over loopback; a third one has a connection too, and has moved nothing."""
    with (
        _process(RECEIVER) as (receiver, port),
        _process(SENDER, port) as (sender, _),
        _process(RECEIVER) as (_, other_port),
        _process(SENDER, other_port) as (idle, _),
    ):
        processes = [tracked(each.pid) for each in (sender, receiver, idle)]
        reader = _reader(*processes)
        for _ in range(3):
            _send(sender, 10 * MB)
            reader.read(processes, processes, S // 10)
        reader.close()
        sent, received = processes[0].tcp_sent, processes[1].tcp_received
        assert [each.why_no_tcp for each in processes] == [None, None, None]
        assert sent is not None
        assert received is not None
        assert 9 * MB < sent < 11 * MB
        assert 9 * MB < received < 11 * MB
        assert (processes[0].tcp_received, processes[1].tcp_sent) == (0, 0)
        assert (processes[2].tcp_sent, processes[2].tcp_received) == (0, 0)


def test_the_kernels_counters_are_exact() -> None:
    """The listing has each connection under the inode that its process shows, with the bytes that it moved; not the listener."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            client.sendall(bytes(12345))
            assert len(accepted.recv(12345, socket.MSG_WAITALL)) == 12345
            inodes = [os.fstat(each.fileno()).st_ino for each in (client, accepted, server)]
            network = KernelTcpNetwork(OpenKernelTree("/proc"))

            def is_acknowledged() -> bool:
                return network.sockets()[inodes[0]].sent_bytes >= 12345

            wait_until(is_acknowledged, "the bytes are acknowledged")
            found = network.sockets()
            # The kernel counts the first packet of a connection as one byte.
            assert found[inodes[0]].sent_bytes - 12345 in (0, 1)
            assert found[inodes[1]] == TcpSocket(found[inodes[1]].sent_bytes, 12345)
            assert inodes[2] not in found
            held = SocketLister("/proc").read(str(os.getpid()))
            assert isinstance(held, frozenset)
            assert held >= frozenset(inodes)
            network.close()


def test_the_kernel_says_what_interfaces_moved_and_how_many_sockets_there_are() -> None:
    """Both are files of the agent's own network namespace."""
    network = KernelTcpNetwork(OpenKernelTree("/proc"))
    before = network.moved_bytes()
    assert isinstance(before, int)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(bytes(100_000))

        def has_moved() -> bool:
            now = network.moved_bytes()
            return isinstance(now, int) and now - before >= 100_000

        wait_until(has_moved, "loopback has carried it")
        assert isinstance(count := network.connections(), int)
        assert count >= 2
    network.close()


def test_a_process_with_very_many_files_costs_next_to_nothing() -> None:
    """Their number is known without reading them; where the kernel does not tell it, reading ends at the limit."""
    program = "import os, sys, resource\nmost = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
    program += "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
    program += "for _ in range(min(most - 100, 15_000)): os.dup(0)\nprint('ready', flush=True)\nsys.stdin.read()"
    with _process(program) as (crowded, word):
        assert word == "ready"
        lister = SocketLister("/proc")
        before_ns = time.thread_time_ns()
        assert lister.read(str(crowded.pid)) is Absence.TOO_MANY
        # Reading all of their links takes more than 20 ms.
        assert time.thread_time_ns() - before_ns < 10_000_000


def test_a_process_in_another_network_namespace_says_so() -> None:
    """Its connections are not in the listing of the agent's own."""
    command = ["unshare", "--net", sys.executable, "-c", "import sys; print('ready', flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        lister = SocketLister("/proc")
        reader: SideReader[frozenset[int] | Absence] = SideReader(lister.read)
        # On a busy machine a thread may not answer at once.
        answers = wait_until(
            lambda: None if isinstance((told := reader.read_all([(1, str(running.pid))]))[1], Unanswered) else told, "an answer"
        )
        assert answers == {1: Absence.OTHER_NETWORK_NAMESPACE}
        reader.close()
        running.kill()


@pytest.mark.runbook("Process sampler")
def test_it_can_be_switched_off() -> None:
    """Then there is no reader."""
    table = type("Table", (), {"processes": {}})()
    around = TcpAround(table, Conditions(RecordingBus()), lambda: None, time.process_time_ns)
    assert open_tcp_reader(Config({TCP.key: False, TCP_SOCKETS.key: 9}), OpenKernelTree("/proc"), around) is None
