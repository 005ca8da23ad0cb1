"""The live state of a node from rows as samplers store them: what is there, what is idle, what is gone, and how small it is."""

from collections.abc import Mapping
from typing import Any

import msgspec
from fakes.stored_batch import STAMP_NS, filled, stored, stored_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.fleet.live import CONDITIONS_MAX, GPUS_MAX, PATH_CHARACTERS_MAX, UNITS_MAX, NodeUse, UnitLabel, UnitUse
from agent.fleet.update import LiveState, decode_update, difference, encode_update
from agent.model.column_type import DType
from agent.model.table import Column, Table
from agent.model.timebase import S
from agent.store.record import form_of
from workers.export.names import ContainerName, PodName
from workers.gpu.schema import GPU, GPU_PROCESS
from workers.host.schema import HOST, HOST_NETWORK
from workers.resctrl.row import OCCUPANCY
from workers.unit.schema import UNIT, UNIT_ENGINE, UNIT_EVENT, UNIT_MODEL
from workers.uplink.live_builder import (
    GPU_LIFE_NS,
    OCCUPANCY_LIFE_NS,
    SET_BACK_NS,
    SET_FORWARD_NS,
    UNIT_LIFE_NS,
    LiveBuilder,
    ModelFact,
)
from workers.uplink.live_row import NEEDED

TABLES = (HOST, HOST_NETWORK, UNIT, UNIT_EVENT, UNIT_MODEL, UNIT_ENGINE, GPU, GPU_PROCESS, OCCUPANCY)
WEB = "/system.slice/web.service"
MIB = 1 << 20


class FixedNames:
    """A `NameSource` that knows one pod."""

    version = 1

    def pod(self, uid: str) -> PodName | None:
        """The name of the pod u1."""
        return PodName("shop", "web-0", "pod") if uid == "u1" else None

    def container(self, container: str) -> ContainerName | None:
        """None is known."""
        return None


class BuilderStory:
    """A builder whose time goes by in seconds."""

    def __init__(self) -> None:
        self.builder = LiveBuilder("00112233445566aa", "node-1", "1.0", FixedNames())
        self.now_ns = STAMP_NS

    def take(self, table: Table, *rows: dict[str, Any]) -> bool:
        """These rows come, as of now where they do not say."""
        return self.builder.take(stored(table, [{"timestamp": self.now_ns, **row} for row in rows]))

    def unit(self, uid: str = WEB, **values: Any) -> None:
        """A row of a unit in a usual second."""
        usual = {"unit": uid, "kind": "service", "cgroup": uid, "is_final": False, "elapsed_ns": S, "cpu_cores": 0.5}
        self.take(UNIT, {**usual, **values})

    def host(self, **values: Any) -> None:
        """A row of the host."""
        usual = {"elapsed_ns": S, "cores": 8, "cpu_ns": 2 * S, "memory_total_bytes": 1 << 34, "memory_available_bytes": 1 << 33}
        self.take(HOST, {**usual, **values})

    def state(self) -> LiveState:
        """As of now."""
        return self.builder.state(self.now_ns)

    def uses(self) -> dict[str, UnitUse]:
        """By the name of the unit."""
        state = self.state()
        return {label.name: state.uses[key] for key, label in state.labels.items()}

    def label(self, name: str) -> UnitLabel:
        """That of a unit."""
        return next(label for label in self.state().labels.values() if label.name == name)


def test_nothing_is_known_before_the_first_row() -> None:
    """No node, no units."""
    state = BuilderStory().state()
    assert (state.node_label, state.node_use, state.labels, state.uses) == (None, None, {}, {})


def test_the_node_is_what_its_row_says() -> None:
    """In units that a scheduler uses."""
    story = BuilderStory()
    story.host(
        boot_timestamp=STAMP_NS - 100 * S - 5, pressure_cpu_some_ns=S // 10, read_in_bytes=50 * MIB, written_out_bytes=50 * MIB
    )
    state = story.state()
    assert state.node_label is not None
    assert state.node_use is not None
    assert (state.node_label.host, state.node_label.cpus, state.node_label.memory_kib) == ("node-1", 8, 1 << 24)
    assert (state.node_use.cpu, state.node_use.memory_available_kib) == (2000, 1 << 23)
    assert (state.node_use.pressure_cpu, state.node_use.pressure_memory) == (100, None)
    assert abs((state.node_use.disk_kib_s or 0) - 102_400) < 1024
    assert state.node_label.started_ms == (STAMP_NS - 101 * S) // 10**6
    story.host(cores=None, elapsed_ns=None, boot_timestamp=None, cpu_ns=None)
    state = story.state()
    assert state.node_label is not None
    assert state.node_use is not None
    assert (state.node_label.cpus, state.node_label.started_ms, state.node_use.cpu, state.node_use.disk_kib_s) == (
        None,
        None,
        None,
        None,
    )


