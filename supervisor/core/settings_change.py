"""What another reading of the settings has found: data that the shell makes and the core carries out. PURE."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from supervisor.core.child import Child, Policy
from supervisor.core.governance import WorkerBudget


class Needed(StrEnum):
    """What a changed setting needs to be in force. The words are shown to people."""

    NOTHING = "nothing"
    """It is in force."""
    RESTARTED_WORKER = "restarted_worker"
    """The workers that read it are restarted for it, or are started or ended by it."""
    RESTART = "restart"
    """The agent must be started again: sockets, folders and the processes of the supervisor itself depend on it."""


class ChangedSetting(Struct, frozen=True):
    """One setting that is different. `workers` are those that read it."""

    key: str
    before: str
    after: str
    needed: Needed
    workers: tuple[str, ...] = ()


class SettingsChange(Struct):
    """Everything that follows from other settings. `policies` and `budgets` are those of all workers from now on; `members` those
    of processes that samplers share; `added` are new workers, `removed` those that are not wanted any more."""

    settings: tuple[ChangedSetting, ...]
    # How long the whole agent may take to stop.
    stop_timeout_ns: int
    policies: Mapping[str, Policy]
    budgets: Mapping[str, WorkerBudget]
    members: Mapping[str, tuple[str, ...]]
    is_governed: bool
    restarted: frozenset[str] = frozenset()
    added: tuple[Child, ...] = ()
    removed: frozenset[str] = frozenset()
