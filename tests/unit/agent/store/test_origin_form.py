"""The columns of other hosts' rows: a short word beside those of the segment, and nothing that is nonsense."""

import pytest
from msgspec.structs import replace

from agent.cli.query_view import DERIVED_VIEWS
from agent.model.errors import FormatError
from agent.model.tables import VIEW_NAMES
from agent.store.origin_form import (
    COLUMNS_MAX,
    FORM_BYTES_MAX,
    columns_of,
    decode_form,
    encode_form,
    form_in,
    is_table_name,
    other_form,
    own_entry,
    why_unfit,
)
from agent.store.record import FORMAT_VERSION, Entry, EntryOrigin, OtherForm, SegmentHead, TableForm, form_of
from workers import registry

OURS = TableForm(2, ("timestamp", "a", "b"), ("int64", "utf8", "float64"), "odd-", (False, False, True))
OLDER = TableForm(1, ("timestamp", "a"), ("int64", "utf8"), "t-", (False, False))
NEWER = TableForm(3, (*OURS.names, "c"), (*OURS.dtypes, "bool"), "t-", (*OURS.nullable, True))
HEAD = SegmentHead(FORMAT_VERSION, "0" * 16, "h", "r", "0", 1, {"t": OURS}, ())


def entry(table: str, other: OtherForm | None) -> Entry:
    """A batch of another host."""
    return Entry("r", "hub", 1, 1, "", 5, 1, origin=EntryOrigin(table, "n", "i", "r", "w", 1, 1, other))


@pytest.mark.parametrize("form", [OLDER, OURS, NEWER, replace(OURS, version=9), replace(OURS, nullable=())])
def test_columns_beside_those_of_the_segment_come_back(form: TableForm) -> None:
    """Whatever differs: the number of columns, the version, what may be null. The prefix of files is that of here."""
    found = form_in(HEAD, entry("t", other_form(form, OURS)))
    assert found is not None
    assert (found.version, list(columns_of(found)), found.prefix) == (form.version, list(columns_of(form)), OURS.prefix)


def test_equal_columns_need_no_word_and_other_versions_a_short_one() -> None:
    """What is common at the beginning is not repeated."""
    assert other_form(OURS, OURS) is None
    assert other_form(OLDER, OURS) == OtherForm(1, 2)
    assert other_form(NEWER, OURS) == OtherForm(3, 3, ("c",), ("bool",), (True,))


def test_a_table_that_is_not_declared_has_all_its_columns() -> None:
    """And a prefix that follows from its name; without a word nothing is known of it."""
    found = form_in(HEAD, entry("u", other_form(OLDER, None)))
    assert found == replace(OLDER, prefix="u-")
    assert form_in(HEAD, entry("u", None)) is None
    assert form_in(HEAD, Entry("r", "w", 1, 1, "t", 5, 1)) is OURS


def test_a_batch_is_told_as_it_stood_on_its_host() -> None:
    """With its own number there, whatever the hub's is."""
    origin = EntryOrigin("t", "n", "i", "r-9", "w", 3, 41)
    stored = Entry("r", "hub", 1, 8, "", 5, 2, origin=origin)
    assert own_entry(stored, origin) == Entry("r-9", "w", 3, 41, "t", 5, 2)


def test_columns_travel_as_bytes() -> None:
    """What is no form, or too large a one, is refused."""
    assert decode_form(encode_form(NEWER)) == NEWER
    for data in (b"", b"\xc1", b"\x81\xa1a\x01", bytes(FORM_BYTES_MAX + 1)):
        with pytest.raises(FormatError):
            decode_form(data)


def test_all_tables_of_this_version_are_fit() -> None:
    """Otherwise a hub would refuse nodes of its own version."""
    assert [table.name for table in registry.tables() if why_unfit(form_of(table)) or not is_table_name(table.name)] == []


@pytest.mark.parametrize(
    ("form", "word"),
    [
        (replace(OURS, version=0), "version"),
        (replace(OURS, version=10**9), "version"),
        (TableForm(1, (), (), ""), "columns"),
        (TableForm(1, tuple(map("c{}".format, range(COLUMNS_MAX + 1))), ("int64",) * (COLUMNS_MAX + 1), ""), "columns"),
        (replace(OURS, dtypes=OURS.dtypes[1:]), "number"),
        (replace(OURS, nullable=(True,) * 4), "number"),
        (replace(OURS, names=("timestamp", "a", "a")), "one name"),
        (replace(OURS, names=("timestamp", "a", "../b")), "name"),
        (replace(OURS, names=("timestamp", "a", "host")), "name"),
        (replace(OURS, names=("timestamp", "a", "install")), "name"),
        (replace(OURS, dtypes=("int64", "utf8", "decimal")), "type"),
        (replace(OURS, names=("time", "a", "b")), "timestamp"),
        (replace(OURS, dtypes=("float64", "utf8", "utf8")), "timestamp"),
    ],
)
def test_columns_that_are_nonsense_are_refused(form: TableForm, word: str) -> None:
    """Each with what is wrong."""
    assert word in why_unfit(form)


@pytest.mark.parametrize("name", ["", "T", "../x", "a b", "a" * 41, "1a", "a@", "täble", "a\n"])
def test_names_that_no_table_can_have(name: str) -> None:
    """They would become names of folders and words of statements."""
    assert not is_table_name(name)


def test_views_of_the_query_are_no_tables() -> None:
    """The names that are kept for them are all that there are."""
    assert {view.name for view in DERIVED_VIEWS} == VIEW_NAMES
