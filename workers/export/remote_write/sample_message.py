"""Samples as fields, which both versions of the protocol have alike but for the start time: the part that costs the most. PURE.

A request has few times and hundreds of samples of each, so the bytes of a time are made once.
"""

from collections.abc import Iterable
from struct import Struct as Layout

from agent.model.protobuf import varint, whole
from workers.export.remote_write.sample import WrittenSample

_DOUBLE = Layout("<d")
# Field 2 of a series, and field 1 of a sample: a double.
_SAMPLE, _VALUE = b"\x12", b"\x09"
_VALUE_BYTES = 9


class SampleWriter:
    """Writes the samples of one request. `has_starts`: with the start times of counters."""

    def __init__(self, *, has_starts: bool) -> None:
        self._has_starts = has_starts
        # By the times of a sample: what stands before its value, and what behind it.
        self._around: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def fields(self, samples: Iterable[WrittenSample]) -> bytes:
        """The samples of a series, none of them a histogram."""
        parts = []
        for at_ms, created_ms, value in samples:
            around = self._around.get((at_ms, created_ms))
            if around is None:
                around = self._around[at_ms, created_ms] = self._made(at_ms, created_ms)
            parts.append(around[0] + _DOUBLE.pack(value) + around[1])
        return b"".join(parts)

    def _made(self, at_ms: int, created_ms: int) -> tuple[bytes, bytes]:
        behind = whole(2, at_ms) + (whole(3, created_ms) if self._has_starts else b"")
        return _SAMPLE + varint(_VALUE_BYTES + len(behind)) + _VALUE, behind
