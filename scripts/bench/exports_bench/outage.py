"""A sink that was away for an hour: how soon new rows and the missed ones arrive once it is back, at which cost.

The hour is what a default agent stores beside 500 processes and 100 units, laid into the spool of an agent whose sink is away; the
wait itself is left out. Then the sink starts. Figures of the exporter's process: CPU from the scheduler, memory as PSS.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.export_trial import WORKER, CollectorSide, ExportTrial, KafkaSide, PrometheusSide, SinkSide
from harness.proc import cpu_ns, memory
from harness.sinks.collector import Collector
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.program import SinkProgram
from harness.sinks.prometheus import Prometheus
from harness.waiting import wait_until

from agent.model.timebase import MINUTE, MS, S
from agent.store.batch import StoredBatch
from agent.store.record import FORMAT_VERSION, SegmentHead, TableForm, encode_entry, encode_head
from agent.store.segment import segment_id, segment_name
from exports_bench.default_agent import DefaultAgent

SEGMENT_TICKS = 15 * MINUTE // S
INSTALL = "00000000eeeeeeee"
MUST = {"live_s": 5.0, "backlog_s": 120.0}
# The library of Kafka takes its part.
PSS_MIB = {"collector": 24.0, "prometheus": 24.0, "kafka": 30.0}


def main(words: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports outage", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60, help="how long the sink was away")
    parser.add_argument("--sinks", default="collector,prometheus,kafka", help="which ones, by commas")
    parser.add_argument("--away", type=float, default=20, help="seconds for which memory is watched before the sink is back")
    parser.add_argument("--percent", type=int, default=0, help="backlog_percent of the sink; 0: its default")
    parser.add_argument("--resolution", default="15s", help="of the kind prometheus; 15s is its default")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    found = {name: _trial(name, options) for name in options.sinks.split(",")}
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if all(each["is_kept"] for each in found.values()) else 1


def _trial(name: str, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="eg-") as folder:
        where = Path(folder)
        program: SinkProgram
        side: SinkSide
        if name == "collector":
            program = Collector(where / "sink")
            side = CollectorSide(program)
        elif name == "kafka":
            program = KafkaBroker(where / "sink")
            side = KafkaSide(program)
        else:
            program = Prometheus(where / "sink", out_of_order_window="2h")
            side = PrometheusSide(program, options.resolution)
        with program:
            # The port is known once it has started.
            trial = ExportTrial(where / "agent", side, quick=False, more=f"backlog_percent = {options.percent}\n")
            program.stop()
            rows = lay_down(trial.agent.state_dir, options.minutes)
            with trial:
                try:
                    return _measure(name, trial, program, rows, options.away)
                except (OSError, AssertionError) as failure:
                    failure.add_note(trial.agent.output[-5000:])
                    raise


def _measure(name: str, trial: ExportTrial, program: SinkProgram, rows: int, away_seconds: float) -> dict[str, Any]:
    wait_until(lambda: trial.report.get("state") == "down", "the sink is away", seconds=60)
    pid = trial.agent.workers()[WORKER]["pid"]
    away = [_pss(pid)]
    until = time.monotonic() + away_seconds
    while time.monotonic() < until:
        time.sleep(1)
        away.append(_pss(pid))
    pending = trial.report["ledger"]["pending"]
    program.start()
    begun, begun_ms, before_ns = time.monotonic(), time.time_ns() // MS, cpu_ns(pid)
    live_s, busy = None, [_pss(pid)]
    while True:
        time.sleep(0.2)
        busy.append(_pss(pid))
        report = trial.report
        stamp_s = time.time() - report.get("lag_seconds", 1e9)
        if live_s is None and trial.side.newest_ms() > begun_ms:
            live_s = time.monotonic() - begun
        if live_s is not None and report and not report["has_backlog"] and stamp_s * 1000 > begun_ms:
            break
        assert time.monotonic() < begun + 900, f"it does not catch up: {report}"
    backlog_s = time.monotonic() - begun
    found = {
        "rows_laid_down": rows,
        "rows_pending_at_the_return": pending,
        "live_s": round(live_s, 2),
        "backlog_s": round(backlog_s, 2),
        "cpu_percent": round((cpu_ns(pid) - before_ns) / S / backlog_s * 100, 1),
        "pss_away_mib": [round(min(away), 1), round(max(away), 1)],
        "pss_catching_up_mib": round(max(busy), 1),
        "ledger": trial.report["ledger"],
    }
    found["is_kept"] = live_s <= MUST["live_s"] and backlog_s <= MUST["backlog_s"] and max(*away, *busy) <= PSS_MIB[name]
    print(f"{name:11} {json.dumps(found)}", flush=True)
    return found


def _pss(pid: int) -> float:
    return memory(pid).pss_bytes / 2**20


def lay_down(state_dir: Path, minutes: int) -> int:
    """Segments of so many minutes up to now, in the spool of an agent that has not started yet; how many rows they have."""
    ticks = minutes * MINUTE // S
    source = DefaultAgent(begin_ns=time.time_ns() - (ticks + 5) * S)
    spool = state_dir / "spool"
    spool.mkdir(parents=True)
    (state_dir / "install-id").write_text(f"{INSTALL}\n")
    rows = 0
    held: list[StoredBatch] = list(source.names())
    generation = 0
    for tick in range(ticks):
        held += source.tick(tick)
        if (tick + 1) % SEGMENT_TICKS == 0 or tick == ticks - 1:
            generation += 1
            rows += _write(spool, generation, held)
            held.clear()
    return rows


def _write(spool: Path, generation: int, batches: list[StoredBatch]) -> int:
    forms: dict[str, TableForm] = {batch.table: batch.form for batch in batches}
    segment = segment_id(generation, "0000eeee")
    created = batches[0].entry.stamp_wall_ns
    head = SegmentHead(FORMAT_VERSION, segment, "bench", "run", "0", created, forms, (), generation - 1, (), INSTALL)
    frames = [encode_head(head), *(encode_entry(batch.entry, batch.rows) for batch in batches)]
    (spool / segment_name(head)).write_bytes(b"".join(frames))
    return sum(batch.entry.rows for batch in batches)
