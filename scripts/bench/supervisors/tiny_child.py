"""The entry of evergauge's workers when they are to be the tiny child. Light, and imported once by the fork server."""

import os
from collections.abc import Callable

from agent.launch import decode_launch

CHILD = os.environ.get("BENCH_CHILD", "")


def become_child(take_order: Callable[[], bytes], _page: int, _words: int) -> None:
    """Nothing of a worker, only the child: what other supervisors start. An empty order says that nobody needs it."""
    order = take_order()
    if not order:
        os._exit(0)
    os.execv(CHILD, [CHILD, decode_launch(order).identity.worker])
