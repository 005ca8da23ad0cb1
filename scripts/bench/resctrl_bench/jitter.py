"""The begin of scans against the raster of seconds, for minutes."""

from resctrl_bench.agent import agent
from resctrl_bench.bench import Bench
from resctrl_bench.clock import watched
from resctrl_bench.emulator import emulator
from resctrl_bench.figures import Figure, Section, spread
from resctrl_bench.raster import judge

INTERVAL_NS = 1_000_000_000
MUST_MS, GOAL_MS = 5.0, 2.0
START_SECONDS = 60.0


def measure(bench: Bench) -> Section:
    """A default agent with pods that rest."""
    count, seconds = bench.options.jitter_groups, bench.options.jitter_seconds
    with (
        bench.pods([1] * count),
        emulator(bench.place, bench.new_name("jitter")) as emulated,
        watched() as clock,
        agent(bench.place, emulated.mount, bench.new_name("agent")) as running,
    ):
        running.wait_for_whole(count, seconds=START_SECONDS)
        running.wait_for_readers(count, seconds=START_SECONDS)
        running.wait_for_ticks(bench.options.settle_ticks, seconds=START_SECONDS)
        begin_ns = running.query("SELECT max(start_timestamp) AS at FROM occupancy")[0]["at"]
        bench.rest(seconds, f"jitter: {count} groups")
        rows = running.query(f"SELECT DISTINCT start_timestamp AS at FROM occupancy WHERE start_timestamp > {begin_ns}")
    raster = judge([clock.monotonic_ns(row["at"]) for row in rows], INTERVAL_NS)
    late = spread(raster.late_ms)
    return Section(
        "jitter",
        f"{len(rows)} scans of {count} groups in {seconds:.0f} s, begin against the raster of seconds",
        [
            Figure("late, p50", late["p50"], "ms"),
            Figure("late, p99", late["p99"], "ms", MUST_MS, GOAL_MS),
            Figure("late, most", late["max"], "ms"),
            Figure("scans missed", raster.missed, "", 0, 0),
            Figure("scans doubled", raster.doubled, "", 0, 0),
        ],
        {"late_ms": raster.late_ms},
        [f"begins are stored by the wall clock and judged by the monotonic one, from which it moved by {clock.drift_ms:.3f} ms"],
    )
