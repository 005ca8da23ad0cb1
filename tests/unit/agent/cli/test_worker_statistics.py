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
