"""How many bytes a node sends: a beat, an update of an idle node, a hundred whole rows, a hundred rows that all change."""

import argparse
import json
import zlib
from typing import Any

import msgspec
from machine import circumstances

from agent.fleet.beat import BEAT_BYTES
from agent.fleet.live import trimmed
from agent.fleet.update import decode_update
from fleet_bench.bench_hub import show
from fleet_bench.simulated import make_chain

ABOUT = "a beat, an idle update, a hundred whole rows"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--units", type=int, default=100)


def run(options: argparse.Namespace) -> int:
    """Measure. Rows are of random numbers, which compress badly; JSON beside them has the same rows with the names of fields."""
    found = circumstances()
    busy, idle = make_chain(options.units, 1), make_chain(options.units, 1, is_idle=True)
    whole = decode_update(busy.frames[0])
    raw = msgspec.msgpack.encode([[trimmed(row) for row in whole.labels], [trimmed(row) for row in whole.uses]])
    named = json.dumps([msgspec.structs.asdict(row) for row in (*whole.labels, *whole.uses)]).encode()
    rows: list[tuple[str, Any, str]] = [
        ("beat", BEAT_BYTES, "bytes"),
        ("update of a node none of whose units changes", max(map(len, idle.frames[1:])), "bytes"),
        (f"{options.units} whole rows, raw", len(raw), "bytes"),
        (f"{options.units} whole rows, raw, zlib 6", len(zlib.compress(raw, 6)), "bytes"),
        (f"{options.units} whole rows, as they travel", len(busy.frames[0]), "bytes"),
        (f"{options.units} rows that all change, as they travel", max(map(len, busy.frames[1:])), "bytes"),
        (f"{options.units} whole rows in JSON, for comparison", len(named), "bytes"),
    ]
    show(rows, to=options.json, circumstances=found)
    return 0
