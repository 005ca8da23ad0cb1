"""A stored batch says whose it is."""

from agent.store.batch import StoredBatch
from agent.store.place import BEGINNING, Place
from agent.store.record import BatchIdentity, Entry, TableForm

SEGMENT = "00000000456789ab"


def test_a_batch_is_one_of_its_sender_and_installation() -> None:
    """Whatever segment it stands in."""
    entry = Entry("run-1", "process", 3, 7, "sample", 99, 5)
    form = TableForm(1, ("a",), ("int64",), "sample-")
    first, again = (StoredBatch(place, Place(SEGMENT, 9), entry, form, "h", "i", b"") for place in (BEGINNING, Place(SEGMENT, 0)))
    assert (first.table, first.identity) == ("sample", BatchIdentity("i", "run-1", "process", 3, 7))
    assert again.identity == first.identity
