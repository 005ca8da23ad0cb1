"""gunicorn: an arbiter of worker processes. Its workers become the tiny child, or (`Own`) stay its own and beat for it."""

from supervisors.rival import Bench, Rival, Variant

TINY = """
import os
from gunicorn.workers.base import Worker

class Child(Worker):
    def init_process(self):
        os.execv({child!r}, [{child!r}, {label!r}])

worker_class = Child
# The child does not beat: without a limit it is not taken for hung.
timeout = 0
"""
OWN = """
import os, socket, time

worker_class = "sync"
timeout = {timeout}

def post_worker_init(worker):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(f"{label} {{time.monotonic_ns()}}".encode(), {socket!r})
"""
BOTH = """
bind = "unix:{folder}/web"
workers = {count}
control_socket = {control!r}
"""


class Gunicorn(Rival):
    """Its workers have no numbers: all are called as the supervisor."""

    def __init__(self, bench: Bench, count: int, *, timeout: int = 0) -> None:
        super().__init__(bench, "g", count)
        self._timeout = timeout
        self._control = str(self.folder / "control")

    def prepare(self) -> None:
        """Its settings are a Python file; the application is one that nobody asks."""
        kind = OWN if self._timeout else TINY
        values = {"child": self.child, "label": self.label, "socket": self.bench.starts.path, "folder": self.folder}
        text = (kind + BOTH).format(**values, count=self.count, control=self._control, timeout=self._timeout)
        (self.folder / "conf.py").write_text(text)
        (self.folder / "nobody.py").write_text("def asks(environ, start_response):\n    raise NotImplementedError\n")

    def command_line(self) -> list[str]:
        """In the foreground."""
        return [self.bench.toolchain.python_tool("gunicorn"), "-c", "conf.py", "nobody:asks"]

    def status_command(self) -> list[str]:
        """All workers; versions before 25.1 have no such command."""
        return [self.bench.toolchain.python_tool("gunicornc"), "-s", self._control, "-c", "show workers"]


VARIANTS = (
    # It wakes by itself once a second.
    Variant("gunicorn", "gunicorn", Gunicorn, pause_seconds=(0.02, 1.02), side_by_side=4),
)
