"""The document of limits that the operator has set."""

import pytest

from agent.model.errors import FormatError
from agent.model.limit import Resource
from supervisor.core.limit_book import decode_limits, encode_limits

LIMITS = {"writer": {Resource.MEMORY: 5}, "sampler/process": {Resource.QUEUE: 1, Resource.CPU: 0}}


def test_what_is_written_is_read() -> None:
    """Workers and limits in order, so that the same limits are the same bytes."""
    document = encode_limits(LIMITS)
    assert decode_limits(document) == LIMITS
    assert encode_limits({name: dict(reversed(each.items())) for name, each in reversed(LIMITS.items())}) == document


@pytest.mark.parametrize("document", [
    b"", b"{}", b"[]", b"\xff", b'{"format": 2, "limits": {}}', b'{"format": 1, "limits": {"a": {"speed": 1}}}',
    b'{"format": 1, "limits": {"a": {"cpu": -1}}}', b'{"format": 1, "limits": {"a": {"cpu": "1%"}}}',
    b'{"format": 1, "limits": {}, "more": 1}', b'{"format": 1, "limits": {"a": {"cpu": 9223372036854775808}}}',
    b"[" * 100_000,
])  # fmt: skip
def test_a_damaged_document_is_refused(document: bytes) -> None:
    """With a sentence, whatever is wrong with it."""
    with pytest.raises(FormatError):
        decode_limits(document)


def test_every_prefix_is_refused() -> None:
    """A torn write is never a shorter document."""
    document = encode_limits(LIMITS)
    for length in range(len(document) - 2):
        with pytest.raises(FormatError):
            decode_limits(document[:length])


def test_too_many_workers_are_refused() -> None:
    """The document is the agent's own, and small."""
    with pytest.raises(FormatError):
        decode_limits(encode_limits({f"w{number}": {} for number in range(2000)}))
