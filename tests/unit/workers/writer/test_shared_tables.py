"""The columns of a file are all that any host has, each of one type."""

from msgspec.structs import replace

from agent.store.origin_form import other_form
from agent.store.record import FORMAT_VERSION, Entry, EntryOrigin, SegmentHead, TableForm
from workers.writer.shared_tables import SharedTables

OURS = TableForm(2, ("timestamp", "a"), ("int64", "utf8"), "odd-", (False, True))
NEWER = TableForm(3, ("timestamp", "a", "b"), ("int64", "utf8", "bool"), "t-", (False, True, True))
NEWEST = TableForm(5, ("timestamp", "c"), ("int64", "float64"), "t-", (False, False))
HEAD = SegmentHead(FORMAT_VERSION, "0" * 16, "h", "r", "0", 1, {"t": OURS}, ())


def entry(table: str, form: TableForm | None) -> Entry:
    """A batch of another host with these columns."""
    other = None if form is None else other_form(form, HEAD.tables.get(table))
    return Entry("r", "hub", 1, 1, "", 5, 1, origin=EntryOrigin(table, "n", "i", "r", "w", 1, 1, other))


def shared(*entries: Entry) -> SharedTables:
    """What is known after these."""
    tables = SharedTables(HEAD)
    for each in entries:
        tables.learn(each)
    return tables


def test_a_table_that_only_this_host_has_is_not_shared() -> None:
    """Its file has its own columns alone."""
    tables = shared()
    assert (tables.form("t"), tables.foreign_columns("t")) == (None, ())
    assert isinstance(tables.columns(entry("t", OURS)), str)


def test_columns_of_newer_hosts_come_behind_those_of_here() -> None:
    """The version stays this one's: what newer versions declare is not known here."""
    tables = shared(entry("t", OURS), entry("t", NEWER), entry("t", NEWEST), entry("t", NEWER))
    assert tables.form("t") == TableForm(
        2, ("timestamp", "a", "b", "c"), ("int64", "utf8", "bool", "float64"), "odd-", (False, True, True, False)
    )
    assert tables.foreign_columns("t") == ("b", "c")
    found = tables.columns(entry("t", NEWER))
    assert isinstance(found, TableForm)
    assert (found.version, found.names) == (3, NEWER.names)


def test_a_table_of_newer_hosts_has_the_newest_version() -> None:
    """Nothing of it is declared here."""
    tables = shared(entry("u", NEWER), entry("u", NEWEST), entry("u", replace(NEWER, version=4)))
    united = tables.form("u")
    assert united is not None
    assert (united.version, united.names, united.prefix) == (5, ("timestamp", "a", "b", "c"), "u-")
    assert tables.foreign_columns("u") == ()


def test_what_has_no_place_says_why() -> None:
    """And changes nothing for the others."""
    disagrees = replace(NEWER, dtypes=("int64", "bool", "bool"))
    bad = [entry("../t", NEWER), entry("u", None), entry("t", replace(NEWER, version=0)), entry("t", disagrees)]
    tables = shared(entry("t", OURS), *bad)
    assert [type(tables.columns(each)) for each in bad] == [str] * 4
    assert tables.form("t") == OURS
