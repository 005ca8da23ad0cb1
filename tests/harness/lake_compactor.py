"""Compactors that a test kills: a process that has loaded everything, and forks one for each line that it gets.

    python -m harness.lake_compactor        with PYTHONPATH of the checkout and of tests

A line is an order (`CompactorOrder`); the answer is the number of the process, and a second line when it has ended: its status as
os.waitpid gives it. Nothing of Arrow and of the object library is used before the fork, only loaded.
"""

import os
import sys
from random import Random

import msgspec
import obstore  # noqa: F401  # loaded before the fork
import pyarrow.parquet  # noqa: F401  # likewise
from fakes.flaky_bucket import FlakyBucket
from msgspec import Struct
from pyarrow import compute  # noqa: F401  # likewise

from agent import failpoint
from agent.config import Config
from agent.lake.bucket import Bucket
from agent.lake.folder_bucket import FolderBucket
from agent.lake.log import LogPorts
from agent.lake.obstore_bucket import ObstoreBucket
from agent.lake.path import LEASE
from agent.lake.patient_bucket import PatientBucket
from agent.lake.setup import lake_setup
from agent.model.errors import EvergaugeError
from agent.object.access import ObjectAccess
from agent.object.place import ObjectPlace, Provider
from workers.compactor.order import LakeOrder, round_terms
from workers.compactor.round import CompactorRound
from workers.compactor.round_terms import RoundView


class CompactorOrder(Struct, frozen=True):
    """What one compactor does: rounds until nothing is to be done. `failing`: the share of its puts that fail.

    `points`: the folder of failpoints; empty: none. `takes_lease`: it works though another holds the lease.
    """

    values: dict[str, int | str | bool]
    scratch: str
    seed: int = 0
    failing: float = 0.0
    points: str = ""
    takes_lease: bool = True
    rounds: int = 20


def open_trial(values: dict[str, int | str | bool], failing: float, chance: Random) -> Bucket:
    """The bucket that settings name, of which some puts fail, with the patience that the product has."""
    setup = lake_setup(Config(values))
    assert setup is not None
    assert isinstance(setup.place, ObjectPlace)
    inner: Bucket
    if setup.place.provider is Provider.FOLDER:
        inner = FolderBucket(setup.place.bucket)
    else:
        inner = ObstoreBucket(ObjectAccess(setup.place, setup.options, setup.timeout_ns, setup.connect_timeout_ns, os.environ))
    return PatientBucket(FlakyBucket(inner, failing, chance), chance, lambda _duration_ns: None)


def compact(order: CompactorOrder) -> int:
    """Work until nothing is left; the exit code."""
    failpoint._folder = order.points or None
    bucket = open_trial(order.values, order.failing, Random(order.seed))
    terms = round_terms(LakeOrder(order.values, "trial"), order.scratch, is_at_once=True)
    try:
        for _ in range(order.rounds):
            if order.takes_lease:
                bucket.delete(LEASE)
            report = CompactorRound(bucket, f"trial {os.getpid()}", terms, RoundView(), LogPorts()).run()
            if not (report.jobs or report.deleted or report.waiting):
                return 0
    except EvergaugeError as failure:
        print(failure.sentence, file=sys.stderr)
        return int(failure.code)
    return 0


def main() -> None:
    """Fork one compactor after another."""
    for line in sys.stdin:
        order = msgspec.json.decode(line, type=CompactorOrder)
        process = os.fork()
        if process == 0:
            code = 70
            try:
                code = compact(order)
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