def test_the_network_of_the_node_is_the_sum_of_its_interfaces() -> None:
    """Over the time between two ticks."""
    story = BuilderStory()
    story.host()
    for _ in range(2):
        story.take(HOST_NETWORK, {"interfaces": 1, "received_bytes": 10 * MIB}, {"interfaces": 1, "sent_bytes": 10 * MIB})
        story.now_ns += 2 * S
    use = story.state().node_use
    assert use is not None
    assert abs((use.network_kib_s or 0) - 10 * 1024) < 128


def test_a_unit_has_what_its_row_says() -> None:
    """Rates, memory, pressure, limits; rows of its containers are not it."""
    story = BuilderStory()
    story.unit(
        memory_working_set_bytes=100 * MIB, memory_limit_bytes=200 * MIB, pressure_io_some_ns=S // 4, cpu_throttled_ns=S // 2,
        io_read_bytes_per_second=float(MIB), io_write_bytes_per_second=None, started_timestamp=STAMP_NS - S,
    )  # fmt: skip
    story.unit(container="c1", cpu_cores=7.0)
    use, label = story.uses()["web.service"], story.label("web.service")
    assert (use.cpu, use.pressure_io, use.throttled, use.io_kib_s, use.pressure_cpu) == (500, 250, 500, 1024, None)
    assert abs((use.memory_kib or 0) - 100 * 1024) <= 1024
    assert (label.unit, label.kind, label.memory_limit_kib, label.started_ms) == (
        WEB,
        "service",
        200 * 1024,
        (STAMP_NS - S) // 10**6,
    )


def test_a_unit_without_a_row_at_the_last_tick_is_idle() -> None:
    """Its rates are zero, its memory is what it was; after its row of the minute has not come it is gone."""
    story = BuilderStory()
    story.unit(memory_working_set_bytes=100 * MIB, pressure_cpu_some_ns=None)
    story.now_ns += 2 * S
    story.unit("/other.service")
    use = story.uses()["web.service"]
    assert (use.cpu, use.pressure_cpu, use.memory_kib is not None) == (0, None, True)
    for _ in range(2):
        story.now_ns += UNIT_LIFE_NS // 2
        story.unit("/other.service")
    assert list(story.uses()) == ["other.service"]


def test_a_spool_that_is_read_late_has_its_units() -> None:
    """By the samplers' time, not by that of the reader."""
    story = BuilderStory()
    story.unit()
    story.now_ns += 10 * UNIT_LIFE_NS
    assert list(story.uses()) == ["web.service"]


def test_the_last_row_of_a_unit_ends_it() -> None:
    """At once."""
    story = BuilderStory()
    story.unit()
    story.unit(is_final=True)
    assert story.uses() == {}


