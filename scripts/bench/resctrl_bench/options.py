"""What the command line can ask for."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from resctrl_bench.command_line import CommandLine

PARTS = {
    "cost": "processor time of the sampler and of pqos for each event file; how long a scan takes",
    "jitter": "begin of scans against the raster of seconds",
    "rates": "stored bandwidth against what the scenario declares",
    "coverage": "threads of pods that ran before the agent: time until all are in the right group",
    "storm": "pods that fork while they are attached: threads outside of the group after the first clean pass",
    "churn": "more pods than monitoring ids, coming and going: time until a free id is in use again",
    "bad": "bad reads: good values kept, bad ones with their reason, no impossible rate",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    only: tuple[str, ...] = tuple(PARTS)
    seed: int = 1
    # After all groups are read; the first ticks still bear traces of their making.
    settle_ticks: int = 3
    repeats: int = 3
    # The usual number of ids of a two-socket machine, that of the root included.
    groups: int = 447
    cost_seconds: float = 30.0
    pqos_seconds: int = 20
    jitter_seconds: float = 600.0
    jitter_groups: int = 110
    rate_groups: int = 40
    rate_seconds: float = 60.0
    coverage_pods: int = 110
    coverage_threads: int = 5500
    coverage_threads_max: int = 200
    storm_pods: int = 50
    storm_forks: int = 200
    storm_lifetime_ms: int = 50
    storm_seconds: float = 60.0
    churn_profile: str = "intel-2socket"
    churn_pods: int = 600
    churn_a_second: float = 10.0
    churn_seconds: float = 60.0
    bad_groups: int = 40
    bad_percent: float = 5.0
    bad_seconds: float = 60.0
    json_path: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON; where the results go is no part of them."""
        return {name: value for name, value in asdict(self).items() if not name.endswith("_path")}


# For anyone who changed something here.
QUICK = {
    "repeats": 1, "settle_ticks": 1, "groups": 40, "cost_seconds": 4.0, "pqos_seconds": 3, "jitter_seconds": 6.0,
    "jitter_groups": 20, "rate_groups": 10, "rate_seconds": 6.0, "coverage_pods": 12, "coverage_threads": 300,
    "storm_pods": 5, "storm_forks": 50,
    "storm_seconds": 4.0, "churn_profile": "tiny", "churn_pods": 12, "churn_a_second": 1.0, "churn_seconds": 10.0,
    "bad_groups": 10, "bad_seconds": 12.0,
}  # fmt: skip


NUMBERS = {
    "seed": "of everything that is drawn by chance",
    "repeats": "of cost, coverage and storm; medians are reported",
    "groups": "monitoring groups of the part cost",
    "cost_seconds": "length of one window in the part cost",
    "pqos_seconds": "length of one run of pqos; 0: none",
    "jitter_seconds": "length of the part jitter",
    "rate_seconds": "length of the part rates",
    "storm_pods": "pods that fork",
    "storm_forks": "processes that each of them makes a second",
    "storm_seconds": "how long threads are looked for after the first clean pass",
    "churn_profile": "whose ids are churned over",
    "churn_pods": "pods at any time in the part churn",
    "churn_a_second": "pods that go, and as many that come, in a second",
    "churn_seconds": "length of the part churn",
    "bad_seconds": "length of the part bad",
}
COMMAND_LINE = CommandLine(
    "scripts/bench/resctrl",
    "Measures the agent's monitoring groups and their sampler over an emulated resctrl, beside pqos on another.",
    PARTS,
    NUMBERS,
    QUICK,
)


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the program when they make no sense."""
    return Options(**COMMAND_LINE.parse(arguments, Options, switches={}))
