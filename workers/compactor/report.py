"""What a compaction says when it is done: one line of JSON. PURE."""

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError

PASSED_MAX = 200


class PassedFile(Struct, frozen=True):
    """A file that was not compacted and stays where it is, with its bytes, so that it is not read again while it is the same."""

    path: str
    bytes: int
    reason: str
    is_damaged: bool = False


class LakeReport(Struct):
    """What one round did. `holder`: who else compacts, and then it did nothing. `returned`: files that landed once more after they
    had been compacted. `problem`: what ended it early; empty: nothing."""

    holder: str = ""
    jobs: int = 0
    sources: int = 0
    files: int = 0
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    deleted: int = 0
    returned: int = 0
    condemned: int = 0
    pruned: int = 0
    waiting: int = 0
    passed: list[PassedFile] = []
    passed_more: int = 0
    problem: str = ""

    def add_passed(self, file: PassedFile) -> None:
        """Name it, as far as there is room."""
        if len(self.passed) < PASSED_MAX:
            self.passed.append(file)
        else:
            self.passed_more += 1


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(LakeReport)


def encode_lake_report(report: LakeReport) -> bytes:
    """The line, without its end."""
    return _ENCODER.encode(report)


def decode_lake_report(data: bytes) -> LakeReport:
    """*Raises:* FormatError."""
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise FormatError("report of a compaction", str(cause)) from cause
