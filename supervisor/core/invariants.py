"""What must be true of the supervisor's state after every event. PURE; the random worlds of the tests check it at each step."""

from collections.abc import Iterator

from supervisor.core.child import ChildState
from supervisor.core.supervisor_state import SupervisorState

_TIMED = (ChildState.STARTING, ChildState.BACKOFF)
_WITHOUT_PROCESS = (ChildState.ASLEEP, ChildState.DOWN, ChildState.BACKOFF, ChildState.FAILED)


def broken_invariants(state: SupervisorState, now_ns: int) -> Iterator[str]:
    """Each broken invariant as a sentence."""
    yield from _of_children(state, now_ns)
    yield from _of_rules(state)
    if state.is_ready is bool(state.reasons_not_ready(now_ns)):
        yield f"the agent counts as {'' if state.is_ready else 'not '}ready, and the reasons say otherwise"
    for worker, kind in state.history.conditions:
        if worker in state.children and not state.children[worker].has_process:
            yield f"condition {kind} of {worker} outlived it"


def _of_children(state: SupervisorState, now_ns: int) -> Iterator[str]:
    for child in state.children.values():
        if child.state in _TIMED and child.deadline_ns is None:
            yield f"{child.name} is {child.state} without a deadline: it could stay so for ever"
        if child.state in _WITHOUT_PROCESS and child.pid is not None:
            yield f"{child.name} is {child.state} and has a process"
        if child.state in _WITHOUT_PROCESS and child.name in state.authority.replicas:
            yield f"{child.name} is {child.state} and has a replica of the rules"
        if child.state is ChildState.ASLEEP and (not child.asleep_why or child.deadline_ns is not None or state.is_stopping):
            yield f"{child.name} is asleep without a reason, with a deadline, or at the agent's end"
        if child.state is ChildState.UP and child.up_at_ns is None:
            yield f"{child.name} is up without a time since when"
        if child.deadline_ns is not None and child.deadline_ns <= now_ns:
            yield f"{child.name} has a deadline in the past that was not acted on"


def _of_rules(state: SupervisorState) -> Iterator[str]:
    for name, replica in state.authority.replicas.items():
        if replica.epoch != state.children[name].epoch:
            yield f"the rules of {name} are tracked for epoch {replica.epoch}, it is in {state.children[name].epoch}"
    if sorted(f"rule/{name}" for name in state.authority.rules) != [key for key, _content in state.authority.state.items("rule/")]:
        yield "the decoded rules are not those of the state"
