"""The thread that waits: its end can be asked for at any moment, by those who wait for its descriptor and by those who do not."""

from contextlib import ExitStack
from functools import partial

from workers.export.carrier import Carrier

JOBS = 2_000


def test_the_end_of_a_job_can_be_asked_for_while_it_ends() -> None:
    """Somebody who asks all the time asks in the moment between the end and its word, too, and gets nothing or the end."""
    carrier: Carrier[int] = Carrier()
    with ExitStack() as stack:
        stack.callback(carrier.close, 10.0)
        for number in range(JOBS):
            carrier.start(partial(int, number))
            while (carried := carrier.take()) is None:
                pass
            assert (carried.result, carrier.is_busy) == (number, False)
