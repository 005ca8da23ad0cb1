"""Stored bandwidth against what the scenario declares, for each group, domain and tick."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resctrl_bench.agent import Row, agent
from resctrl_bench.bench import Bench, group_path
from resctrl_bench.emulator import emulator
from resctrl_bench.figures import Figure, Section, spread
from resctrl_bench.load import Pod

MUST_PERCENT = 0.5
START_SECONDS = 60.0
MIB = 1 << 20
# From a pod that rests to the whole bandwidth of a socket.
BYTES_LEAST, BYTES_MOST = MIB // 4, 100 << 30
TABLES = ("mbm_total_bytes_per_second", "mbm_local_bytes_per_second")


@dataclass(frozen=True, slots=True)
class Declared:
    """Bytes per second of one group in each domain, and how much of it is local."""

    total: tuple[int, int]
    local_fraction: float

    def rate(self, column: str, domain: int) -> float:
        """What a column must say of a domain."""
        total = self.total[domain]
        # The emulator keeps the local part as whole bytes per second, too.
        return total if "total" in column else total * round(self.local_fraction * 1e6) // 1_000_000


def measure(bench: Bench) -> Section:
    """A default agent over groups with traffic of very different size."""
    count, seconds = bench.options.rate_groups, bench.options.rate_seconds
    with bench.pods([1] * count) as (_pods, made):
        declared = declare(made, bench.options.seed)
        with (
            emulator(bench.place, bench.new_name("rates"), scenario=scenario(declared)) as emulated,
            agent(bench.place, emulated.mount, bench.new_name("agent")) as running,
        ):
            running.wait_for_whole(count, seconds=START_SECONDS)
            running.wait_for_readers(count, seconds=START_SECONDS)
            running.wait_for_ticks(bench.options.settle_ticks, seconds=START_SECONDS)
            bench.rest(seconds, f"rates: {count} groups")
            rows = running.query(
                f"SELECT resctrl_group, domain, {', '.join(TABLES)}, absent FROM occupancy_domain WHERE sub_domain IS NULL"
            )
    by_path = {f"{emulated.mount}/{group_path(uid)}": each for uid, each in declared.items()}
    errors, absent = compare(rows, by_path)
    found = spread(errors)
    return Section(
        "rates",
        f"{count} groups in two domains from {BYTES_LEAST / MIB:g} MiB/s to {BYTES_MOST / (1 << 30):.0f} GiB/s, {seconds:.0f} s",
        [
            Figure("rates compared", len(errors)),
            Figure("relative error, p50", found["p50"], "%"),
            Figure("relative error, p99", found["p99"], "%", MUST_PERCENT),
            Figure("relative error, most", found["max"], "%", MUST_PERCENT),
            # The first tick of a group has nothing to subtract from.
            Figure("rates absent", absent),
            Figure("rates absent beyond the first tick of each", absent - 2 * len(TABLES) * count, "", 0),
        ],
        {"error_percent": errors},
    )


def declare(made: Sequence[Pod], seed: int, *, most: int = BYTES_MOST) -> dict[str, Declared]:
    """Traffic for each pod by its uid: rates are spread evenly over the orders of magnitude."""
    generator = random.Random(seed)

    def rate() -> int:
        return int(BYTES_LEAST * (most / BYTES_LEAST) ** generator.random())

    return {pod.uid: Declared((rate(), rate()), round(generator.uniform(0.05, 1), 3)) for pod in made}


def scenario(declared: Mapping[str, Declared]) -> str:
    """The same as the emulator reads it."""
    return "".join(
        f'[[traffic]]\npath = "{group_path(uid)}"\nlocal_fraction = {each.local_fraction}\n'
        f'domains = {{"0" = {each.total[0]}, "1" = {each.total[1]}}}\n'
        for uid, each in declared.items()
    )


def compare(rows: Sequence[Row], declared: Mapping[str, Declared]) -> tuple[list[float], int]:
    """The relative error of each stored rate in percent, and how many were absent."""
    errors: list[float] = []
    absent = 0
    for row in rows:
        for column in TABLES:
            if row[column] is None:
                absent += 1
                continue
            truth = declared[row["resctrl_group"]].rate(column, row["domain"])
            errors.append(100 * abs(row[column] - truth) / truth)
    return errors, absent
