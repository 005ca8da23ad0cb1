"""The documents of /v1/node."""

import msgspec

from workers.gateway.node.document import TickDocument


def test_what_is_not_known_is_null() -> None:
    """And never a zero."""
    tick = TickDocument(t=1, has_units=False, host=None, units=[], gone=[])
    assert msgspec.json.encode(tick) == b'{"t":1,"has_units":false,"host":null,"units":[],"gone":[]}'
