"""A gateway whose loop turns in a thread of its own, for scrapers that are programs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fakes.gateway_host import GatewayHost


@contextmanager
def serving(host: GatewayHost) -> Iterator[None]:
    """For the length of a block; the gateway's own time stands still."""
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            host.turn(0.005)

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
