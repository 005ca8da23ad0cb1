"""Settings that are read again while the agent runs: who asked, what follows, what is answered. PURE.

The shell reads the file in a thread. What it finds is carried out as a whole or, where the file is refused, not at all: the agent
goes on with the settings that it has, and says why.
"""

from typing import assert_never

from msgspec import Struct

from agent.model.control.reload import ChangedSettingRow, ReloadOutcome
from agent.model.errors import ExitCode
from supervisor.core.child import Child, ChildState
from supervisor.core.effect import ApplySettings, Asker, Effect, Log, Problem, ReadSettings, Respond, SettingsRead
from supervisor.core.governance import Governance
from supervisor.core.settings_change import Needed, SettingsChange
from supervisor.core.supervisor_state import SupervisorState

# The condition that holds while the file on the disk would be refused at the next start.
CONDITION = "reload_refused"
_REASON = "its settings changed"


class _Reading(Struct):
    """One reading of the file, and who waits for what comes of it. *Absent:* no asker where a signal asked."""

    token: int
    askers: list[Asker]


class Reload:
    """One reading after the other."""

    def __init__(self, state: SupervisorState, governance: Governance) -> None:
        self._state = state
        self._governance = governance
        self._reading: _Reading | None = None
        self._token = 0
        # Workers that are not wanted any more, until their processes have ended.
        self._leaving: set[str] = set()

    def ask(self, asker: Asker | None, now_ns: int) -> list[Effect]:
        """Begin to read; one that asks while a reading is under way gets an answer of its own to try again."""
        refused = "the agent ends" if self._state.is_stopping else ""
        if self._reading is not None or self._leaving:
            refused = "the settings are being read already, or workers still end because of the last time"
        if refused:
            problem = Problem("too_busy", f"{refused}; try again", int(ExitCode.TRY_AGAIN))
            return [Log("reload_skipped", "info", {"reason": refused})] if asker is None else [Respond(asker, None, problem)]
        self._token += 1
        self._reading = _Reading(self._token, [] if asker is None else [asker])
        return [ReadSettings(self._token)]

    def on_read(self, event: SettingsRead, now_ns: int) -> list[Effect]:
        """The file was read, or refused."""
        reading = self._reading
        if reading is None or reading.token != event.token:
            return []
        self._reading = None
        if event.change is None or self._state.is_stopping:
            return self._refuse(reading, event.problem or "the agent ends", now_ns)
        change = event.change
        outcome = _outcome(change)
        noted: list[Effect] = [
            Log("setting_changed", "info", {"key": each.key, "before": each.before, "after": each.after, "needs": each.needed})
            for each in change.settings
        ]
        if (ended := self._state.history.end_own(CONDITION, now_ns)) is not None:
            noted.append(ended.log())
        fields = {"changed": len(change.settings), "restarted": ", ".join(outcome.restarted), "needs_restart": len(outcome.pending)}
        noted.append(Log("settings_reloaded", "info", fields))
        effects = [ApplySettings(event.token), *noted, *self._carry_out(change, now_ns)]
        return [*effects, *(Respond(asker, outcome) for asker in reading.askers)]

    def on_gone(self, name: str, now_ns: int) -> list[Effect]:
        """A worker's process has ended: one that is not wanted any more is forgotten."""
        child = self._state.children.get(name)
        if name in self._leaving and child is not None and not child.has_process:
            return self._forget(name, now_ns)
        return []

    # ---- parts -----------------------------------------------------------------------------------

    def _refuse(self, reading: _Reading, problem: str, now_ns: int) -> list[Effect]:
        sentence = f"{problem}; the settings in force stay"
        begun = self._state.history.begin_own(CONDITION, sentence, now_ns)
        refused = Problem("settings_refused", sentence, int(ExitCode.CONFIG))
        told: list[Effect] = [] if begun is None else [begun.log()]
        told.append(Log("settings_refused", "error", {"problem": problem}))
        return [*told, *(Respond(asker, None, refused) for asker in reading.askers)]

    def _carry_out(self, change: SettingsChange, now_ns: int) -> list[Effect]:
        state, effects = self._state, list[Effect]()
        for child in change.added:
            state.add_child(child)
        for name, child in state.children.items():
            if (policy := change.policies.get(name)) is not None:
                child.set_policy(policy)
            child.members = change.members.get(name, ())
        self._governance.is_enabled = change.is_governed
        effects += self._governance.replace_budgets(change.budgets, state.children, now_ns)
        for child in change.added:
            effects += child.start(now_ns)
        for name in sorted(change.restarted):
            effects += _restart(state.children[name], now_ns)
        for name in sorted(change.removed):
            effects += self._end(state.children[name], now_ns)
        return effects

    def _end(self, child: Child, now_ns: int) -> list[Effect]:
        effects = child.stop("it is switched off", now_ns, wanted=False)
        if child.has_process:
            self._leaving.add(child.name)
            return effects
        return [*effects, *self._forget(child.name, now_ns)]

    def _forget(self, name: str, now_ns: int) -> list[Effect]:
        self._leaving.discard(name)
        self._state.remove_child(name)
        return self._governance.forget(name, now_ns)


def _restart(child: Child, now_ns: int) -> list[Effect]:
    """With the new settings; one that sleeps may have something to do by them."""
    match child.state:
        case ChildState.STARTING | ChildState.UP | ChildState.STOPPING:
            return child.stop(_REASON, now_ns, wanted=True)
        case ChildState.BACKOFF | ChildState.FAILED:
            # What ended it may be what was changed.
            return child.forgive(now_ns)
        case ChildState.ASLEEP | ChildState.DOWN:
            return child.start(now_ns)
        case _:
            assert_never(child.state)


def _outcome(change: SettingsChange) -> ReloadOutcome:
    rows = [
        ChangedSettingRow(key=each.key, before=each.before, after=each.after, needed=str(each.needed), workers=list(each.workers))
        for each in change.settings
    ]
    pending = [row.key for row in rows if row.needed == Needed.RESTART]
    added = sorted(child.name for child in change.added)
    return ReloadOutcome(
        settings=rows, restarted=sorted(change.restarted), started=added, ended=sorted(change.removed), pending=pending
    )
