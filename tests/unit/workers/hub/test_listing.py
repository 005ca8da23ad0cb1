"""Documents with a long list, in parts: as bytes, and as a message."""

import json

from agent.model.control.document import Document, plain
from agent.model.control.fleet import FleetGpuRow
from workers.hub.listing import Gathering, Listing, in_parts


class Rack(Document):
    """A document whose last field is a list."""

    name: str
    gpus: list[FleetGpuRow]


def gpu(name: str) -> FleetGpuRow:
    """A row."""
    return FleetGpuRow(device=name, name=None, vram_bytes=1, vram_used_bytes=None, busy=0.5, stuck=False)


def rack(*names: str) -> Listing:
    """The rack with these rows, and pauses between them."""
    yield None
    yield Rack(name="r-\udcff", gpus=[])
    for name in names:
        yield gpu(name)
        yield None


def test_parts_are_the_bytes_of_the_whole_document() -> None:
    """Without rows, with one and with many, of names that are no UTF-8 too."""
    for names in ((), ("a",), ("a", "b\udcfe", "c")):
        parts = list(in_parts(rack(*names)))
        document = json.loads(b"".join(parts))
        assert [each["device"].replace("\\xfe", "\udcfe") for each in document["gpus"]] == list(names)
        assert len(parts) == 3 + 2 * len(names)


def test_a_document_is_gathered_a_few_rows_at_a_time() -> None:
    """However few, it is the plain document in the end, and says how many parts it left."""
    expected = plain(Rack(name="r-\udcff", gpus=[gpu(name) for name in ("a", "b")]))
    for parts in range(1, 9):
        gathering = Gathering(7, rack("a", "b"))
        turns = 1
        while not (left := gathering.go_on(parts)):
            turns += 1
        assert (gathering.document, gathering.number) == (expected, 7)
        assert turns * parts - left == 6
