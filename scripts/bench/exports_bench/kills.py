"""Kills of an exporter and of its sink, some hundred of each: what is lost, what is doubled, how soon rows arrive again."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from harness.export_trial import CollectorSide, ExportTrial, KafkaSide, ObjectSide, PrometheusSide, SinkSide
from harness.sinks.collector import Collector
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.object_server import ObjectServer
from harness.sinks.program import SinkProgram
from harness.sinks.prometheus import Prometheus


@contextmanager
def _prometheus(folder: Path) -> Iterator[tuple[SinkProgram, SinkSide]]:
    with Prometheus(folder) as program:
        yield program, PrometheusSide(program)


@contextmanager
def _collector(folder: Path) -> Iterator[tuple[SinkProgram, SinkSide]]:
    with Collector(folder) as program:
        yield program, CollectorSide(program)


@contextmanager
def _objects(folder: Path) -> Iterator[tuple[SinkProgram, SinkSide]]:
    with ObjectServer(folder) as program:
        yield program, ObjectSide(program)


@contextmanager
def _kafka(folder: Path) -> Iterator[tuple[SinkProgram, SinkSide]]:
    with KafkaBroker(folder) as program:
        yield program, KafkaSide(program)


SINKS: dict[str, Callable[[Path], Any]] = {"prometheus": _prometheus, "collector": _collector, "object": _objects, "kafka": _kafka}


def main(words: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench/exports kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of each sink's exporter, and as many of the sink")
    parser.add_argument("--sinks", default=",".join(SINKS), help="which ones, by commas")
    parser.add_argument("--sink-kills", type=int, default=0, help="kills of each sink, if not as many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    found = {}
    for name in options.sinks.split(","):
        for victim in ("exporter", "sink"):
            kills = (options.sink_kills if victim == "sink" else 0) or options.kills
            found[f"{name}, {victim} killed"] = _trial(SINKS[name], victim, kills, Random(options.seed))
            print(f"{name:11} {victim:8} {json.dumps(found[f'{name}, {victim} killed'])}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0 if all(each["is_kept"] for each in found.values()) else 1


def _trial(sink: Callable[[Path], Any], victim: str, kills: int, chance: Random) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="eg-") as name:
        folder = Path(name)
        with sink(folder / "sink") as (program, side), ExportTrial(folder / "agent", side) as trial:
            recoveries: list[float] = []
            for _ in range(kills):
                time.sleep(chance.uniform(0.05, 1.0))
                if victim == "exporter":
                    trial.kill_exporter()
                else:
                    program.kill()
                    time.sleep(chance.uniform(0.0, 0.5))
                    program.start()
                    if side.is_prompt:
                        recoveries.append(trial.recovery_seconds())
            verdict = trial.judge()
            ledger = trial.report["ledger"]
    adds_up = ledger["produced"] == ledger["delivered"] + ledger["rejected"] + ledger["pruned"] + ledger["pending"]
    doubled_most = kills * side.doubled_max_per_kill
    return {
        "kills": kills,
        "ticks": verdict.stored,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "deliveries_repeated_most": doubled_most,
        "ledger": ledger,
        "recovery_p50_s": round(median(recoveries), 3) if recoveries else None,
        "recovery_max_s": round(max(recoveries), 3) if recoveries else None,
        "is_kept": verdict.lost == 0 and (verdict.doubled == 0 or verdict.doubled_deliveries <= doubled_most) and adds_up,
    }
