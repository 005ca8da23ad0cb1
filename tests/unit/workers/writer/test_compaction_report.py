"""The line of a compactor."""

import pytest

from agent.model.errors import FormatError
from workers.writer.compaction_report import CompactReport, Outcome, decode_compact_report, encode_compact_report


@pytest.mark.parametrize("outcome", Outcome)
def test_a_report_comes_as_it_was_sent(outcome: Outcome) -> None:
    """Whatever came of the day."""
    report = CompactReport(outcome, 96, 200_000, 5_000_000, 3_000_000, "/data/x", "y", "z", "w")
    assert decode_compact_report(encode_compact_report(report)) == report


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"\xff", b'{"outcome":"else"}'])
def test_anything_else_is_refused(line: bytes) -> None:
    """A process that died half-way has said nothing."""
    with pytest.raises(FormatError):
        decode_compact_report(line)
