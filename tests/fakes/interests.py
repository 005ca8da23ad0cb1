"""What a worker's loop would find of the descriptors that a work waits for."""

import select
from collections.abc import Iterable

from agent.ports import Interest


def ready_of(interests: Iterable[Interest], seconds: float) -> tuple[list[int], list[int]]:
    """The readable and the writable ones, after at most this time."""
    waiting = list(interests)
    readable = [each.descriptor for each in waiting if each.readable]
    writable = [each.descriptor for each in waiting if each.writable]
    found = select.select(readable, writable, [], seconds)
    return list(found[0]), list(found[1])
