"""Room that is asked for before it is taken."""

import pytest

from agent.cli.memory_limit import held_to
from agent.setting import MIB
from agent.store.memory_room import need_room


def test_room_is_asked_for_before_it_is_taken() -> None:
    """Within the limit there is room, beyond it a MemoryError; without a limit there is always room."""
    need_room(1 << 60)
    with held_to(128 * MIB):
        need_room(64 * MIB)
        with pytest.raises(MemoryError, match="no room for 268435456 bytes more"):
            need_room(256 * MIB)
