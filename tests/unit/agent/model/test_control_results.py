"""Results of operations: what may be absent is null in JSON and read back so, what must be there is asked for."""

import json

import pytest

from agent.model.control.document import Document, decode, members
from agent.model.control.export import ExportAccount, ExportReport
from agent.model.control.limit import LimitList, LimitOutcome, LimitRow
from agent.model.control.reload import ChangedSettingRow, ReloadOutcome
from agent.model.control.workload import WorkloadChange, WorkloadList, WorkloadRow
from agent.model.errors import ProtocolError
from agent.model.json_text import json_bytes

ACCOUNT = ExportAccount(produced=6, delivered=3, rejected=1, rejected_by_reason={"too_old": 1}, pruned=0, pending=2)
LIMIT = LimitRow(
    name="process",
    is_changed=True,
    level=1,
    levels=6,
    step="longer_interval",
    left_out=["longer_interval"],
    breaker="closed",
    tried_in_seconds=None,
    over=["cpu"],
    cpu_percent=0.5,
    cpu_percent_minute=None,
    cpu_limit_percent=0.1,
    memory_bytes=1 << 20,
    memory_limit_bytes=None,
    descriptors=12,
    descriptor_limit=None,
    queue_bytes=0,
    queue_limit_bytes=None,
)
SETTING = ChangedSettingRow(key="process.interval", before="1s", after="2s", needed="restarted_worker", workers=["process"])
WORKLOAD = WorkloadRow(
    name="train",
    state="waiting",
    pid=None,
    started=None,
    uptime_seconds=None,
    restart="never",
    restarts=0,
    backoff_seconds=None,
    command="sleep 1",
    environment=["TOKEN"],
    labels={"team": "a"},
    user="root",
    gpus=[],
    source="file",
    has_changed=False,
    adopted=False,
    birth=None,
    cgroup=None,
    in_force={},
    cpu_seconds=None,
    memory_bytes=None,
    ended=None,
    ended_how=None,
    exit_code=None,
    signal=None,
    oom_kills=None,
    memory_peak_bytes=None,
    output=None,
    problem="its program is not there",
)


@pytest.mark.parametrize(
    "result",
    [
        ACCOUNT,
        ExportReport(sink="lake", worker="export-lake", worker_state="running", state="up", ledger=ACCOUNT, lag_seconds=0.5),
        LimitList(is_enabled=True, limits=[LIMIT]),
        LimitOutcome(changed=True, limit=LIMIT),
        ReloadOutcome(settings=[SETTING], restarted=["process"], started=[], ended=[], pending=["storage.folder"]),
        WorkloadList(is_asked=True, problem=None, workloads=[WORKLOAD]),
        WorkloadChange(name="train", state="running", pid=5, birth="5-7"),
    ],
)
def test_a_result_is_read_back_as_it_was_sent(result: Document) -> None:
    """Rows inside it too, and a null stays one."""
    assert decode(type(result), json.loads(json_bytes(result)), "test") == result


def test_a_sink_whose_worker_does_not_answer_has_its_name_alone() -> None:
    """No number is invented: what nobody said is null."""
    report = ExportReport(sink="lake")
    assert (report.worker, report.worker_state) == ("", "")
    unknown = {name: getattr(report, name) for name in ExportReport._types if name not in ("sink", "worker", "worker_state")}
    assert set(unknown.values()) == {None}


@pytest.mark.parametrize("row", [ACCOUNT, LIMIT, SETTING, WORKLOAD])
def test_a_row_without_one_of_its_fields_is_refused(row: Document) -> None:
    """None of them has a default, so that a sender cannot forget one."""
    for name in members(row):
        rest = {other: value for other, value in members(row).items() if other != name}
        with pytest.raises(ProtocolError, match=f"no {name}$"):
            decode(type(row), rest, "test")
