"""Keyed contents and the digest that names them."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from agent.model.rule_state import Change, RuleState

keys = st.text(max_size=4)
contents = st.binary(max_size=4)
entries = st.dictionaries(keys, contents, max_size=8)
# Few keys and few contents, so that histories meet themselves.
histories = st.lists(
    st.tuples(st.sampled_from(["rule/a", "rule/b", "pod/a"]), st.none() | st.sampled_from([b"", b"1", b"2"])), max_size=30
)


def digest_from_scratch(held: dict[str, bytes]) -> bytes:
    """What the digest is by its definition, computed without any history."""
    total = 0
    for key, content in held.items():
        name = key.encode()
        total += int.from_bytes(blake2b(len(name).to_bytes(4, "big") + name + content, digest_size=32).digest(), "big")
    return (total % (1 << 256)).to_bytes(32, "big")


@given(entries, st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order(held: dict[str, bytes], random: object) -> None:
    """Two holders agree, whichever came first."""
    shuffled = list(held.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a Random
    assert RuleState(held.items()).digest == RuleState(shuffled).digest


@given(histories)
def test_every_history_leads_to_the_digest_of_its_end(history: list[Change]) -> None:
    """After each step contents and digest are those of a plain dictionary, computed again."""
    state, model = RuleState(), dict[str, bytes]()
    for key, content in history:
        expected_change = model.get(key) != content
        if content is None:
            model.pop(key, None)
        else:
            model[key] = content
        assert state.put(key, content) is expected_change
        assert dict(state.items()) == model
        assert len(state) == len(model)
        assert state.digest == digest_from_scratch(model)


@given(entries, entries)
def test_different_contents_have_different_digests(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    """Neither moving a byte from key to content nor anything else that a machine finds makes two states look alike."""
    assert (RuleState(one.items()).digest == RuleState(other.items()).digest) == (one == other)


def test_the_border_between_key_and_content_counts() -> None:
    """`ab`+`c` is not `a`+`bc`."""
    assert RuleState([("ab", b"c")]).digest != RuleState([("a", b"bc")]).digest


def test_nothing_is_named_by_zeros() -> None:
    """An empty state has the digest zero, also after everything has gone."""
    state = RuleState([("a", b"1")])
    state.put("a", None)
    assert state.digest == bytes(32) == RuleState().digest
    assert state.get("a") is None


def test_entries_come_by_prefix_in_the_order_of_their_keys() -> None:
    """`items` filters and sorts."""
    state = RuleState([("rule/b", b"2"), ("pod/z", b"3"), ("rule/a", b"1")])
    assert list(state.items("rule/")) == [("rule/a", b"1"), ("rule/b", b"2")]
    assert [key for key, _ in state.items()] == ["pod/z", "rule/a", "rule/b"]
