"""The operations of the control socket, and questions to workers that take time. PURE.

Nothing waits here: an operation that needs the disk or a worker leaves an open question with a deadline behind.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from agent.model.control import DEADLINE_SECONDS, OPERATIONS, ROTATE_DEADLINE_SECONDS
from agent.model.errors import ExitCode
from agent.model.message import Ask, Reply
from agent.model.rule import GroupRule, problem_of_new_rule
from agent.model.timebase import MS, S
from supervisor.core import report
from supervisor.core.child import ChildState
from supervisor.core.effect import Asker, Effect, Persisted, Problem, Respond, Send
from supervisor.core.rule_changes import Mutation, RuleChanges
from supervisor.core.supervisor_state import SupervisorState

# `status` shows what workers say of themselves; one that does not answer in this time is shown without.
STATS_DEADLINE_NS = 300 * MS
OPEN_QUESTIONS_MAX = 256
DIAG_LIMIT_MAX = 512

Document = dict[str, Any]


class _Question(Struct):
    """An open question: who waits, which workers have not answered yet, and how the answer is made."""

    asker: Asker
    waiting: dict[int, str]
    replies: dict[str, Reply]
    deadline_ns: int
    finish: Callable[[dict[str, Reply], int], Document | Problem]


class ControlOperations:
    """Answers operations from the supervisor's state."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        self._questions: list[_Question] = []
        self._changes = RuleChanges(state.authority, state.history)
        # Higher than any number that a former supervisor of the same workers has used: answers to it may still come.
        self._last_ask = state.about.started_at_ns

    # ---- events ----------------------------------------------------------------------------------

    def on_command(self, asker: Asker, operation: str, arguments: Document, now_ns: int) -> list[Effect]:
        """Begin an operation."""
        if operation not in OPERATIONS:
            near = ", ".join(sorted(OPERATIONS))
            return [_refusal(asker, "no_such_operation", f"there is no operation {operation!r}; there are {near}")]
        handler: Callable[[Asker, Document, int], list[Effect]] = getattr(self, "_on_" + operation.replace("-", "_"))
        return handler(asker, arguments, now_ns)

    def on_reply(self, child: str, reply: Reply, now_ns: int) -> list[Effect]:
        """A worker answered an Ask."""
        for question in self._questions:
            if question.waiting.get(reply.ask) == child:
                del question.waiting[reply.ask]
                question.replies[child] = reply
                return self._finish_answered(now_ns)
        return []

    def on_child_gone(self, child: str, now_ns: int) -> list[Effect]:
        """A dead worker answers nothing more."""
        for question in self._questions:
            for ask in [ask for ask, name in question.waiting.items() if name == child]:
                del question.waiting[ask]
        return self._finish_answered(now_ns)

    def on_persisted(self, outcome: Persisted) -> list[Effect]:
        """The disk has answered for a rules document."""
        return self._changes.on_persisted(outcome)

    def on_deadline(self, now_ns: int) -> list[Effect]:
        """Answer the questions whose time is over with what is there."""
        for question in self._questions:
            if question.deadline_ns <= now_ns:
                question.waiting.clear()
        return self._finish_answered(now_ns)

    def next_deadline_ns(self) -> int | None:
        """When the first open question must be answered."""
        return min((question.deadline_ns for question in self._questions), default=None)

    # ---- operations that only look ---------------------------------------------------------------

    def _on_hello(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        about = self._state.about
        keys = ("version", "run", "host", "pid", "state_dir", "runtime_dir", "places")
        return [Respond(asker, {key: getattr(about, key) for key in keys})]

    def _on_list_workers(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        return [Respond(asker, {"workers": self._state.worker_rows(now_ns)})]

    def _on_list_pods(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        return [Respond(asker, {"complete": self._state.looked_at_host, "pods": report.pods(self._state.authority)})]

    def _on_list_rules(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        return [Respond(asker, report.rules(self._state.authority))]

    def _on_diag(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        limit = arguments.get("limit", 50)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 0 <= limit <= DIAG_LIMIT_MAX:
            return [_refusal(asker, "bad_argument", f"limit is a whole number from 0 to {DIAG_LIMIT_MAX}, not {limit!r}")]
        return [Respond(asker, self._state.diag(limit))]

    def _on_status(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        def finish(replies: dict[str, Reply], at_ns: int) -> Document:
            stats = {name: (replies[name].body if name in replies else None) for name in self._state.children}
            return self._state.status(at_ns) | {"stats": stats}

        return self._ask(asker, "stats", self._state.names_up(), STATS_DEADLINE_NS, finish, now_ns)

    def _on_worker_state(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if (problem := self._problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        child = self._state.children[str(name)]
        if child.state is not ChildState.UP:
            sentence = f"{name} is {child.state} and cannot be asked; `agentctl list-workers` shows when it is back"
            return [_refusal(asker, "worker_not_up", sentence, ExitCode.TRY_AGAIN)]
        epoch = child.epoch

        def finish(replies: dict[str, Reply], at_ns: int) -> Document | Problem:
            if child.name not in replies:
                return Problem("no_answer", f"{name} did not answer in time; try again", int(ExitCode.TRY_AGAIN))
            body = replies[child.name].body
            return {"name": child.name, "epoch": epoch} | {
                key: body[key] for key in ("revision", "digest", "rules", "pods") if key in body
            }

        return self._ask(asker, "rules", [child.name], int(DEADLINE_SECONDS * S * 0.8), finish, now_ns)

    # ---- operations that change something ----------------------------------------------------------

    def _on_add_rule(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        try:
            rule = msgspec.convert(arguments.get("rule"), GroupRule)
        except msgspec.ValidationError as refused:
            return [_refusal(asker, "bad_rule", f"this is no rule: {refused}; `agentctl add-rule --help` shows one")]
        if (problem := problem_of_new_rule(rule)) is not None:
            return [_refusal(asker, "bad_rule", f"rule {rule.name!r}: {problem}")]
        return self._changes.ask(Mutation(asker, rule.name, rule))

    def _on_remove_rule(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if not isinstance(name, str):
            return [_refusal(asker, "bad_argument", f"name is text, not {name!r}")]
        return self._changes.ask(Mutation(asker, name, None))

    def _on_restart_worker(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if (problem := self._problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        if self._state.is_stopping:
            return [_refusal(asker, "stopping", "the agent ends; start it again instead", ExitCode.TRY_AGAIN)]
        child = self._state.children[str(name)]
        if child.state is ChildState.FAILED:
            sentence = f"{name} has failed ({child.last_exit}) and stays so; mend the cause, then `agentctl reset-worker {name}`"
            return [_refusal(asker, "worker_failed", sentence)]
        effects = child.stop("operator", now_ns, wanted=True) if child.has_process else child.start(now_ns)
        return [*effects, Respond(asker, {"name": child.name, "state": str(child.state)})]

    def _on_reset_worker(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        name = arguments.get("name")
        if (problem := self._problem_of_worker(name)) is not None:
            return [Respond(asker, None, problem)]
        if self._state.is_stopping:
            return [_refusal(asker, "stopping", "the agent ends; start it again instead", ExitCode.TRY_AGAIN)]
        child = self._state.children[str(name)]
        effects = child.forgive(now_ns)
        return [*effects, Respond(asker, {"name": child.name, "state": str(child.state)})]

    def _on_rotate(self, asker: Asker, arguments: Document, now_ns: int) -> list[Effect]:
        if "writer" not in self._state.names_up():
            return [_refusal(asker, "worker_not_up", "the writer is not up; try again in a moment", ExitCode.TRY_AGAIN)]

        def finish(replies: dict[str, Reply], at_ns: int) -> Document | Problem:
            if "writer" not in replies:
                sentence = "the writer has not sealed in time; it goes on, `agentctl status` shows the waiting segments"
                return Problem("no_answer", sentence, int(ExitCode.TRY_AGAIN))
            body = replies["writer"].body
            return Problem("not_sealed", str(body["problem"]), int(ExitCode.IO)) if body.get("problem") else body

        return self._ask(asker, "rotate", ["writer"], int(ROTATE_DEADLINE_SECONDS * S * 0.95), finish, now_ns)

    # ---- parts -----------------------------------------------------------------------------------

    def _problem_of_worker(self, name: object) -> Problem | None:
        if isinstance(name, str) and name in self._state.children:
            return None
        known = ", ".join(self._state.children)
        return Problem("no_such_worker", f"there is no worker {name!r}; there are {known}", int(ExitCode.MISUSE))

    def _ask(
        self,
        asker: Asker,
        what: str,
        children: list[str],
        patience_ns: int,
        finish: Callable[[dict[str, Reply], int], Document | Problem],
        now_ns: int,
    ) -> list[Effect]:
        if len(self._questions) >= OPEN_QUESTIONS_MAX:
            return [_refusal(asker, "too_busy", f"{OPEN_QUESTIONS_MAX} questions are open; try again", ExitCode.TRY_AGAIN)]
        question = _Question(asker, {}, {}, now_ns + patience_ns, finish)
        effects: list[Effect] = []
        for child in children:
            self._last_ask += 1
            question.waiting[self._last_ask] = child
            effects.append(Send(child, self._state.children[child].epoch, Ask(self._last_ask, what)))
        self._questions.append(question)
        return effects + self._finish_answered(now_ns)

    def _finish_answered(self, now_ns: int) -> list[Effect]:
        effects: list[Effect] = []
        for question in [question for question in self._questions if not question.waiting]:
            self._questions.remove(question)
            outcome = question.finish(question.replies, now_ns)
            if isinstance(outcome, Problem):
                effects.append(Respond(question.asker, None, outcome))
            else:
                effects.append(Respond(question.asker, outcome))
        return effects


def _refusal(asker: Asker, code: str, sentence: str, exit_code: ExitCode = ExitCode.MISUSE) -> Respond:
    return Respond(asker, None, Problem(code, sentence, int(exit_code)))
