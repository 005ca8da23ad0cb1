"""What `agentctl status` says of compaction and of the container runtime."""

from agent.cli.worker_statistics import written_lines


def compaction_lines(**fields: object) -> list[str]:
    """The lines of a writer with these statistics."""
    return [text for name, text in written_lines({"writer": {"compaction": fields}}) if name == "compacted"]


def test_compacted_days_are_counted() -> None:
    """With rows and files, and the last problem where there was one."""
    counts = {"days": 3, "rows": 1200, "files": 12, "given_up": 1, "enabled": True, "last_problem": ""}
    assert compaction_lines(**counts) == ["3 days since the writer started, 1200 rows of 12 files"]
    assert compaction_lines(**{**counts, "last_problem": "no room"})[1:] == ["last problem: no room"]


def test_a_writer_that_does_not_compact_says_so() -> None:
    """And an older one says nothing."""
    assert compaction_lines(enabled=False) == ["nothing: writer.compaction is off"]
    assert compaction_lines() == []


def test_a_container_runtime_is_named_with_what_it_reports() -> None:
    """Over the wire that is connected; a host without a runtime has no line."""
    nri = {"is_connected": False, "runtime": "", "problem": "x"}
    cri = {"is_connected": True, "runtime": "containerd v2.4.2\x1b"}
    runtime = {"pods": 3, "containers": 7, "wires": {"nri": nri, "cri": cri}}
    told = [("control-plane", "containerd v2.4.2\\x1b reports 3 pods with 7 containers over CRI")]
    assert written_lines({"control-plane": {"runtime": runtime}}) == told
    both = {**runtime, "wires": {"nri": {**nri, "is_connected": True}, "cri": cri}}
    ((_, text),) = written_lines({"control-plane": {"runtime": both}})
    assert text == "the container runtime reports 3 pods with 7 containers over NRI"
    for silent in ({**runtime, "wires": {"nri": nri}}, {"wires": 7}, {"wires": {"nri": None}}, {}):
        assert written_lines({"control-plane": {"runtime": silent}}) == []


def test_a_sink_says_how_far_behind_it_is() -> None:
    """What waits and what was lost is named; a sink without either is one short line."""
    ledger = {"produced": 9, "delivered": 5, "rejected": 1, "pruned": 2, "pending": 1}
    behind = {"state": "down", "ledger": ledger, "lag_bytes": 2048, "lag_seconds": 42.0}
    shown = "sink is down, 5 rows delivered, 1 row (2.0 KiB) waiting for up to 42 s, 1 row rejected, 2 rows pruned"
    assert written_lines({"exporter/a": behind}) == [("exporter/a", shown)]
    settled = {"state": "up", "ledger": {**ledger, "rejected": 0, "pruned": 0, "pending": 0}, "lag_seconds": 0}
    assert written_lines({"exporter/a": settled}) == [("exporter/a", "sink is up, 5 rows delivered")]


def test_other_hosts_have_a_line_where_there_are_any() -> None:
    """And one more where something of theirs was refused."""

    def lines(**fields: object) -> list[str]:
        return [text for name, text in written_lines({"writer": {"foreign": fields}}) if name == "other hosts"]

    known: dict[str, object] = {"hosts": 2, "rows": 7, "batches": 1, "duplicates": 3, "refused_batches": 0, "problem": ""}
    stored = "2 hosts; 7 rows of 1 batch since the writer started, 3 duplicates"
    assert (lines(), lines(**known)) == ([], [stored])
    refused = {**known, "refused_batches": 4, "problem": "table x of node-2: no table can have this name"}
    assert lines(**refused) == [stored, "4 batches refused, last: table x of node-2: no table can have this name"]
