"""Exit events of the process connector."""

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from workers.process.exits.connector_event import ConnectorExit, acknowledged, pack_listen, parse_exit


def event(what: int, *words: int) -> bytes:
    """A datagram with an event."""
    heads = pack("=IHHII", 76, 3, 0, 0, 0) + pack("=IIIIHH", 1, 1, 0, 0, 40, 0)
    return heads + pack("=IIQ", what, 0, 99) + b"".join(pack("=I", word) for word in words)


def test_the_end_of_a_process_has_its_code_and_parent() -> None:
    """The parent is the process, not the thread that made it."""
    assert parse_exit(event(0x8000_0000, 70, 70, 0x300, 17, 8, 5)) == ConnectorExit(70, 0x300, 5)


def test_a_further_thread_and_other_events_are_no_end() -> None:
    """Forks, execs and exits of threads are passed over."""
    assert parse_exit(event(0x8000_0000, 71, 70, 0, 17, 5, 5)) is None
    assert parse_exit(event(1, 70, 70, 71, 71, 0, 0)) is None
    assert parse_exit(event(0x8000_0000, 70)) is None


def test_an_acknowledgement_says_whether_the_order_was_accepted() -> None:
    """Zero, or the errno; nothing else is one."""
    assert acknowledged(event(0, 0)) == 0
    assert acknowledged(event(0, 1)) == 1
    assert acknowledged(event(2, 0)) is None
    assert acknowledged(b"short") is None


def test_the_order_for_exits_only_is_longer() -> None:
    """Kernels that do not know it see by the length that it is none of theirs."""
    assert len(pack_listen(exits_only=True)) == len(pack_listen(exits_only=False)) + 4


@given(st.binary(max_size=100))
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    """Foreign bytes are an event or none."""
    event = parse_exit(data)
    assert event is None or 0 <= event.exit_code < 1 << 32
    assert event is None or acknowledged(data) is None
