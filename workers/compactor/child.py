"""A short-lived process that does one round of compaction, so that the worker itself stays small.

    python -m workers.compactor.child FOLDER [--parent PID]

FOLDER has the order (`order.json`) and is its own to work in. It writes one line of JSON (`workers.compactor.report`). It may be
killed at any moment: what it has not committed, the next one does again.
"""

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from agent.failpoint import failpoint, name_process
from agent.lake.log import LogPorts
from agent.lake.opening import open_lake
from agent.lake.setup import lake_setup
from agent.model.errors import EvergaugeError, ExitCode, MisuseError, StorageError
from agent.prctl import die_with_parent
from agent.store.state_file import read_state_file
from workers.compactor.order import ORDER_BYTES_MAX, ORDER_FILE, decode_order, round_terms
from workers.compactor.report import LakeReport, encode_lake_report
from workers.compactor.round import CompactorRound
from workers.compactor.round_terms import RoundView

NICE = 19
# A round makes fewer objects than this, nearly all by imports and lists of names.
GARBAGE_OBJECTS = 100_000


def compact(folder: str) -> LakeReport:
    """One round, as the order in a folder says. *Raises:* EvergaugeError, OSError."""
    data = read_state_file(os.path.join(folder, ORDER_FILE), ORDER_BYTES_MAX)
    if data is None:
        raise MisuseError(folder, f"there is no {ORDER_FILE} in it")
    order = decode_order(data)
    bucket = open_lake(lake_setup(order.config), os.environ)
    return CompactorRound(bucket, order.holder, round_terms(order, folder), RoundView(), LogPorts()).run()


def _parse(words: Sequence[str]) -> tuple[str, int | None]:
    match words:
        case [folder]:
            return folder, None
        case [folder, "--parent", number] if number.isdecimal():
            return folder, int(number)
    raise MisuseError("compactor", "needs FOLDER, and --parent PID where it has one")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compact and tell; the exit code is an ExitCode, the sentence of a failure goes to standard error."""
    gc.set_threshold(GARBAGE_OBJECTS)
    name_process("compactor-child")
    try:
        folder, parent = _parse(sys.argv[1:] if arguments is None else arguments)
        if parent is not None:
            die_with_parent(parent, "compaction", "compactor")
        report = compact(folder)
    except EvergaugeError as failure:
        print(failure.sentence, file=sys.stderr)
        return failure.code
    except OSError as cause:
        problem = StorageError(cause.filename or "compaction", str(cause.strerror), "free space, or look at the disk")
        print(problem.sentence, file=sys.stderr)
        return problem.code
    failpoint("compact.before_report")
    sys.stdout.buffer.write(encode_lake_report(report) + b"\n")
    sys.stdout.buffer.flush()
    return ExitCode.DONE


def yield_to_others() -> None:
    """Run only when nobody else wants to."""
    with suppress(OSError):
        # Where even that is refused (a filter of system calls) it works at the usual priority.
        os.nice(NICE)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


if __name__ == "__main__":
    # Here and not in `main`: the priority belongs to this process, and a caller of `main` keeps its own.
    yield_to_others()
    sys.exit(main())
