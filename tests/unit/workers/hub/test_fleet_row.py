"""Rows of nodes and units: their numbers and units, and that what is not known is neither zero nor left out."""

import pytest
from fakes.hub_story import install_id, labelled
from hypothesis import given
from hypothesis import strategies as st

from agent.fleet.live import GpuRow, NodeLabel, NodeUse, UnitLabel, UnitUse
from agent.fleet.update import LiveState
from agent.model.control.document import plain
from agent.model.control.fleet import FleetUnitRow
from agent.model.timebase import MS, S
from workers.hub.fleet_node import BeatCounts, FleetNode, NodePhase, NodeRun
from workers.hub.fleet_row import load_state, node_row, scaled, seconds, share, unit_row

# 14 November 2023, 22:13:20.
WALL_NS = 1_700_000_000 * S
NOW_NS = 1000 * S
FREE = (0, 0)

# Of each number of a node: the field of what it said, that of the row, and what becomes of 0, of 1 and of 2000.
NODE_NUMBERS = [
    ("cpu", "cpu_cores", (0.0, 0.001, 2.0)),
    ("memory_available_kib", "memory_available_bytes", (0, 1024, 2_048_000)),
    ("pressure_cpu", "pressure_cpu", (0.0, 0.001, 2.0)),
    ("pressure_memory", "pressure_memory", (0.0, 0.001, 2.0)),
    ("pressure_io", "pressure_io", (0.0, 0.001, 2.0)),
    ("disk_kib_s", "disk_bytes_per_second", (0, 1024, 2_048_000)),
    ("network_kib_s", "network_bytes_per_second", (0, 1024, 2_048_000)),
]
UNIT_NUMBERS = [
    ("cpu", "cpu_cores", (0.0, 0.001, 2.0)),
    ("memory_kib", "memory_bytes", (0, 1024, 2_048_000)),
    ("pressure_cpu", "pressure_cpu", (0.0, 0.001, 2.0)),
    ("pressure_memory", "pressure_memory", (0.0, 0.001, 2.0)),
    ("pressure_io", "pressure_io", (0.0, 0.001, 2.0)),
    ("throttled", "throttled", (0.0, 0.001, 2.0)),
    ("io_kib_s", "io_bytes_per_second", (0, 1024, 2_048_000)),
    ("cache_kib", "cache_bytes", (0, 1024, 2_048_000)),
    ("bandwidth_kib_s", "memory_bandwidth_bytes_per_second", (0, 1024, 2_048_000)),
    ("gpu_busy", "gpu_busy", (0.0, 0.001, 2.0)),
    ("vram_mib", "vram_bytes", (0, 1_048_576, 2_097_152_000)),
    ("vram_free_mib", "vram_free_bytes", (0, 1_048_576, 2_097_152_000)),
    ("waiting", "waiting", (0, 1, 2000)),
    ("running", "running", (0, 1, 2000)),
    ("kv_cache", "kv_cache", (0.0, 0.001, 2.0)),
]


def node(*labels: UnitLabel, label: NodeLabel | None = None, use: NodeUse | None = None) -> FleetNode:
    """A node on which these units run."""
    made = FleetNode(install_id(1), "node-1", NodePhase.FRESH, WALL_NS, updated_ns=NOW_NS)
    made.state = LiveState(node_label=label, node_use=use, labels={each.key: each for each in labels})
    return made


def row_of(label: UnitLabel, use: UnitUse, held: tuple[int, int] = FREE) -> FleetUnitRow:
    """A unit's row."""
    return unit_row(node(label), label, use, held, NOW_NS)


# ---- nodes ----


def test_of_a_node_that_never_reported_only_who_it_is_is_known() -> None:
    """No number of it is zero; what is counted at the hub is."""
    row = plain(node_row(FleetNode(install_id(1), "node-1", NodePhase.NEVER_SEEN, WALL_NS), NOW_NS))
    assert {name: value for name, value in row.items() if value is not None} == {
        "node": "0000000000000001",
        "host": "node-1",
        "state": "never_seen",
        "since": "2023-11-14T22:13:20.000Z",
        "conditions": [],
        "received": 0,
        "lost": 0,
        "doubled": 0,
        "late": 0,
        "refused": 0,
    }


