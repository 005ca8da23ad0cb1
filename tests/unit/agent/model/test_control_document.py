"""Typed documents: made, compared, changed, and decoded strictly from JSON of somebody else."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.control.document import Document, decode, members, narrowed, plain, replaced
from agent.model.errors import ProtocolError
from agent.model.json_text import json_bytes


class Part(Document):
    """An inner document."""

    name: str


class Whole(Document):
    """Every kind of field."""

    count: int
    share: float | None
    is_on: bool
    parts: list[Part]
    by_name: dict[str, int]
    anything: dict[str, object]
    note: str = "none"


class Wider(Whole):
    """One more field."""

    more: int


WHOLE = Whole(count=1, share=0.5, is_on=True, parts=[Part(name="a")], by_name={"x": 1}, anything={"y": [None]})
JSON = {"count": 1, "share": 0.5, "is_on": True, "parts": [{"name": "a"}], "by_name": {"x": 1}, "anything": {"y": [None]}}


def test_a_document_is_its_json_and_back() -> None:
    """In the order of the declaration, whatever the order of the call."""
    turned = Whole(**dict(reversed(list(members(WHOLE).items()))))  # type: ignore[arg-type]
    assert json_bytes(turned) == json_bytes(WHOLE) == json_bytes(JSON)
    assert decode(Whole, json.loads(json_bytes(WHOLE)), "test") == WHOLE
    assert plain(WHOLE) == JSON


def test_a_field_with_a_default_may_be_left_out() -> None:
    """It reads as its default, and the JSON does not have it."""
    assert WHOLE.note == "none"
    assert "note" not in plain(WHOLE)


def test_a_document_does_not_change() -> None:
    """A change is another document."""
    with pytest.raises(AttributeError, match="Whole does not change"):
        WHOLE.count = 2  # type: ignore[misc]
    changed = replaced(WHOLE, count=2)
    assert (changed.count, WHOLE.count) == (2, 1)
    assert changed != WHOLE


def test_documents_of_two_classes_are_not_equal() -> None:
    """Although they have the same fields."""

    class Other(Document):
        name: str

    assert Part(name="a") != Other(name="a")
    assert repr(Part(name="a")) == "Part(name='a')"


def test_a_document_is_narrowed_to_its_base() -> None:
    """The fields of the base and no others."""
    assert narrowed(Whole, Wider(**members(WHOLE), more=3)) == WHOLE  # type: ignore[arg-type]


@pytest.mark.parametrize("fields", [{}, {"name": "a", "nme": "b"}])
def test_a_missing_or_unknown_field_is_a_bug(fields: dict[str, object]) -> None:
    """Before it is sent."""
    with pytest.raises(AssertionError, match="Part"):
        Part(**fields)  # type: ignore[arg-type]


def test_what_is_not_declared_is_left_out() -> None:
    """A newer agent may tell more."""
    assert decode(Part, {"name": "a", "age": 1}, "test") == Part(name="a")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"count": "1"}, "no whole number at count"),
        ({"count": True}, "no whole number at count"),
        ({"count": 1.5}, "no whole number at count"),
        ({"count": None}, "no whole number at count"),
        ({"share": "x"}, "no number at share"),
        ({"is_on": 1}, "no true or false at is_on"),
        ({"parts": {}}, "no list at parts"),
        ({"parts": [1]}, r"no object at parts\[0\]"),
        ({"parts": [{"name": "a"}, {}]}, r"no parts\[1\].name"),
        ({"by_name": []}, "no object at by_name"),
        ({"by_name": {"x": "1"}}, "no whole number at by_name.x"),
    ],
)
def test_another_type_is_refused_with_its_place(change: dict[str, object], problem: str) -> None:
    """The sentence names the field."""
    with pytest.raises(ProtocolError, match=f"^test: the answer has {problem}; use one version$"):
        decode(Whole, {**JSON, **change}, "test", "use one version")


@pytest.mark.parametrize("value", [None, [], 1, "x"])
def test_what_is_no_object_is_no_document(value: object) -> None:
    """The outermost one has no place to name."""
    with pytest.raises(ProtocolError, match=r"^test: the answer has no object$"):
        decode(Part, value, "test")


def test_a_whole_number_is_a_number_and_null_may_be_absent() -> None:
    """JSON makes no difference between 1 and 1.0."""
    assert decode(Whole, {**JSON, "share": 1}, "test").share == 1
    assert decode(Whole, {**JSON, "share": None}, "test").share is None


def test_members_are_of_documents_only() -> None:
    """Encoders hear of everything else that it is not in JSON."""
    with pytest.raises(TypeError, match="object is not in JSON"):
        members(object())


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(JSON)), JSON_VALUES))
def test_foreign_json_is_a_document_or_a_sentence(changes: dict[str, object]) -> None:
    """Nothing but a failure of ours is raised."""
    with suppress(ProtocolError):
        assert plain(decode(Whole, {**JSON, **changes}, "test")).keys() == JSON.keys()
