"""What every part is handed: a place, and the worlds that are measured in it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.nri_node import RealNode
from fakes.nri_runtime import NriRuntime
from harness.agent_process import AgentProcess
from resctrl_bench.emulator import Emulator, emulator
from resctrl_bench.place import Place

from nri_bench.options import Options

CONTROL_PLANE = "control-plane"
# The sampler of resctrl is not what is measured; over FUSE a thousand groups would keep it busy.
FLAGS = {
    "--sampler-resctrl-interval": "60s",
    "--sampler-process-enabled": "false",
    "--sampler-host-enabled": "false",
    "--sampler-unit-enabled": "false",
}


@dataclass(slots=True)
class World:
    """A runtime of the tests with real cgroups, an emulated resctrl, and the folder of an agent."""

    runtime: NriRuntime
    node: RealNode
    emulator: Emulator
    folder: Path

    def agent(self, flags: Mapping[str, str] | None = None) -> AgentProcess:
        """An agent beside the runtime; it is not started yet."""
        own = {
            "--nri-socket-path": str(self.runtime.path),
            "--kernel-cgroup-root": str(self.node.root),
            "--resctrl-mount": str(self.emulator.mount),
        }
        return AgentProcess(self.folder, flags={**FLAGS, **own, **(flags or {})}, quick=False)


@dataclass(slots=True)
class Bench:
    """One run of the benchmark: `say` tells how far it is."""

    options: Options
    place: Place
    say: Callable[[str], None]
    rooms: int = 0

    def new_folder(self, stem: str) -> Path:
        """A folder of its own; its name is short, for sockets lie below it."""
        self.rooms += 1
        folder = self.place.folder / f"{stem}{self.rooms}"
        folder.mkdir()
        return folder

    @contextmanager
    def world(self, stem: str, *, ids: int, ids_log: Path | None = None) -> Iterator[World]:
        """A world with at least so many monitoring ids; everything in it ends with the context."""
        folder = self.new_folder(stem)
        root = self.place.cgroup / folder.name
        root.mkdir()
        with (
            emulator(self.place, f"{folder.name}/r", more_ids=ids, ids_log=ids_log, are_names_kept=True) as made,
            NriRuntime(folder / "nri.sock") as runtime,
        ):
            node = RealNode(runtime, root, made.mount)
            try:
                yield World(runtime, node, made, folder)
            finally:
                node.close()
                root.rmdir()


def control_plane_pid(agent: AgentProcess) -> int:
    """The process of the control plane."""
    pid: int = agent.workers()[CONTROL_PLANE]["pid"]
    return pid
