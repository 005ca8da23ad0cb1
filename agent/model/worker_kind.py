"""What the supervisor and the gateway must know of a kind of worker. PURE.

The core compares these properties and never a name, so that a new kind needs no change there. A kind's own folder declares it
(`workers.framework.declaration.Worker`), and `workers.registry` finds it.
"""

from typing import Literal

from msgspec import Struct

from agent.model.limit import CPU_PER_CORE

# What every kind answers; what it answers beyond them stands in its description.
STATS = "stats"
RULES = "rules"
# Finish the open data files, and say which they are.
ROTATE = "rotate"
# The supervisor's own picture of the agent, for those that may ask for it.
STATUS = "status"
# Whether the agent is ready, from what the supervisor knows.
READY = "ready"

MetricType = Literal["counter", "gauge", "info"]


class WorkerKind(Struct, frozen=True):
    """One kind of worker; several workers may be of it.

    `start_order`: lower starts first and stops last; workers of one order start in the order of their names.
    `may_publish`: its workers announce the assignments of pods; no other may. The agent is not ready before a first whole
    announcement, and after a takeover workers keep their rules until then.
    `binds_data_socket`: it is restarted when somebody has removed the data socket's name.
    `answers`: what the supervisor can ask its workers, operations of the control socket that it hands to them included.
    `asks`: what they may ask the supervisor.
    `cpu_limit`, `memory_limit`: what each may use where the settings say `auto`, in the units of `agent.model.limit.Resource`.
    `is_on_demand`: its workers sleep, without a process, while there is nothing to do for them; who declares the worker says at
    the agent's start whether there is, and the first operation that is handed to it starts it too.
    `stores_events`: the supervisor hands it the rows of table `diag`.
    """

    name: str
    start_order: int = 50
    may_publish: bool = False
    binds_data_socket: bool = False
    answers: frozenset[str] = frozenset({STATS, RULES})
    asks: frozenset[str] = frozenset()
    is_on_demand: bool = False
    # Half a core and 512 MiB: a worker that all others need is not restarted for a burst.
    cpu_limit: int = CPU_PER_CORE // 2
    memory_limit: int = 512 << 20
    stores_events: bool = False


class Statistic(Struct, frozen=True):
    """A metric that is found at `path` in what a worker answers to `stats`.

    The value is divided by `per`: 1e9 makes seconds of nanoseconds. With `by` there is a mapping at that place, and each of its
    keys is a sample with that label instead of the worker's.
    *Absent:* a value that is no number gives no sample.
    """

    name: str
    type: MetricType
    about: str
    path: tuple[str, ...]
    by: str = ""
    per: int = 1
