"""The section of a sink, and what its kind says where it declares nothing."""

import pytest

from agent.setting import Text, Whole
from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues

BATCH = Whole("batch", 5, 1, 10, "rows at once")
PATH = Text("path", "/default", "where to")


def unopened(context: SinkContext) -> Sink:
    """A section is checked without opening anything."""
    raise AssertionError(context)


def test_a_setting_of_a_section_is_what_is_set_or_its_default() -> None:
    """Also where what is set is nothing."""
    assert SinkValues("s", "k", {"batch": 7}).of(BATCH) == 7
    assert SinkValues("s", "k", {"batch": 7}).of(PATH) == "/default"
    assert SinkValues("s", "k", {"path": ""}).of(PATH) == ""


def test_a_value_of_another_type_is_a_bug_that_names_its_setting() -> None:
    """The settings file was checked before."""
    with pytest.raises(AssertionError, match="batch"):
        SinkValues("s", "k", {"batch": "7"}).of(BATCH)


def test_a_kind_takes_every_table_and_every_section_unless_it_says_otherwise() -> None:
    """The newest comes first, in batches."""
    kind = SinkKind("k", "a kind", (BATCH, PATH), (PATH,), unopened)
    assert (kind.tables, kind.context_tables, kind.is_ordered, kind.by_segment) == ((), (), False, False)
    assert kind.check(SinkValues("s", "k", {})) == ""
    assert kind.check(SinkValues("s", "k", {"path": "x", "batch": 0})) == ""
