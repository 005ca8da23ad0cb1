"""More pods than monitoring ids, coming and going: how long is a free id without a pod, who waits, what is left over?"""

import random
import time
from dataclasses import dataclass, field

from resctrl_bench.agent import Agent, agent
from resctrl_bench.bench import Bench, wait_slowly
from resctrl_bench.emulator import Emulator, emulator
from resctrl_bench.figures import Figure, Section, spread
from resctrl_bench.id_history import IdHistory, read_history
from resctrl_bench.load import Pods
from workers.resctrl.emulator.profile import PROFILES

MUST_SECONDS = 1.5
FILL_SECONDS = 60.0
# How often the agent looks for pods. Nothing that is judged here includes it; at the default the churn would come in bursts.
LOOK_INTERVAL = "500ms"
LOOK_SECONDS = 0.5
ASK_EVERY_SECONDS = 0.5
DRAIN_SECONDS = 30.0
# One in sixteen pods leaves enough in the caches that its id is in limbo for two seconds and more; the others for one at most.
SCENARIO = """
[[traffic]]
path = "mon_groups/pod_*"
bytes_per_second = 16384
[[traffic]]
path = "mon_groups/pod_0*"
bytes_per_second = 1048576
"""


@dataclass(slots=True)
class Waiting:
    """Who came when, and who has had a group since when."""

    came_at: dict[str, float] = field(default_factory=dict)
    gone_at: dict[str, float] = field(default_factory=dict)
    grouped_at: dict[str, float] = field(default_factory=dict)

    def overtaken(self) -> int:
        """Pods that got no group, or later than one that had come a second after them: all are of one priority.

        A pod that went before its turn is judged until then.
        """
        order = sorted(self.came_at.items(), key=lambda item: item[1])
        horizon = 2 * LOOK_SECONDS + ASK_EVERY_SECONDS
        count = 0
        for uid, came_at in order:
            until = min(self.grouped_at.get(uid, float("inf")), self.gone_at.get(uid, float("inf")))
            count += any(
                later_at > came_at + horizon and self.grouped_at.get(later, float("inf")) < until - horizon
                for later, later_at in order
            )
        return count


def measure(bench: Bench) -> Section:
    """Fill, churn, drain."""
    options = bench.options
    ids = PROFILES[options.churn_profile].rmids - 1
    log = bench.place.folder / "ids.log"
    waiting = Waiting()
    with (
        bench.pods() as (pods, _none),
        emulator(bench.place, bench.new_name("churn"), profile=options.churn_profile, scenario=SCENARIO, ids_log=log) as emulated,
    ):
        for _ in range(options.churn_pods):
            _come(pods, waiting)
        with agent(
            bench.place, emulated.mount, bench.new_name("agent"), flags={"--control-plane-interval": LOOK_INTERVAL}
        ) as running:
            wait_slowly(lambda: len(emulated.groups()) >= min(ids, options.churn_pods), "all ids are in use", seconds=FILL_SECONDS)
            _note_groups(running, waiting)
            begin_ns = time.monotonic_ns()
            _churn(bench, pods, running, waiting)
            end_ns = time.monotonic_ns()
            bench.say("churn: all pods end")
            for pod in list(pods.living.values()):
                pods.end(pod)
            leaked_before_end = _drain(emulated)
        leaked = len(emulated.groups())
        lines = log.read_text().splitlines()
    history = read_history(lines, begin_ns, end_ns)
    held = read_history(lines, end_ns, time.monotonic_ns()).held
    return _section(bench, history, waiting, end_ns, leaks=(leaked_before_end, leaked, held))


def _come(pods: Pods, waiting: Waiting) -> None:
    pod = pods.start()
    waiting.came_at[pod.uid] = time.monotonic()


def _churn(bench: Bench, pods: Pods, running: Agent, waiting: Waiting) -> None:
    """Anyone who goes is drawn from all, with a group or without; somebody new comes at once."""
    options = bench.options
    generator = random.Random(options.seed)
    begun = due = time.monotonic()
    asked_at = begun
    while (now := time.monotonic()) < begun + options.churn_seconds:
        if now >= due:
            due += 1 / options.churn_a_second
            pod = pods.living[generator.choice(list(pods.living))]
            waiting.gone_at[pod.uid] = now
            pods.end(pod)
            _come(pods, waiting)
        if now - asked_at >= ASK_EVERY_SECONDS:
            asked_at = now
            _note_groups(running, waiting)
        time.sleep(max(0.0, min(due, asked_at + ASK_EVERY_SECONDS) - time.monotonic()))


def _note_groups(running: Agent, waiting: Waiting) -> None:
    now = time.monotonic()
    for row in running.pods():
        if row["group_paths"]:
            waiting.grouped_at.setdefault(row["uid"], now)


def _drain(emulated: Emulator) -> int:
    """How many groups are left a while after the last pod has gone."""
    end_at = time.monotonic() + DRAIN_SECONDS
    while (left := len(emulated.groups())) and time.monotonic() < end_at:
        time.sleep(0.1)
    return left


def _section(bench: Bench, history: IdHistory, waiting: Waiting, end_ns: int, *, leaks: tuple[int, int, int]) -> Section:
    options = bench.options
    # What is still free at the end has waited until now, and would go on waiting.
    unused = [(end_ns - at_ns) / 1e9 for at_ns in history.unused_since_ns]
    waits = spread([*history.waits_s, *(seconds for seconds in unused if seconds > MUST_SECONDS)])
    limbo = spread(history.limbo_s)
    return Section(
        "churn",
        f"{options.churn_pods} pods over {PROFILES[options.churn_profile].rmids - 1} ids; for {options.churn_seconds:.0f} s "
        f"{options.churn_a_second:g} of them a second go and as many come",
        [
            Figure("pods that went, a second", len(waiting.gone_at) / options.churn_seconds),
            Figure("ids given back and given out again", len(history.waits_s)),
            Figure("id free to id in use again, p50", waits["p50"], "s"),
            Figure("id free to id in use again, p99", waits["p99"], "s"),
            Figure("id free to id in use again, most", waits["max"], "s", MUST_SECONDS),
            Figure("limbo of an id, p50", limbo["p50"], "s"),
            Figure("limbo of an id, most", limbo["max"], "s"),
            Figure("pods that were overtaken", waiting.overtaken(), "", 0),
            Figure("groups left when all pods had gone", leaks[0], "", 0),
            Figure("groups left when the agent had ended", leaks[1], "", 0),
            Figure("ids still held then", leaks[2], "", 0),
        ],
        {"waits_seconds": history.waits_s, "limbo_seconds": history.limbo_s},
        [
            f"the agent looks for pods every {LOOK_INTERVAL}; what is judged begins when the emulator has the id free again",
            "overtaken: got no group, or later than a pod that had come clearly after it",
        ],
        {"pods_seen": len(waiting.came_at)},
    )
