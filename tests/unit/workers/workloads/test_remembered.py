"""What the worker remembers beyond the keeper's records."""

import pytest

from agent.model.errors import FormatError
from workers.workloads.remembered import RememberedStarts, decode_remembered, encode_remembered


def test_starts_are_told_and_held_up_to_a_number() -> None:
    """A later start is a new one."""
    known = RememberedStarts({"a": 2}, {"a": 0})
    assert [known.is_told("a", number) for number in (1, 2, 3)] == [True, True, False]
    assert [known.is_held("a", number) for number in (0, 1)] == [True, False]
    assert not known.is_told("b", 0)


def test_workloads_that_are_gone_are_forgotten() -> None:
    """The document stays as small as the records."""
    known = RememberedStarts({"a": 2, "b": 1}, {"c": 1})
    assert known.keep_only({"a"})
    assert not known.keep_only({"a"})
    assert known == RememberedStarts({"a": 2}, {})


def test_the_document_is_read_as_it_was_written() -> None:
    """Anything else is refused."""
    known = RememberedStarts({"a": 2}, {"b": 1})
    assert decode_remembered(encode_remembered(known)) == known
    whole = encode_remembered(known)
    for damaged in (b"", whole[:-1], b"[]", b'{"told":{"a":"x"}}', b"\xff", b"[" * 10_000):
        with pytest.raises(FormatError):
            decode_remembered(damaged)
