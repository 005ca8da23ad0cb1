"""The little that the worker must remember beyond the keeper's records, as a document of a few lines. PURE.

`told`: up to which start of a workload its endings are written into the tables. `held`: which start the operator has stopped, so
that neither it nor one after it is started by itself.
"""

import msgspec
from msgspec import Struct

from agent.model.errors import FormatError


class RememberedStarts(Struct):
    """Both by the names of workloads; a start is the number that the keeper's record counts (0: it has never been started)."""

    told: dict[str, int] = {}
    held: dict[str, int] = {}

    def is_told(self, name: str, incarnation: int) -> bool:
        """Whether the ending of this start is written."""
        return self.told.get(name, -1) >= incarnation

    def is_held(self, name: str, incarnation: int) -> bool:
        """Whether the operator has stopped this start, or one before it that was never followed by the operator's own."""
        return self.held.get(name, -1) >= incarnation

    def keep_only(self, names: set[str]) -> bool:
        """Forget workloads that are gone. Whether there were any."""
        gone = (self.told.keys() | self.held.keys()) - names
        for name in gone:
            self.told.pop(name, None)
            self.held.pop(name, None)
        return bool(gone)


def encode_remembered(remembered: RememberedStarts) -> bytes:
    """The document."""
    return msgspec.json.encode(remembered)


def decode_remembered(data: bytes) -> RememberedStarts:
    """*Raises:* FormatError for what is no such document."""
    try:
        return msgspec.json.decode(data, type=RememberedStarts)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise FormatError("workloads.json", str(cause)) from cause
