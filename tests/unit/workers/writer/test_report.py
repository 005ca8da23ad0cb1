"""The sealer's line."""

import pytest

from agent.model.errors import FormatError
from workers.writer.report import SealedFile, SealReport, decode_report, encode_report


def test_report_is_read_back() -> None:
    """One line of JSON, the same on both sides."""
    report = SealReport("00000000456789ab", (SealedFile("process", "/x/a.parquet", 3),), 3, 1, True, 5, None)
    line = encode_report(report)
    assert decode_report(line) == report
    assert b"\n" not in line


def test_foreign_line_is_a_format_error() -> None:
    """A process that ended well but said something else is not believed."""
    for line in (b"", b"{}", b"\xff", b'{"segment": 1}'):
        with pytest.raises(FormatError):
            decode_report(line)