def test_a_node_is_shown_with_its_numbers_and_units() -> None:
    """Cores, bytes, shares, seconds, and what the hub has counted."""
    said = NodeUse(2500, 512, 10, 20, 30, 3, 4, (GpuRow("GPU-1", None, None, None, None),) * 2, ("worker: kind: why",))
    made = node(label=NodeLabel("elsewhere", "9.9", 8, 2048, 0), use=said)
    made.phase, made.phase_since_wall_ns, made.seen_wall_ns = NodePhase.LATE, WALL_NS + 250 * MS, WALL_NS + 60 * S
    made.life = NodeRun("00000000000000aa", "boot-1", "node-1", "1.2")
    made.last_beat_ns, made.as_of_ns, made.offset_us = NOW_NS - 3_456_000_000, NOW_NS - 1_234_000_000, -1_234_567
    made.counts = BeatCounts(received=11, lost=12, doubled=13, late=14, refused=15)
    made.problem = "two have one identity"
    assert plain(node_row(made, NOW_NS)) == {
        "node": "0000000000000001",
        "host": "node-1",
        "state": "late",
        "since": "2023-11-14T22:13:20.250Z",
        "silent_seconds": 3.46,
        "age_seconds": 1.23,
        "last_seen": "2023-11-14T22:14:20.000Z",
        "agent_version": "1.2",
        "run": "00000000000000aa",
        "cpus": 8,
        "cpu_cores": 2.5,
        "memory_bytes": 2_097_152,
        "memory_available_bytes": 524_288,
        "pressure_cpu": 0.01,
        "pressure_memory": 0.02,
        "pressure_io": 0.03,
        "disk_bytes_per_second": 3072,
        "network_bytes_per_second": 4096,
        "gpus": 2,
        "units": 0,
        "workers": 0,
        "conditions": ["worker: kind: why"],
        "clock_offset_seconds": -1.235,
        "received": 11,
        "lost": 12,
        "doubled": 13,
        "late": 14,
        "refused": 15,
        "problem": "two have one identity",
    }


@pytest.mark.parametrize(("said", "shown", "becomes"), NODE_NUMBERS)
def test_each_number_of_a_node_is_shown_alone(said: str, shown: str, becomes: tuple[float, ...]) -> None:
    """In its unit; a zero that was said is a zero, and every other number stays unknown."""
    unknown = plain(node_row(node(use=NodeUse()), NOW_NS))
    assert unknown[shown] is None
    for value, expected in zip((0, 1, 2000), becomes, strict=True):
        assert plain(node_row(node(use=NodeUse(**{said: value})), NOW_NS)) == {**unknown, shown: expected}  # type: ignore[arg-type]


def test_what_a_node_is_may_be_known_in_part() -> None:
    """A kernel that does not say how much memory there is makes it neither zero nor hides the rest."""
    row = node_row(node(label=NodeLabel("node-1", "1.0", None, None, None)), NOW_NS)
    assert (row.cpus, row.memory_bytes, row.cpu_cores, row.memory_available_bytes) == (None, None, None, None)
    row = node_row(node(label=NodeLabel("node-1", "1.0", 0, 0, 0)), NOW_NS)
    assert (row.cpus, row.memory_bytes) == (0, 0)


def test_a_beat_of_this_moment_and_a_clock_that_is_right_are_zeros() -> None:
    """Not unknown."""
    made = node()
    made.last_beat_ns = made.as_of_ns = NOW_NS
    made.offset_us = 0
    row = node_row(made, NOW_NS)
    assert (row.silent_seconds, row.age_seconds, row.clock_offset_seconds) == (0.0, 0.0, 0.0)


def test_units_and_those_among_them_that_are_workers_are_counted() -> None:
    """A worker serves a model by any name, or is a workload."""
    row = node_row(
        node(
            labelled(1, kind="service"),
            labelled(2, kind="pod", model="m"),
            labelled(3, kind="pod", served_model="s"),
            labelled(4),
        ),
        NOW_NS,
    )
    assert (row.units, row.workers) == (4, 3)


# ---- units ----


def test_of_a_unit_that_said_nothing_no_number_is_known() -> None:
    """Its load is unknown, which is not idle; nobody is named as the source of what is not there."""
    row = plain(row_of(labelled(1, kind="pod"), UnitUse(1)))
    assert {name: value for name, value in row.items() if value is not None} == {
        "node": "0000000000000001",
        "host": "node-1",
        "unit": "/unit-1",
        "kind": "pod",
        "name": "unit-1",
        "lora": [],
        "state": "unknown",
        "reserved": 0,
        "sources": {},
    }


