"""Operations that a worker carries out: handed to it as they are, its answer back to the client. PURE.

A worker that sleeps is started for them, and one that is not up is waited for. What the worker answers is checked, because it is
another process. One that ends in between has perhaps done what was asked; the client is told where to look. What only reads is
asked once more instead, of the worker that replaces it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from agent.model.control import CHANGE_DEADLINE_SECONDS, DEADLINE_SECONDS, HUB_OPERATIONS, READ_OPERATIONS
from agent.model.control.document import Document, decode
from agent.model.control.fleet import FleetNodes, FleetUnits, FleetWorkers, HubInvitation, HubMembers, HubRemoval
from agent.model.control.workload import WorkloadChange, WorkloadList
from agent.model.errors import ExitCode, ProtocolError
from agent.model.timebase import S
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import Asker, Effect, Problem, Respond
from supervisor.core.supervisor_state import SupervisorState
from supervisor.core.worker_question import Question, Replies, WorkerQuestions

RESULTS: dict[str, type[Document]] = {
    "list-workloads": WorkloadList,
    "run-workload": WorkloadChange,
    "stop-workload": WorkloadChange,
    "forget-workload": WorkloadChange,
    "fleet-nodes": FleetNodes,
    "fleet-units": FleetUnits,
    "fleet-workers": FleetWorkers,
    "hub-list": HubMembers,
    "hub-invite": HubInvitation,
    "hub-remove": HubRemoval,
}
# What those that only read are answered while nobody has ever had anything to do with it: a look starts no process.
EMPTY: dict[str, Document] = {"list-workloads": WorkloadList(is_asked=False, problem=None, workloads=[])}
LOOK_PATIENCE_NS = int(DEADLINE_SECONDS * S * 0.9)
CHANGE_PATIENCE_NS = int(CHANGE_DEADLINE_SECONDS * S * 0.95)

Arguments = dict[str, Any]


class ServedProblem(Struct, frozen=True):
    """Why a worker has not done what it was asked, in its reply under `refused`."""

    code: str
    sentence: str
    exit: int


class ServedOperations:
    """Finds the worker that answers an operation."""

    def __init__(self, state: SupervisorState, questions: WorkerQuestions) -> None:
        self._state = state
        self._questions = questions

    def handler(self, operation: str) -> Callable[[Asker, Arguments, int], list[Effect]]:
        """What carries this operation out."""
        assert operation in RESULTS, operation
        return partial(self._on_operation, operation)

    def _on_operation(self, operation: str, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        child = next(iter(self._state.children_answering(operation)), None)
        if operation in EMPTY and (child is None or child.state is ChildState.ASLEEP):
            return [Respond(asker, EMPTY[operation])]
        if (problem := self._problem(operation, child)) is not None:
            return [Respond(asker, None, problem)]
        assert child is not None
        effects = child.start(now_ns) if child.state is ChildState.ASLEEP else []

        is_look = operation in READ_OPERATIONS

        def finish(replies: Replies, _at_ns: int) -> Document | Problem:
            if child.name not in replies:
                return (self._problem(operation, child) if is_look else None) or _silence(operation, child)
            return _outcome(operation, replies[child.name].body, child.name)

        patience_ns = LOOK_PATIENCE_NS if is_look else CHANGE_PATIENCE_NS
        question = Question(asker, operation, (child.name,), patience_ns, finish, arguments, waits=True, repeats=is_look)
        return [*effects, *self._questions.ask(question, now_ns)]

    def _problem(self, operation: str, child: Child | None) -> Problem | None:
        if child is None:
            return Problem("no_such_worker", _absence(operation), int(ExitCode.UNAVAILABLE))
        if self._state.is_stopping:
            return Problem("stopping", "the agent ends; ask it when it runs again", int(ExitCode.TRY_AGAIN))
        if child.state is ChildState.FAILED:
            sentence = f"{child.name} has failed ({child.last_exit}); mend the cause, then `agentctl reset-worker {child.name}`"
            return Problem("worker_failed", sentence, int(ExitCode.UNAVAILABLE))
        return None


def _absence(operation: str) -> str:
    if operation in HUB_OPERATIONS:
        return "this agent is no hub; set hub.listen, such as tcp://0.0.0.0:9465, and restart it (docs/fleet.md)"
    return f"this agent has no worker for {operation}"


def _silence(operation: str, child: Child) -> Problem:
    if operation in READ_OPERATIONS:
        why = "did not answer in time" if child.state is ChildState.UP else f"is {child.state} and has not answered"
        sentence = f"{child.name} {why}; try again"
    else:
        look = "hub list" if operation in HUB_OPERATIONS else "list-workloads"
        sentence = f"{child.name} did not answer in time, it may have done it; `agentctl {look}` shows that"
    return Problem("no_answer", sentence, int(ExitCode.TRY_AGAIN))


def _outcome(operation: str, body: Arguments, worker: str) -> Document | Problem:
    try:
        if "refused" in body:
            refused = msgspec.convert(body["refused"], ServedProblem)
            return Problem(refused.code, refused.sentence, refused.exit)
        return decode(RESULTS[operation], body, worker)
    except (ProtocolError, msgspec.ValidationError) as wrong:
        return Problem("bad_answer", f"{worker}: the answer cannot be read: {wrong}", int(ExitCode.BAD_DATA))
