"""A real agent in a network of its own, asked from outside and looked at from inside."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from fakes import own_network
from harness.agent_process import AgentProcess
from harness.control_connection import ask

T = TypeVar("T")


class NetworkedAgent(AgentProcess):
    """Its network is its own; with `is_hidden` so are its folders, which then nobody outside sees."""

    def __init__(self, folder: Path, *, flags: dict[str, str] | None = None, is_hidden: bool = False) -> None:
        hidden = ("--hide", str(folder / "state"), "--hide", str(folder / "run")) if is_hidden else ()
        agentd = (sys.executable, "-c", "from agent.daemon.main import main; main()")
        super().__init__(folder, flags=flags, program=(sys.executable, own_network.__file__, *hidden, "--", *agentd))

    def call(self, operation: str, **arguments: Any) -> Any:
        """As `AgentProcess.call`, by a way into the agent's own sight of the file system. *Raises:* RuntimeError."""
        assert self.process is not None
        answer = ask(f"/proc/{self.process.pid}/root{self.runtime_dir}/control.sock", operation, **arguments)
        if not answer["ok"]:
            raise RuntimeError(answer["error"]["sentence"])
        return answer["result"]

    def inside(self, work: Callable[[], T]) -> T:
        """What `work` gives in the agent's network: done in a thread, for a network is a thread's."""
        outcome: list[T] = []

        def enter() -> None:
            assert self.process is not None
            with open(f"/proc/{self.process.pid}/ns/net", "rb") as namespace:
                own_network.enter_network(namespace.fileno())
            outcome.append(work())

        # What goes wrong in there fails the test as an unhandled exception of a thread.
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        return outcome[0]


def network_of(pid: int | str) -> str:
    """The name of the network that a process is in."""
    return os.readlink(f"/proc/{pid}/ns/net")
