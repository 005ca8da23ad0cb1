"""One load: from a quiet tick before it to a quiet tick after it, as the kernel counted it and as it was stored."""

import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from process_bench.checkout import Checkout, wait_for_ticks
from process_bench.load import running

from closing_bench.loads import Load
from closing_bench.stored import Stored, read
from closing_bench.truth import Record, recording, unit

SETTLE_TICKS = 4
# Exit records are counted at the tick after a death, and a tick may be late.
AFTER_TICKS = 3


@dataclass(slots=True)
class Measured:
    """What is compared. `commands`: what the kernel counted for the children of each fork loop, in ns."""

    pod_uid: str
    begin_ns: int
    end_ns: int
    record: Record
    stored: Stored
    commands: dict[str, int] = field(default_factory=dict)
    started: int = 0
    churn_ns: int = 0


def measure(checkout: Checkout, program: Path, folder: Path, load: Load, seconds: float) -> Measured:
    """Run a load under an agent of its own. *Raises:* LoadError, RuntimeError."""
    pod_uid, container = str(uuid.uuid4()), uuid.uuid4().hex * 2
    commands: dict[str, int] = {}
    started = churn_ns = 0
    with unit(pod_uid, container) as (pod, inside), checkout.agent(folder) as agent, recording(pod) as record:
        wait_for_ticks(agent, SETTLE_TICKS)
        begin_ns = time.time_ns()
        with ExitStack() as stack:
            for words in load.steady:
                stack.enter_context(running(program, words, [inside]))
            loops = [
                stack.enter_context(running(program, ["churn", name, rate, least, most, seconds, kind], [inside]))
                for name, rate, least, most, kind in load.churns
            ]
            for loop in loops:
                assert loop.stdin is not None
                loop.stdin.write("\n")
                loop.stdin.flush()
            if not loops:
                time.sleep(seconds)
            for loop, churn in zip(loops, load.churns, strict=True):
                assert loop.stdout is not None
                count, used_ns, took_ns = map(int, loop.stdout.readline().split())
                commands[churn[0]], started, churn_ns = used_ns, started + count, max(churn_ns, took_ns)
            # Those that live still are seen alive once more.
            wait_for_ticks(agent, 1)
        end_ns = time.time_ns()
        wait_for_ticks(agent, AFTER_TICKS)
        stored = read(checkout, agent)
    return Measured(pod_uid, begin_ns, end_ns, record, stored, commands, started, churn_ns)
