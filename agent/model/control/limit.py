"""Limits of workers on the control socket. PURE, light.

*Units:* in the names; a percentage is of one core.
"""

from agent.model.control.document import Document


class LimitRow(Document):
    """One worker: what it may use, what it uses, and what it leaves out.

    `cpu_percent` is of the last ten seconds, `cpu_percent_minute` of the last minute. `is_changed`: the operator has set a limit.
    `level` of `levels`: how many steps are taken; `step` is the last of them, `full` or `off`. `breaker`: closed, open, half_open.
    *Absent:* a value that cannot be measured, a limit that there is not, `tried_in_seconds` while the breaker is not open.
    """

    name: str
    is_changed: bool
    level: int
    levels: int
    step: str
    left_out: list[str]
    breaker: str
    tried_in_seconds: float | None
    over: list[str]
    cpu_percent: float | None
    cpu_percent_minute: float | None
    cpu_limit_percent: float | None
    memory_bytes: int | None
    memory_limit_bytes: int | None
    descriptors: int | None
    descriptor_limit: int | None
    queue_bytes: int | None
    queue_limit_bytes: int | None


class LimitList(Document):
    """`list-limits`. Without `is_enabled` everything is measured, and nothing is slowed."""

    is_enabled: bool
    limits: list[LimitRow]


class LimitOutcome(Document):
    """`set-limit`: whether anything changed, and what holds now."""

    changed: bool
    limit: LimitRow
