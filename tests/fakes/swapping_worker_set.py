"""agentd with scripted workers, whose supervisor loses the race for a process number: a program, used as `fakes.worker_set`.

The first time that the supervisor has decided to kill a worker, and before it does, the worker dies of itself and its number
is given to a stranger. Who makes the stranger is the test: it finds the number in the file `swap` in the folder of orders,
and puts the file `swapped` beside it.
"""

import os
import signal
import sys
from pathlib import Path

from fakes.scripted_worker import FOLDER_VARIABLE
from fakes.worker_set import scripted_worker_set
from harness.waiting import wait_until

from agent.daemon import wiring
from agent.daemon.foreground import run
from supervisor.core.effect import Effect, Event, Signal
from supervisor.core.machine import Machine


class SwappingMachine(Machine):
    """The supervisor's own decisions; between one of them and its effect something happens."""

    _is_done = False

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """What follows from an event."""
        effects = super().handle(event, now_ns)
        for effect in effects:
            if isinstance(effect, Signal) and effect.name == "KILL" and not self._is_done:
                self._is_done = True
                pid = self.state.children[effect.child].pid
                assert pid is not None
                _swap(pid)
        return effects


def _swap(pid: int) -> None:
    folder = Path(os.environ[FOLDER_VARIABLE])
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the worker is gone and waited for")
    (folder / "swap.new").write_text(str(pid))
    (folder / "swap.new").rename(folder / "swap")
    wait_until((folder / "swapped").exists, "its number is another's")


if __name__ == "__main__":
    # Where the daemon is put together, before that happens.
    setattr(wiring, "Machine", SwappingMachine)  # noqa: B010  mypy sees no export assigned
    os._exit(int(run(sys.argv[1:], os.environ, worker_set=scripted_worker_set)))
