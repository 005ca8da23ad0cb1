"""What an exporter says of its sink, as `status` carries it and `agentctl list-exports` reads it. PURE, light.

*Units:* in the names.
"""

from agent.model.control.document import Document


class ExportAccount(Document):
    """Rows since the sink was made: `produced` is the sum of `delivered`, `rejected`, `pruned` and `pending`, always."""

    produced: int
    delivered: int
    rejected: int
    rejected_by_reason: dict[str, int]
    pruned: int
    pending: int


class ExportReport(Document):
    """One sink. `state`: up, down, paused or starting; `worker_state` is that of its worker.

    *Absent:* everything but `sink`, `worker` and `worker_state` of one whose worker does not answer or has just been started;
    `problem` while it is up. `left_out`: what found no place in what is sent though it is delivered by the account, since the sink
    was made: `rows` of which a hub gets minutes, `series` beyond the budget of remote write.
    """

    sink: str
    worker: str = ""
    worker_state: str = ""
    kind: str | None = None
    state: str | None = None
    problem: str | None = None
    ledger: ExportAccount | None = None
    lag_rows: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    has_backlog: bool | None = None
    deliveries: int | None = None
    failures: int | None = None
    sent_bytes: int | None = None
    points: int | None = None
    warnings: int | None = None
    last_warning: str | None = None
    lost_gap_rows: int | None = None
    left_out: dict[str, int] | None = None
