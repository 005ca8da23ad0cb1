"""The durable document of rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import FormatError
from agent.model.rule import RULES_MAX, Action, GroupRule, Match
from supervisor.core.rulebook import Rulebook, decode_rulebook, encode_rulebook

names = st.text("abcdefghijklmnop-.", min_size=1, max_size=20)
rules = st.builds(
    GroupRule,
    name=names,
    priority=st.integers(-1_000_000, 1_000_000),
    match=st.builds(Match, namespace=names, pod=names, labels=st.dictionaries(names, names, max_size=3)),
    action=st.one_of(st.builds(Action), st.builds(Action, kind=st.just("shared"), group=names)),
)


@given(st.integers(0, 2**40), st.lists(rules, max_size=5, unique_by=lambda rule: rule.name))
def test_a_document_reads_back_as_it_was_written(revision: int, some: list[GroupRule]) -> None:
    """Round trip, in the order of the names."""
    book = Rulebook(revision, tuple(sorted(some, key=lambda rule: rule.name)))
    assert decode_rulebook(encode_rulebook(book)) == book


def test_no_prefix_of_a_document_is_taken_for_a_shorter_one() -> None:
    """A torn file is damage, whatever is left of it (all but the closing newline)."""
    document = encode_rulebook(Rulebook(3, (GroupRule("a"), GroupRule("b"))))
    for length in range(len(document) - 1):
        with pytest.raises(FormatError):
            decode_rulebook(document[:length])


def test_every_altered_byte_is_noticed_or_changes_nothing() -> None:
    """One flipped bit gives an error, or (in white space and the revision) a document with the same rules."""
    book = Rulebook(3, (GroupRule("a", priority=5),))
    document = encode_rulebook(book)
    for position in range(len(document)):
        altered = bytearray(document)
        altered[position] ^= 1
        try:
            assert decode_rulebook(bytes(altered)).rules == book.rules
        except FormatError:
            continue


def test_a_document_with_rules_that_no_agent_makes_is_refused() -> None:
    """Too many of them, or one with a problem, although its checksum holds."""
    many = Rulebook(1, tuple(GroupRule(f"r{number:05}") for number in range(RULES_MAX + 1)))
    with pytest.raises(FormatError, match=f"{RULES_MAX + 1} rules are more than {RULES_MAX}"):
        decode_rulebook(encode_rulebook(many))
    with pytest.raises(FormatError, match="rule 'a/b': a rule's name holds no slash"):
        decode_rulebook(encode_rulebook(Rulebook(1, (GroupRule("a/b"),))))
