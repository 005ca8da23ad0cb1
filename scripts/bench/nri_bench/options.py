"""What the command line can ask for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from resctrl_bench.command_line import CommandLine

PARTS = {
    "starts": "start of pods through a real containerd: no plugin, this agent, and the runtime's own example plugin",
    "inside": "container starts with real processes: time of the reply, instructions outside of the group",
    "deadline": "the reply beside the most rules and units that there may be, all of which are bound again and again",
    "before": "pods that ran before the agent: time until all are grouped and named",
    "drops": "a runtime that is lost again and again in mid-stream: time until the list is the truth",
    "memory": "memory of the control plane with many pods, beside the example plugin",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    only: tuple[str, ...] = tuple(PARTS)
    seed: int = 1
    containerd: str = "1.7"
    start_pods: int = 402
    pause_ms: int = 40
    rival: bool = True
    inside_starts: int = 1_000
    inside_pods: int = 50
    deadline_rules: int = 1_000
    deadline_units: int = 4_000
    deadline_seconds: float = 30.0
    before_pods: int = 110
    before_children: int = 4
    repeats: int = 3
    steady_seconds: float = 20.0
    drops: int = 20
    drop_pods: int = 1_000
    memory_pods: int = 1_000
    memory_containers: int = 3
    json_path: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON; where the results go is no part of them."""
        return {name: value for name, value in asdict(self).items() if not name.endswith("_path")}


# For anyone who changed something here.
QUICK = {
    "start_pods": 12, "inside_starts": 60, "inside_pods": 10, "deadline_rules": 100, "deadline_units": 400,
    "deadline_seconds": 3.0, "before_pods": 20, "repeats": 1, "steady_seconds": 1.0, "drops": 3, "drop_pods": 100,
    "memory_pods": 100,
}  # fmt: skip


NUMBERS = {
    "seed": "of everything that is drawn by chance",
    "containerd": "version of the real runtime: 1.7 or 2",
    "start_pods": "pods of each kind in the part starts; a multiple of 3 is best",
    "pause_ms": "between two pods of the part starts",
    "inside_starts": "container starts of the part inside",
    "inside_pods": "pods in which they are",
    "deadline_rules": "rules of the part deadline",
    "deadline_units": "services that there are beside the pods",
    "deadline_seconds": "length of the part deadline",
    "before_pods": "pods that ran before the agent",
    "repeats": "of the part before; medians are reported",
    "steady_seconds": "in which nothing changes, at the end of the part before",
    "drops": "how often the runtime is lost",
    "drop_pods": "pods that it has",
    "memory_pods": "pods of the part memory",
    "memory_containers": "containers of each of them",
}
COMMAND_LINE = CommandLine(
    "scripts/bench/nri",
    "Measures what the agent costs a container runtime, and how soon it knows and measures pods.",
    PARTS,
    NUMBERS,
    QUICK,
)


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the program when they make no sense."""
    return Options(
        **COMMAND_LINE.parse(arguments, Options, switches={"--no-rival": ("rival", "leave out the example plugin, which needs Go")})
    )
