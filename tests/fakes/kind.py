"""The descriptions of the agent's own kinds of workers by their names, and plain ones under any other name."""

from agent.model.worker_kind import WorkerKind
from workers import registry


def kind_of(name: str) -> WorkerKind:
    """The kind of this name; one that the agent does not have may do nothing special."""
    return {worker.kind.name: worker.kind for worker in registry.all_workers()}.get(name, WorkerKind(name))
