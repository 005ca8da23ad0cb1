"""What became of settings that were read again, on the control socket. PURE, light."""

from agent.model.control.document import Document


class ChangedSettingRow(Document):
    """One setting that is different. `needed`: nothing, restarted_worker or restart (of the agent). `workers` read it."""

    key: str
    before: str
    after: str
    needed: str
    workers: list[str]


class ReloadOutcome(Document):
    """`reload`: what is different, which workers were restarted, started and ended, and what waits for a start of the agent."""

    settings: list[ChangedSettingRow]
    restarted: list[str]
    started: list[str]
    ended: list[str]
    pending: list[str]
