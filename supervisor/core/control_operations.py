"""The operations of the control socket. PURE.

Most are answered immediately from what the supervisor knows. One that needs the disk (`rule_changes`) or a worker
(`worker_question`) is answered later, within its deadline; some are handed to a worker as they are (`served_operations`).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from agent.model.control import DEADLINE_SECONDS, OPERATIONS, ROTATE_DEADLINE_SECONDS, SERVED_OPERATIONS
from agent.model.control.document import Document, decode, narrowed
from agent.model.control.result import (
    AgentInfo,
    PodList,
    RotateOutcome,
    WorkerChange,
    WorkerList,
    WorkerRow,
    WorkerState,
)
from agent.model.errors import ExitCode, ProtocolError
from agent.model.message import Reply
from agent.model.rule import GroupRule, problem_of_new_rule
from agent.model.timebase import MS, S
from agent.model.worker_kind import READY, ROTATE, RULES, STATS, STATUS
from supervisor.core import report
from supervisor.core.child import ChildState
from supervisor.core.effect import Asker, Effect, LimitsPersisted, Persisted, Problem, Respond, WorkerAsker
from supervisor.core.governance import Governance
from supervisor.core.limit_operations import LimitOperations
from supervisor.core.reload import Reload
from supervisor.core.rule_changes import Mutation, RuleChanges
from supervisor.core.served_operations import ServedOperations
from supervisor.core.supervisor_state import SupervisorState
from supervisor.core.worker_question import Question, Replies, WorkerQuestions

# `status` shows what workers say of themselves; one that does not answer in this time is shown without.
STATS_DEADLINE_NS = 300 * MS
DIAG_LIMIT_MAX = 512
# What a worker may ask of the supervisor. Only reading: a compromised or confused worker changes nothing.
WORKER_OPERATIONS = frozenset({READY, STATUS})

D = TypeVar("D", bound=Document)
Arguments = dict[str, Any]
Handler = Callable[[Asker, Arguments, int], list[Effect]]


class ControlOperations:
    """Answers operations from the supervisor's state."""

    def __init__(self, state: SupervisorState, governance: Governance, reload: Reload) -> None:
        self._state = state
        self._limits = LimitOperations(state, governance)
        self._questions = WorkerQuestions(state)
        self._served = ServedOperations(state, self._questions)
        self._changes = RuleChanges(state.authority, state.history)
        self._handlers: dict[str, Handler] = {
            "hello": self._on_hello,
            "ready": self._on_ready,
            "list-workers": self._on_list_workers,
            "worker-state": self._on_worker_state,
            "list-pods": self._on_list_pods,
            "list-rules": self._on_list_rules,
            "status": self._on_status,
            "diag": self._on_diag,
            "add-rule": self._on_add_rule,
            "remove-rule": self._on_remove_rule,
            "restart-worker": self._on_restart_worker,
            "reset-worker": self._on_reset_worker,
            "rotate": self._on_rotate,
            "list-limits": self._limits.on_list_limits,
            "set-limit": self._limits.on_set_limit,
            "reload": lambda asker, _arguments, now_ns: reload.ask(asker, now_ns),
            **{operation: self._served.handler(operation) for operation in SERVED_OPERATIONS},
        }
        assert self._handlers.keys() == OPERATIONS, "every operation has its handler"

    # ---- events ----------------------------------------------------------------------------------

    def on_command(self, asker: Asker, operation: str, arguments: Arguments, now_ns: int) -> list[Effect]:
        """Begin an operation."""
        handler = self._handlers.get(operation)
        if handler is None:
            near = ", ".join(sorted(OPERATIONS))
            return [_refusal(asker, "no_such_operation", f"there is no operation {operation!r}; there are {near}")]
        return handler(asker, arguments, now_ns)

    def on_request(self, asker: WorkerAsker, what: str, now_ns: int) -> list[Effect]:
        """A worker's own question. One that it may not ask is refused at once, so that the worker does not wait for an answer."""
        # Whatever its kind claims: workers may look, and only that.
        allowed = WORKER_OPERATIONS & self._state.children[asker.child].kind.asks
        if what not in allowed:
            sentence = f"a worker of this kind may ask for {' or '.join(sorted(allowed)) or 'nothing'}, not for {what[:64]!r}"
            return [_refusal(asker, "no_such_request", sentence)]
        return self.on_command(asker, what, {}, now_ns)

    def on_reply(self, worker: str, reply: Reply, now_ns: int) -> list[Effect]:
        """A worker replied to an Ask."""
        return self._questions.on_reply(worker, reply, now_ns)

    def on_worker_up(self, worker: str) -> list[Effect]:
        """The worker is up: what waited for it is handed to it."""
        return self._questions.on_worker_up(worker)

    def on_worker_gone(self, worker: str, now_ns: int) -> list[Effect]:
        """The worker has ended and will not reply."""
        return self._questions.on_worker_gone(worker, now_ns)

    def on_persisted(self, outcome: Persisted, now_ns: int) -> list[Effect]:
        """The disk has answered for a rules document."""
        return self._changes.on_persisted(outcome, now_ns)

    def on_limits_persisted(self, outcome: LimitsPersisted, now_ns: int) -> list[Effect]:
        """The disk has answered for a document of limits."""
        return self._limits.on_persisted(outcome, now_ns)

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """Answer the questions whose time is over."""
        return self._questions.on_deadline(now_ns)

    def next_deadline_ns(self) -> int | None:
        """When the first open question must be answered."""
        return self._questions.next_deadline_ns()

    # ---- operations that only read ---------------------------------------------------------------

    def _on_hello(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        about = self._state.about
        info = AgentInfo(
            version=about.version,
            run=about.run,
            host=about.host,
            pid=about.pid,
            state_dir=about.state_dir,
            runtime_dir=about.runtime_dir,
            places=about.places,
        )
        return [Respond(asker, info)]

    def _on_ready(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        return [Respond(asker, self._state.readiness(now_ns))]

    def _on_list_workers(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        # The columns that its readers rely on and no others; the CPU time is for /metrics.
        rows = [narrowed(WorkerRow, worker) for worker in self._state.workers(now_ns)]
        return [Respond(asker, WorkerList(workers=rows))]

    def _on_list_pods(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        return [Respond(asker, PodList(complete=self._state.looked_at_host, pods=report.pods(self._state.authority)))]

    def _on_list_rules(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        return [Respond(asker, report.rules(self._state.authority))]

    def _on_diag(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        limit = arguments.get("limit", 50)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= DIAG_LIMIT_MAX:
            return [_refusal(asker, "bad_argument", f"limit is a whole number from 0 to {DIAG_LIMIT_MAX}, not {limit!r}")]
        return [Respond(asker, self._state.diag(limit))]

    def _on_status(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        def finish(replies: Replies, at_ns: int) -> Document:
            stats: dict[str, dict[str, object] | None] = {}
            for child in self._state.children.values():
                told = replies[child.name].body if child.name in replies else None
                stats |= report.statistics_by_name(child, told)
            return self._state.status(stats, at_ns)

        workers = tuple(child.name for child in self._state.children_answering(STATS) if child.state is ChildState.UP)
        return self._questions.ask(Question(asker, STATS, workers, STATS_DEADLINE_NS, finish), now_ns)

    def _on_worker_state(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if (problem := self._state.problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        child = self._state.children[str(name)]
        if child.state is not ChildState.UP:
            sentence = f"{name} is {child.state} and cannot be asked; `agentctl list-workers` shows when it is back"
            return [_refusal(asker, "worker_not_up", sentence, ExitCode.TRY_AGAIN)]
        epoch = child.epoch

        def finish(replies: Replies, at_ns: int) -> Document | Problem:
            if child.name not in replies:
                return Problem("no_answer", f"{name} did not answer in time; try again", int(ExitCode.TRY_AGAIN))
            return _checked_reply(WorkerState, {**replies[child.name].body, "name": child.name, "epoch": epoch}, child.name)

        patience_ns = int(DEADLINE_SECONDS * S * 0.8)
        return self._questions.ask(Question(asker, RULES, (child.name,), patience_ns, finish), now_ns)

    # ---- operations that change something ----------------------------------------------------------

    def _on_add_rule(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        try:
            rule = msgspec.convert(arguments.get("rule"), GroupRule)
        except msgspec.ValidationError as refused:
            return [_refusal(asker, "bad_rule", f"this is no rule: {refused}; `agentctl add-rule --help` shows one")]
        if (problem := problem_of_new_rule(rule)) is not None:
            return [_refusal(asker, "bad_rule", f"rule {rule.name!r}: {problem}")]
        return self._changes.ask(Mutation(asker, rule.name, rule))

    def _on_remove_rule(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if not isinstance(name, str):
            return [_refusal(asker, "bad_argument", f"name is text, not {name!r}")]
        return self._changes.ask(Mutation(asker, name, None))

    def _on_restart_worker(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if (problem := self._state.problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        if self._state.is_stopping:
            return [_refusal(asker, "stopping", "the agent ends; start it again instead", ExitCode.TRY_AGAIN)]
        child = self._state.children[str(name)]
        if child.state is ChildState.FAILED:
            sentence = f"{name} has failed ({child.last_exit}) and stays so; mend the cause, then `agentctl reset-worker {name}`"
            return [_refusal(asker, "worker_failed", sentence)]
        effects = child.stop("operator", now_ns, wanted=True) if child.has_process else child.start(now_ns)
        return [*effects, Respond(asker, WorkerChange(name=child.name, state=str(child.state)))]

    def _on_reset_worker(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if (problem := self._state.problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        if self._state.is_stopping:
            return [_refusal(asker, "stopping", "the agent ends; start it again instead", ExitCode.TRY_AGAIN)]
        child = self._state.children[str(name)]
        effects = child.forgive(now_ns)
        return [*effects, Respond(asker, WorkerChange(name=child.name, state=str(child.state)))]

    def _on_rotate(self, asker: Asker, arguments: Arguments, now_ns: int) -> list[Effect]:
        writer = next(iter(self._state.children_answering(ROTATE)), None)
        if writer is None or writer.state is not ChildState.UP:
            return [_refusal(asker, "worker_not_up", "the writer is not up; try again in a moment", ExitCode.TRY_AGAIN)]

        def finish(replies: Replies, at_ns: int) -> Document | Problem:
            if writer.name not in replies:
                sentence = "the writer has not sealed in time; it goes on, `agentctl status` shows the waiting segments"
                return Problem("no_answer", sentence, int(ExitCode.TRY_AGAIN))
            body = replies[writer.name].body
            if body.get("problem"):
                return Problem("not_sealed", str(body["problem"]), int(ExitCode.IO))
            return _checked_reply(RotateOutcome, body, writer.name)

        patience_ns = int(ROTATE_DEADLINE_SECONDS * S * 0.95)
        return self._questions.ask(Question(asker, ROTATE, (writer.name,), patience_ns, finish), now_ns)


def _checked_reply(kind: type[D], body: Arguments, worker: str) -> D | Problem:
    """A worker's reply as a document: it is another process, so what it says is checked."""
    try:
        return decode(kind, body, worker)
    except ProtocolError as refused:
        return Problem("bad_answer", refused.sentence, int(ExitCode.BAD_DATA))


def _refusal(asker: Asker, code: str, sentence: str, exit_code: ExitCode = ExitCode.MISUSE) -> Respond:
    return Respond(asker, None, Problem(code, sentence, int(exit_code)))
