"""Reports: there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from workers.compactor.report import PASSED_MAX, LakeReport, PassedFile, decode_lake_report, encode_lake_report


def test_a_report_comes_back_as_it_was_written() -> None:
    """With a bounded number of names."""
    report = LakeReport(jobs=1, rows=2)
    for number in range(PASSED_MAX + 3):
        report.add_passed(PassedFile(f"f{number}", number, "damaged", is_damaged=True))
    assert (len(report.passed), report.passed_more) == (PASSED_MAX, 3)
    assert decode_lake_report(encode_lake_report(report)) == report


@given(st.binary(max_size=60))
def test_any_bytes_are_a_report_or_a_failure(data: bytes) -> None:
    """Never anything else."""
    try:
        decode_lake_report(data)
    except FormatError:
        return
    assert data.strip().startswith(b"{")


def test_two_reports_share_nothing() -> None:
    """Each has its own list."""
    LakeReport().add_passed(PassedFile("a", 1, "x"))
    assert LakeReport().passed == []
    with pytest.raises(FormatError):
        decode_lake_report(b"")
