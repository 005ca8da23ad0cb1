"""The operations `list-limits` and `set-limit` of the control socket. PURE."""

from typing import Any

from agent.model.control.limit import LimitList
from agent.model.errors import ExitCode
from agent.model.limit import CPU_PER_CORE, Resource
from supervisor.core.effect import Asker, Effect, LimitsPersisted, Problem, Respond
from supervisor.core.governance import Governance
from supervisor.core.limit_book import LIMIT_MOST
from supervisor.core.limit_changes import LimitChanges, LimitMutation
from supervisor.core.limit_report import limit_row
from supervisor.core.supervisor_state import SupervisorState

_MOST = {Resource.CPU: 1024 * CPU_PER_CORE}


class LimitOperations:
    """Answers them; a change waits for the disk."""

    def __init__(self, state: SupervisorState, governance: Governance) -> None:
        self._state = state
        self._governance = governance
        self._changes = LimitChanges(state, governance)

    def on_list_limits(self, asker: Asker, arguments: dict[str, Any], now_ns: int) -> list[Effect]:
        """All workers, in the order of their start."""
        governed = [child for child in self._state.children.values() if child.name in self._governance.governors]
        rows = [limit_row(self._governance, child, now_ns) for child in governed]
        return [Respond(asker, LimitList(is_enabled=self._governance.is_enabled, limits=rows))]

    def on_set_limit(self, asker: Asker, arguments: dict[str, Any], now_ns: int) -> list[Effect]:
        """`name`, and the limits to set: whole numbers in the units of `agent.model.limit.Resource`, 0: none; or `reset`."""
        name = arguments.get("name")
        if (problem := self._state.problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        if str(name) not in self._governance.governors:
            return [_refusal(asker, f"{name} has no limits")]
        values: dict[Resource, int] = {}
        for resource in Resource:
            value = arguments.get(resource.value)
            if value is None:
                continue
            most = _MOST.get(resource, LIMIT_MOST)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
                return [_refusal(asker, f"{resource.value} is a whole number from 0 to {most}, not {str(value)[:64]!r}")]
            values[resource] = value
        is_reset = arguments.get("reset") is True
        if is_reset == bool(values):
            words = ", ".join(resource.value for resource in Resource)
            return [_refusal(asker, f"name at least one of {words}, or reset alone")]
        return self._changes.ask(LimitMutation(asker, str(name), None if is_reset else values), now_ns)

    def on_persisted(self, outcome: LimitsPersisted, now_ns: int) -> list[Effect]:
        """The disk has answered for a change."""
        return self._changes.on_persisted(outcome, now_ns)


def _refusal(asker: Asker, sentence: str) -> Respond:
    return Respond(asker, None, Problem("bad_argument", sentence, int(ExitCode.MISUSE)))
