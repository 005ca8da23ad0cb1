"""The descriptions of the agent's own kinds of workers by their names, and plain ones under any other name."""

from agent.model.control import SERVED_OPERATIONS
from agent.model.worker_kind import RULES, STATS, WorkerKind
from workers import registry

# What a kind on demand with operations of its own declares.
ON_DEMAND = WorkerKind("on-demand", answers=frozenset({STATS, RULES}) | SERVED_OPERATIONS, is_on_demand=True)


def kind_of(name: str) -> WorkerKind:
    """The kind of this name; one that the agent does not have may do nothing special."""
    return {worker.kind.name: worker.kind for worker in registry.all_workers()}.get(
        name, ON_DEMAND if name == ON_DEMAND.name else WorkerKind(name)
    )