def test_a_unit_is_shown_with_who_it_is() -> None:
    """Its names, when it started by its node's word, its limit in bytes, and how old its numbers are."""
    label = UnitLabel(
        1, "uid-1", "pod", "llama-0", "serving", "org/llama", "llama", ("a", "b"), "vllm", "engine_api", 1_700_000_000_250, 3
    )
    made = node(label)
    made.as_of_ns = NOW_NS - 2_500 * MS
    row = unit_row(made, label, UnitUse(1), FREE, NOW_NS)
    assert (row.node, row.host, row.unit, row.kind, row.name) == (install_id(1), "node-1", "uid-1", "pod", "llama-0")
    assert (row.namespace, row.model, row.served_model, row.lora) == ("serving", "org/llama", "llama", ["a", "b"])
    assert (row.engine, row.model_source, row.memory_limit_bytes) == ("vllm", "engine_api", 3072)
    assert (row.started, row.age_seconds) == ("2023-11-14T22:13:20.250Z", 2.5)
    at_epoch = row_of(labelled(1, started_ms=0, memory_limit_kib=0), UnitUse(1))
    assert (at_epoch.started, at_epoch.memory_limit_bytes) == ("1970-01-01T00:00:00.000Z", 0)


@pytest.mark.parametrize(("said", "shown", "becomes"), UNIT_NUMBERS)
def test_each_number_of_a_unit_is_shown_alone(said: str, shown: str, becomes: tuple[float, ...]) -> None:
    """In its unit; a zero that was said is a zero, and every other number stays unknown."""
    label = labelled(1)
    derived = {"state", "sources"}
    unknown = plain(row_of(label, UnitUse(1)))
    assert unknown[shown] is None
    for value, expected in zip((0, 1, 2000), becomes, strict=True):
        row = plain(row_of(label, UnitUse(1, **{said: value})))
        assert {name: row[name] for name in row.keys() - derived} == {
            **{name: unknown[name] for name in unknown.keys() - derived},
            shown: expected,
        }


@pytest.mark.parametrize(
    ("free_mib", "held", "shown", "reserved"),
    [
        (10, (0, 0), 10 << 20, 0),
        (10, (2, 3), 7 << 20, 2),
        (10, (1, 10), 0, 1),
        # What was promised may be more than there is by now.
        (10, (3, 11), 0, 3),
        (0, (1, 0), 0, 1),
        (None, (1, 4), None, 1),
    ],
)
def test_what_others_hold_is_taken_off_the_free_memory(
    free_mib: int | None, held: tuple[int, int], shown: int | None, reserved: int
) -> None:
    """Never below nothing; what is unknown stays so, however much of it is held."""
    row = row_of(labelled(1), UnitUse(1, vram_free_mib=free_mib), held)
    assert (row.vram_free_bytes, row.reserved) == (shown, reserved)


@pytest.mark.parametrize(
    ("waiting", "running", "state"),
    [
        (None, None, "unknown"),
        (0, 0, "idle"),
        (0, None, "idle"),
        (None, 0, "idle"),
        (1, None, "busy"),
        (None, 1, "busy"),
        (0, 1, "busy"),
        (1, 0, "busy"),
    ],
)
def test_a_state_is_the_engines_own_word(waiting: int | None, running: int | None, state: str) -> None:
    """Of an engine that says one of the two numbers, that one counts; a processor in use says nothing."""
    use = UnitUse(1, cpu=8000, gpu_busy=1000, waiting=waiting, running=running)
    assert (load_state(use), row_of(labelled(1), use).state) == (state, state)


@pytest.mark.parametrize(
    ("labels", "use", "sources"),
    [
        ({}, {"cpu": 0}, {"cpu": "cgroup"}),
        ({}, {"memory_kib": 0}, {"memory": "cgroup"}),
        ({}, {"cache_kib": 0}, {"cache": "resctrl"}),
        ({}, {"vram_mib": 0}, {"gpu": "driver"}),
        ({}, {"gpu_busy": 0}, {"gpu": "driver"}),
        ({"model_source": "arguments"}, {}, {"model": "arguments"}),
        ({"engine": "vllm"}, {"waiting": 0}, {"load": "vllm"}),
        ({"engine": "vllm"}, {"running": 0}, {"load": "vllm"}),
        ({}, {"running": 0}, {"load": "engine"}),
        ({"engine": "vllm"}, {}, {}),
    ],
)
def test_a_row_names_who_says_its_numbers(labels: dict[str, str], use: dict[str, int], sources: dict[str, str]) -> None:
    """And nobody for a number that is not there."""
    assert row_of(labelled(1, kind="pod", **labels), UnitUse(1, **use)).sources == sources


@given(amount=st.integers(0, 1 << 62))
def test_units_keep_what_was_said(amount: int) -> None:
    """Whole numbers stay exact; nothing that is there becomes unknown."""
    assert scaled(amount, 1024) == amount * 1024
    assert share(amount) == pytest.approx(amount / 1000)
    assert seconds(amount) == pytest.approx(amount / S, abs=0.005)
    assert (scaled(None, 1024), share(None), seconds(None)) == (None, None, None)