def test_events_begin_and_end_units_at_once() -> None:
    """They are worth an update of their own; what happens inside and other events are not beginnings."""
    story = BuilderStory()
    event = {"unit": "/jobs/job.workload", "kind": "workload", "cgroup": "/jobs/job.workload", "sequence": 1}
    assert story.take(UNIT_EVENT, {**event, "event": "oom"})
    assert story.uses() == {}
    assert story.take(UNIT_EVENT, {**event, "event": "started", "container": "c1"}, {**event, "event": "started"})
    [(name, use)] = story.uses().items()
    assert (use.cpu, story.label(name).started_ms) == (None, STAMP_NS // 10**6)
    story.take(UNIT_EVENT, {**event, "event": "ended", "container": "c1"})
    assert len(story.uses()) == 1
    story.take(UNIT_EVENT, {**event, "event": "ended"}, {**event, "event": "ended"})
    assert story.uses() == {}


def test_pods_have_their_names() -> None:
    """Of the rules."""
    story = BuilderStory()
    story.unit("u1", kind="pod", cgroup="/kubepods/podu1")
    label = story.label("web-0")
    assert (label.namespace, label.unit, label.kind) == ("shop", "u1", "pod")


def test_models_are_known_beyond_the_process() -> None:
    """Rows of models come once a day; a container that serves nothing hides none that does."""
    story = BuilderStory()
    story.builder.know_models({WEB: ModelFact("org/model", "m", "vllm", "label")})
    story.unit()
    label = story.label("web.service")
    assert (label.model, label.served_model, label.engine, label.model_source) == ("org/model", "m", "vllm", "label")
    row = {"unit": WEB, "kind": "service", "model_source": "title"}
    assert story.take(UNIT_MODEL, {**row, "container": "c2"})
    assert story.label("web.service").model == "org/model"
    story.take(UNIT_MODEL, {**row, "container": "c1", "model": "other/model"})
    assert (story.label("web.service").model, story.builder.models[WEB].source) == ("other/model", "title")
    story.builder.know_models({WEB: ModelFact("old", None, None, None)})
    assert story.label("web.service").model == "other/model"
    story.take(UNIT_MODEL, row, row)
    assert (story.label("web.service").model, dict(story.builder.models)) == (None, {})


def test_models_of_units_that_are_gone_are_forgotten_when_there_are_too_many() -> None:
    """Memory has an end."""
    story = BuilderStory()
    story.unit()
    story.builder.know_models(
        {f"u{number}": ModelFact("m", None, None, None) for number in range(UNITS_MAX)} | {WEB: ModelFact("w", None, None, None)}
    )
    story.state()
    assert list(story.builder.models) == [WEB]


def test_what_an_engine_says_is_old_after_a_time() -> None:
    """Then it is not known, which is not zero."""
    story = BuilderStory()
    row = {"unit": WEB, "kind": "service", "engine": "vllm", "waiting": 2, "running": -1, "kv_cache_share": 0.5}
    story.take(UNIT_ENGINE, row)
    story.unit()
    assert story.uses()["web.service"].waiting is None
    story.take(UNIT_ENGINE, row)
    use = story.uses()["web.service"]
    assert (use.waiting, use.running, use.kv_cache) == (2, None, 500)
    story.now_ns += 200 * S
    story.unit()
    use = story.uses()["web.service"]
    assert (use.waiting, use.kv_cache) == (None, None)


def test_cache_and_bandwidth_are_old_after_a_time() -> None:
    """A reader that has stopped is no idle unit."""
    story = BuilderStory()
    row = {"pod_uid": WEB, "resctrl_group": "/g", "llc_occupancy_bytes": MIB, "mbm_total_bytes_per_second": 1e9}
    story.take(OCCUPANCY, row)
    story.unit()
    story.take(OCCUPANCY, row)
    use = story.uses()["web.service"]
    assert (use.cache_kib, (use.bandwidth_kib_s or 0) > 900_000) == (1024, True)
    story.now_ns += OCCUPANCY_LIFE_NS + 1
    assert story.uses()["web.service"].cache_kib is None


def test_gpus_belong_to_the_units_whose_processes_use_them() -> None:
    """Shares are added up, room is that of the freest one; a stuck one says so; what is not known stays so."""
    story = BuilderStory()
    story.host()
    story.unit()
    gpu = {
        "source": "nvml",
        "state": "ok",
        "memory_total_bytes": 100 * MIB,
        "memory_used_bytes": 30 * MIB,
        "memory_reserved_bytes": 10 * MIB,
    }
    story.take(
        GPU,
        {**gpu, "device": "g0", "name": "A", "busy_time": 0.5},
        {**gpu, "device": "g1", "memory_used_bytes": 90 * MIB},
        {"device": "g2", "source": "nvml", "state": "stuck", "stuck_since_timestamp": STAMP_NS},
    )
    process = {"source": "nvml", "unit": WEB, "pid": 1, "driver_pid": 1}
    story.take(
        GPU_PROCESS,
        {**process, "device": "g0", "memory_bytes": 10 * MIB, "busy_share": 0.25},
        {**process, "device": "g0", "memory_bytes": 5 * MIB, "busy_share": None},
        {**process, "device": "g1", "memory_bytes": None, "busy_share": 0.1},
        {**process, "device": "g2", "memory_bytes": None},
        {**process, "device": "g9", "memory_bytes": 5},
        {**process, "device": "g0", "unit": None, "memory_bytes": 5},
    )
    use = story.uses()["web.service"]
    assert (use.vram_mib, use.gpu_busy, use.vram_free_mib) == (15, 350, 60)
    node = story.state().node_use
    assert node is not None
    assert [(row.device, row.vram_total_mib, row.busy, row.stuck) for row in node.gpus] == [
        ("g0", 100, 500, False), ("g1", 100, None, False), ("g2", None, None, True),
    ]  # fmt: skip
    story.now_ns += S
    story.take(GPU_PROCESS, {**process, "device": "g0", "memory_bytes": 20 * MIB})
    assert story.uses()["web.service"].vram_mib == 20
    story.now_ns += GPU_LIFE_NS + 1
    node = story.state().node_use
    assert node is not None
    assert node.gpus == ()


def test_a_gpu_whose_processes_are_not_told_any_more_is_not_used() -> None:
    """Shares have their time, as the device has."""
    story = BuilderStory()
    story.unit()
    gpu = {"device": "g0", "source": "nvml", "state": "ok"}
    story.take(GPU, gpu)
    story.take(GPU_PROCESS, {"device": "g0", "source": "nvml", "unit": WEB, "pid": 1, "driver_pid": 1, "memory_bytes": MIB})
    assert story.uses()["web.service"].vram_mib == 1
    story.now_ns += GPU_LIFE_NS + 1
    story.take(GPU, gpu)
    assert story.uses()["web.service"].vram_mib is None


def test_there_are_as_many_gpus_and_units_as_may_be() -> None:
    """Those seen first stay, and what is left out is counted."""
    story = BuilderStory()
    story.host()
    story.take(GPU, *({"device": f"g{number}", "source": "nvml", "state": "ok"} for number in range(GPUS_MAX + 5)))
    unit = {"kind": "service", "is_final": False, "elapsed_ns": S}
    story.take(UNIT, *({**unit, "unit": f"/u{number}", "cgroup": f"/u{number}"} for number in range(UNITS_MAX + 1)))
    state = story.state()
    assert state.node_use is not None
    assert (len(state.node_use.gpus), len(state.labels)) == (GPUS_MAX, UNITS_MAX)
    assert (story.builder.left_out, story.builder.unit_count) == (1, UNITS_MAX)
    whole = difference(LiveState(), state, whole=True)
    assert whole is not None
    assert len(decode_update(encode_update(whole)).labels) == UNITS_MAX


def test_a_clock_that_was_set_back_ends_no_unit() -> None:
    """An hour back: what is alive stays, and what is gone does not stay for an hour."""
    story = BuilderStory()
    story.unit()
    story.unit("/gone.service")
    story.take(GPU, {"device": "g0", "source": "nvml", "state": "ok"})
    story.now_ns -= 3600 * S
    story.unit()
    assert set(story.uses()) == {"web.service", "gone.service"}
    assert story.builder.sampled_ns == story.now_ns
    for _ in range(2):
        story.now_ns += UNIT_LIFE_NS // 2 + S
        story.unit()
    assert list(story.uses()) == ["web.service"]
    assert story.uses()["web.service"].cpu == 500
    before = story.builder.sampled_ns
    story.now_ns -= SET_BACK_NS
    story.unit()
    assert story.builder.sampled_ns == before


def test_a_clock_that_was_set_forward_ends_no_unit() -> None:
    """An hour ahead: who does nothing stays until its row of the minute is missing too, and its load is not known meanwhile."""
    story = BuilderStory()
    story.unit()
    story.unit("/idle.service")
    story.take(UNIT_ENGINE, {"unit": "/idle.service", "waiting": 3, "running": 1})
    story.now_ns += 3600 * S
    story.host()
    story.unit()
    assert {name: (use.cpu, use.waiting) for name, use in story.uses().items()} == {
        "web.service": (500, None),
        "idle.service": (0, None),
    }
    for _ in range(UNIT_LIFE_NS // SET_FORWARD_NS):
        story.now_ns += SET_FORWARD_NS
        story.unit()
        assert set(story.uses()) == {"web.service", "idle.service"}
    story.now_ns += SET_FORWARD_NS
    story.unit()
    assert set(story.uses()) == {"web.service"}


def test_conditions_are_those_of_the_agent() -> None:
    """So many, each as long as a hub takes it."""
    story = BuilderStory()
    story.host()
    story.builder.set_conditions(["writer: disk_full: \x1b" + "x" * 2 * PATH_CHARACTERS_MAX] * (CONDITIONS_MAX + 1))
    use = story.state().node_use
    assert use is not None
    assert (len(use.conditions), len(use.conditions[0])) == (CONDITIONS_MAX, PATH_CHARACTERS_MAX)


def test_what_cannot_be_read_is_passed_over() -> None:
    """Other tables, bytes that are no rows, columns of a version that does not have what is needed."""
    story = BuilderStory()
    assert not story.builder.take(stored_bytes("other", form_of(HOST), b"", 1))
    assert not story.builder.take(stored_bytes("host", form_of(HOST), b"nonsense", 1))
    for table, needed in NEEDED.items():
        left = Table(
            table,
            1,
            "",
            (),
            tuple(Column(name, DType.INT64, "", "", "", True) for name in ("timestamp", "x") if name not in needed),
        )
        assert not story.builder.take(stored(left, [{"x": 1}]))
    assert story.state().labels == {}


def test_rows_of_a_version_with_fewer_columns_are_taken() -> None:
    """What they do not say is not known."""
    story = BuilderStory()
    for table in TABLES:
        columns = tuple(column for column in table.columns if column.name in NEEDED[table.name])
        row: dict[str, Any] = {
            column.name: {DType.INT64: STAMP_NS, DType.BOOL: False}.get(column.dtype, "g0") for column in columns
        }
        row |= {name: None for name in ("container",) if name in row}
        row |= {name: "started" for name in ("event",) if name in row}
        story.builder.take(stored(Table(table.name, 1, "", (), columns), [row]))
    state = story.state()
    assert (len(state.labels), state.node_use) == (1, NodeUse(gpus=state.node_use.gpus if state.node_use else ()))
    [use] = state.uses.values()
    assert (use.cpu, use.memory_kib) == (None, None)


def _values(column: Column) -> st.SearchStrategy[Any]:
    by_type: dict[DType, st.SearchStrategy[Any]] = {
        DType.INT64: st.sampled_from([0, 1, -1, S, STAMP_NS, (1 << 63) - 1, -(1 << 63)]),
        DType.FLOAT64: st.sampled_from([0.0, 0.5, -1.0, 1e300, float("inf"), float("nan"), 5e-324]),
        DType.BOOL: st.booleans(),
        DType.UTF8: st.sampled_from(["", "u1", WEB, "started", "ended", "x" * 5000, "\x1b\n"]),
    }
    values = by_type.get(column.dtype, st.none())
    return st.none() | values if column.nullable else values


ROWS = st.sampled_from(TABLES).flatmap(
    lambda table: st.tuples(st.just(table), st.fixed_dictionaries({column.name: _values(column) for column in table.columns}))
)


@settings(max_examples=60)
@given(rows=st.lists(ROWS, max_size=8))
def test_whatever_is_stored_a_hub_takes_what_is_made_of_it(rows: list[tuple[Table, Mapping[str, Any]]]) -> None:
    """The ends of all types, names of any length: an update that is refused would silence the node."""
    builder = LiveBuilder("00112233445566aa", "node-1", "1.0", FixedNames())
    for table, values in rows:
        builder.take(stored_bytes(table.name, form_of(table), msgspec.msgpack.encode([filled(table, values)]), 1))
    state = builder.state(STAMP_NS)
    whole = difference(LiveState(), state, whole=True)
    assert whole is not None
    assert decode_update(encode_update(whole)) == whole


def busy_pod(story: BuilderStory, number: int, noise: int = 0) -> None:
    """A row of a pod in all of its columns; `noise` is much less than a percent of them."""
    story.unit(
        f"{number:08x}-1c2d-4e3f-8a9b-0123456789ab",
        kind="pod",
        cgroup=f"/kubepods.slice/pod{number}",
        cpu_cores=0.1 + number / 7 + noise * 0.0005,
        memory_working_set_bytes=(number + 3) * 37 * MIB + noise * 4096,
        memory_limit_bytes=1 << 33,
        pressure_cpu_some_ns=number * 10**6,
        pressure_memory_some_ns=noise * 100_000,
        pressure_io_some_ns=0,
        cpu_throttled_ns=number * 10**6,
        io_read_bytes_per_second=number * 1e5 + noise * 9,
        started_timestamp=STAMP_NS - number * S,
    )


def crowd(units: int) -> BuilderStory:
    """A node with so many busy pods."""
    story = BuilderStory()
    story.host()
    for number in range(units):
        busy_pod(story, number)
    return story


def test_a_hundred_full_rows_are_small() -> None:
    """25 KB at most before they are compressed, and 300 bytes for a second in which one number of the node has changed."""
    story = crowd(100)
    state = story.state()
    whole = difference(LiveState(), state, whole=True)
    assert whole is not None
    fields = [[msgspec.to_builtins(row) for row in rows] for rows in (whole.labels, whole.uses)]
    raw = len(msgspec.msgpack.encode(fields))
    frame = len(encode_update(whole))
    story.host(cpu_ns=3 * S)
    later = difference(state, story.state())
    assert later is not None
    idle = len(encode_update(later))
    print(f"100 rows: {raw} bytes raw, {frame} as they travel; an idle second: {idle}")
    assert raw <= 25_000
    assert frame <= 25_000
    assert idle <= 300


def test_noise_is_not_sent() -> None:
    """Numbers that move by less than a percent."""
    story = crowd(20)
    state = story.state()
    for number in range(20):
        busy_pod(story, number, noise=1)
    later = difference(state, story.state())
    assert later is None or len(later.uses) <= 3
