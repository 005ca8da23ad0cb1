"""The live state of this node from the rows that its samplers store. PURE.

Batches of the spool go in, in their order; `state` gives rows that a hub can show. A unit has a row in the store for each tick in
which it did something, and one a minute otherwise: so one without a row at the last tick did nothing, and its rates are zero. A
unit whose row is older than that is gone.
"""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from agent.fleet.live import (
    CONDITIONS_MAX,
    GPUS_MAX,
    NAME_CHARACTERS_MAX,
    UNITS_MAX,
    NodeLabel,
    NodeUse,
    UnitLabel,
    UnitUse,
)
from agent.fleet.update import LiveState
from agent.model.cgroup_path import WORKLOAD_SUFFIX
from agent.model.errors import FormatError
from agent.model.foreign import readable
from agent.model.timebase import MS, S
from agent.store.batch import StoredBatch
from agent.store.record import TableForm
from agent.store.row_decoder import RowDecoder
from workers.export.series.identity import NameSource
from workers.uplink.live_row import CPUS_MAX, NEEDED, GpuShare, Row, counted, gpu_row, summed
from workers.uplink.rounding import coarse, kib, mib, permille

# A unit without a row for so long has missed its row of the minute, and the tick after it.
UNIT_LIFE_NS = 150 * S
# The samplers' ticks of one second are some milliseconds apart.
TICK_SLACK_NS = 1500 * MS
GPU_LIFE_NS = 30 * S
ENGINE_LIFE_NS = 150 * S
OCCUPANCY_LIFE_NS = 10 * S
# Rows of one tick are not so far apart: the clock was set back.
SET_BACK_NS = 10 * S
# Ticks that are stored follow each other sooner: the clock was set forward, or nothing was measured for so long. Over anything less
# a unit lives that has had its row of the minute.
SET_FORWARD_NS = UNIT_LIFE_NS - 60 * S


class ModelFact(Struct, frozen=True):
    """What a unit serves, as its row of table `unit_model` says."""

    model: str | None
    served_model: str | None
    engine: str | None
    source: str | None


class _LiveUnit(Struct):
    """What is known of one unit. Times are those of the rows, unix time in nanoseconds; 0: no row yet.

    `alive_ns` is the time of its last row too, as if the clock had never been set forward.
    """

    key: int
    kind: str
    path: str = ""
    started_ns: int | None = None
    memory_limit: int | None = None
    alive_ns: int = 0
    row_ns: int = 0
    row: Row = {}
    cache_ns: int = 0
    cache: Row = {}
    engine_ns: int = 0
    engine: Row = {}


class LiveBuilder:
    """Learns from batches and gives the state. *Range:* UNITS_MAX units; more are counted in `left_out`, those seen first stay."""

    TABLES = ("host", "host_network", "unit", "unit_event", "unit_model", "unit_engine", "gpu", "gpu_process", "occupancy")

    def __init__(self, run: str, host: str, agent_version: str, names: NameSource) -> None:
        self.left_out = 0
        # The newest time in any row of a sampler: 0 before the first.
        self.sampled_ns = 0
        self._run = run
        self._host = host
        self._agent_version = agent_version
        self._names = names
        self._units: dict[str, _LiveUnit] = {}
        self._last_key = 0
        self._models: dict[str, ModelFact] = {}
        self._host_row: Row = {}
        self._network: tuple[int, int] = (0, 0)
        self._network_rate: float | None = None
        self._unit_ns = 0
        self._gpus: dict[str, Row] = {}
        # By device, the unit's shares of it at its newest time.
        self._gpu_uses: dict[str, tuple[int, dict[str, tuple[int | None, float | None]]]] = {}
        self._conditions: tuple[str, ...] = ()
        self._decoders: dict[str, tuple[TableForm, RowDecoder]] = {}
        self._takers: dict[str, Callable[[Row], None]] = {
            "host": self._on_host,
            "host_network": self._on_network,
            "unit": self._on_unit,
            "unit_event": self._on_event,
            "unit_model": self._on_model,
            "unit_engine": self._on_engine,
            "gpu": self._on_gpu,
            "gpu_process": self._on_gpu_process,
            "occupancy": self._on_occupancy,
        }

    @property
    def unit_count(self) -> int:
        """How many units there are."""
        return len(self._units)

    @property
    def models(self) -> Mapping[str, ModelFact]:
        """What each unit serves that is known to serve something, for `know_models` in a later process."""
        return self._models

    def know_models(self, models: Mapping[str, ModelFact]) -> None:
        """Begin with what was known before: rows of models come once a day."""
        self._models = {**models, **self._models}

    def set_conditions(self, sentences: Sequence[str]) -> None:
        """What holds of the agent now."""
        self._conditions = tuple(map(readable, sentences[:CONDITIONS_MAX]))

    def take(self, batch: StoredBatch) -> bool:
        """Learn from one batch. True: a unit has begun, ended or changed what it is, which is worth telling at once.

        Batches that cannot be read, and rows that do not fit, are passed over: the exporters count them.
        """
        taker = self._takers.get(batch.table)
        if taker is None:
            return False
        try:
            rows, _ = self._decoder(batch).decode(batch.rows)
        except FormatError:
            return False
        names = batch.form.names
        if not set(NEEDED[batch.table]) <= set(names):
            return False
        for row in rows:
            taker(dict(zip(names, row, strict=True)))
        return batch.table in ("unit_event", "unit_model")

    def state(self, wall_ns: int) -> LiveState:
        """The state as of now. Rows are the same objects as long as nothing about them changes."""
        self._forget_old(wall_ns)
        by_unit = self._gpu_by_unit(wall_ns)
        labels, uses = {}, {}
        for uid, unit in self._units.items():
            labels[unit.key] = self._label(uid, unit)
            uses[unit.key] = self._use(unit, by_unit.get(uid), wall_ns)
        return LiveState(
            run=self._run,
            sampled_ms=self.sampled_ns // MS,
            node_label=self._node_label(),
            node_use=self._node_use(wall_ns),
            labels=labels,
            uses=uses,
        )

    # ---- rows ----

    def _decoder(self, batch: StoredBatch) -> RowDecoder:
        known = self._decoders.get(batch.table)
        if known is None or (known[0] is not batch.form and known[0] != batch.form):
            known = self._decoders[batch.table] = (batch.form, RowDecoder(batch.form))
        return known[1]

    def _on_host(self, row: Row) -> None:
        self._host_row = row
        self._see(row["timestamp"])

    def _on_network(self, row: Row) -> None:
        at_ns, so_far = self._network
        moved = (row.get("received_bytes") or 0) + (row.get("sent_bytes") or 0)
        if row["timestamp"] == at_ns:
            self._network = (at_ns, so_far + moved)
            return
        if at_ns and row["timestamp"] > at_ns:
            # The whole of the tick before, over the time until the tick after it.
            self._network_rate = so_far * S / (row["timestamp"] - at_ns)
        self._network = (row["timestamp"], moved)

    def _on_unit(self, row: Row) -> None:
        self._see(row["timestamp"])
        self._unit_ns = max(self._unit_ns, row["timestamp"])
        if row["container"] is not None:
            return
        if row["is_final"]:
            self._units.pop(row["unit"], None)
            return
        unit = self._unit(row["unit"], row["kind"])
        if unit is not None:
            unit.alive_ns = unit.row_ns = row["timestamp"]
            unit.row = row
            unit.path = row["cgroup"]
            unit.started_ns = row.get("started_timestamp") or unit.started_ns
            unit.memory_limit = row.get("memory_limit_bytes")

    def _on_event(self, row: Row) -> None:
        if row["container"] is not None:
            return
        if row["event"] == "ended":
            self._units.pop(row["unit"], None)
        elif row["event"] == "started" and (unit := self._unit(row["unit"], row["kind"])) is not None:
            unit.path = row["cgroup"]
            unit.started_ns = unit.started_ns or row["timestamp"]
            unit.row_ns = unit.row_ns or row["timestamp"]
            unit.alive_ns = unit.alive_ns or row["timestamp"]

    def _on_model(self, row: Row) -> None:
        known = self._models.get(row["unit"])
        fact = ModelFact(row.get("model"), row.get("served_model"), row.get("engine"), row.get("model_source"))
        if row["container"] is not None and fact.model is None and known is not None:
            # Another container of the pod may be the one that serves.
            return
        if fact.model is None and fact.served_model is None and fact.engine is None:
            self._models.pop(row["unit"], None)
            return
        self._models[row["unit"]] = fact

    def _on_engine(self, row: Row) -> None:
        if (unit := self._units.get(row["unit"])) is not None:
            unit.engine_ns, unit.engine = row["timestamp"], row

    def _on_occupancy(self, row: Row) -> None:
        if (unit := self._units.get(row["pod_uid"])) is not None:
            unit.cache_ns, unit.cache = row["timestamp"], row

    def _on_gpu(self, row: Row) -> None:
        if len(self._gpus) < GPUS_MAX or row["device"] in self._gpus:
            self._gpus[row["device"]] = row

    def _on_gpu_process(self, row: Row) -> None:
        if row["unit"] is None or row["device"] not in self._gpus:
            return
        at_ns, shares = self._gpu_uses.get(row["device"], (0, {}))
        if row["timestamp"] != at_ns:
            at_ns, shares = row["timestamp"], {}
        memory, busy = shares.get(row["unit"], (None, None))
        shares[row["unit"]] = (summed(memory, row.get("memory_bytes")), summed(busy, row.get("busy_share")))
        self._gpu_uses[row["device"]] = (at_ns, shares)

    def _see(self, at_ns: int) -> None:
        if at_ns < self.sampled_ns - SET_BACK_NS:
            # What was known before the clock was set back is as old as what comes now: else its time would never be over.
            for unit in self._units.values():
                unit.alive_ns, unit.row_ns, unit.cache_ns, unit.engine_ns = (
                    min(each, at_ns) for each in (unit.alive_ns, unit.row_ns, unit.cache_ns, unit.engine_ns)
                )
            self._gpus.clear()
            self._gpu_uses.clear()
            self._unit_ns = min(self._unit_ns, at_ns)
            self.sampled_ns = at_ns
        elif self.sampled_ns and at_ns > self.sampled_ns + SET_FORWARD_NS:
            # Units had no time for a row of their own: each has as long for it as it had before.
            for unit in self._units.values():
                unit.alive_ns += at_ns - self.sampled_ns
        self.sampled_ns = max(self.sampled_ns, at_ns)

    def _unit(self, uid: str, kind: str) -> _LiveUnit | None:
        found = self._units.get(uid)
        if found is None:
            if len(self._units) >= UNITS_MAX:
                self.left_out += 1
                return None
            self._last_key += 1
            found = self._units[uid] = _LiveUnit(self._last_key, kind)
        return found

    # ---- the state ----

    def _forget_old(self, wall_ns: int) -> None:
        # By the samplers' time where it goes on: a spool that is read late is not one whose units have ended.
        newest_ns = self._unit_ns or wall_ns
        for uid in [uid for uid, unit in self._units.items() if newest_ns - unit.alive_ns > UNIT_LIFE_NS]:
            del self._units[uid]
        if len(self._models) > UNITS_MAX:
            self._models = {uid: fact for uid, fact in self._models.items() if uid in self._units}
        for device in [device for device, row in self._gpus.items() if wall_ns - row["timestamp"] > GPU_LIFE_NS]:
            del self._gpus[device]
            self._gpu_uses.pop(device, None)

    def _label(self, uid: str, unit: _LiveUnit) -> UnitLabel:
        named = self._names.pod(uid)
        fact = self._models.get(uid)
        name = None if named is None else named.name
        return UnitLabel(
            unit.key,
            readable(uid),
            readable(unit.kind, NAME_CHARACTERS_MAX),
            readable(name or (unit.path or uid).rsplit("/", 1)[-1].removesuffix(WORKLOAD_SUFFIX)),
            None if named is None or named.namespace is None else readable(named.namespace, NAME_CHARACTERS_MAX),
            None if fact is None or fact.model is None else readable(fact.model),
            None if fact is None or fact.served_model is None else readable(fact.served_model),
            (),
            None if fact is None or fact.engine is None else readable(fact.engine, NAME_CHARACTERS_MAX),
            None if fact is None or fact.source is None else readable(fact.source, NAME_CHARACTERS_MAX),
            None if unit.started_ns is None else max(0, unit.started_ns // MS),
            kib(unit.memory_limit, 1),
        )

    def _use(self, unit: _LiveUnit, gpu: GpuShare | None, wall_ns: int) -> UnitUse:
        row = unit.row
        get = row.get
        # It has no row at the last tick: it did nothing.
        is_idle = bool(row) and self._unit_ns - unit.row_ns > TICK_SLACK_NS

        def rate(value: float | None) -> float | None:
            return 0.0 if is_idle and value is not None else value

        elapsed = get("elapsed_ns")
        cores = get("cpu_cores")
        moved = summed(get("io_read_bytes_per_second"), get("io_write_bytes_per_second"))
        has_cache = wall_ns - unit.cache_ns <= OCCUPANCY_LIFE_NS
        has_engine = wall_ns - unit.engine_ns <= ENGINE_LIFE_NS
        cache, engine = unit.cache if has_cache else {}, unit.engine if has_engine else {}
        kv_cache = engine.get("kv_cache_share")
        return UnitUse(
            unit.key,
            coarse(rate(None if cores is None else 1000 * cores), 5),
            kib(get("memory_working_set_bytes")),
            permille(rate(get("pressure_cpu_some_ns")), elapsed),
            permille(rate(get("pressure_memory_some_ns")), elapsed),
            permille(rate(get("pressure_io_some_ns")), elapsed),
            permille(rate(get("cpu_throttled_ns")), elapsed),
            kib(rate(moved), 4),
            kib(cache.get("llc_occupancy_bytes")),
            kib(cache.get("mbm_total_bytes_per_second"), 1024),
            None if gpu is None or gpu.busy is None else permille(gpu.busy, 1.0, 10),
            None if gpu is None else mib(gpu.memory),
            None if gpu is None else mib(gpu.free),
            counted(engine.get("waiting")),
            counted(engine.get("running")),
            None if kv_cache is None else permille(kv_cache, 1.0),
        )

    def _node_label(self) -> NodeLabel | None:
        row = self._host_row
        if not row:
            return None
        boot = row.get("boot_timestamp")
        cores = row.get("cores")
        return NodeLabel(
            readable(self._host, NAME_CHARACTERS_MAX),
            self._agent_version,
            None if cores is None or not 0 <= cores <= CPUS_MAX else int(cores),
            kib(row.get("memory_total_bytes"), 1),
            # The kernel's time of the boot moves with its clock by some milliseconds.
            None if boot is None else max(0, boot // S * 1000),
        )

    def _node_use(self, wall_ns: int) -> NodeUse | None:
        row = self._host_row
        if not row:
            return None
        elapsed = row.get("elapsed_ns")
        moved = summed(row.get("read_in_bytes"), row.get("written_out_bytes"))
        cpu = row.get("cpu_ns")
        return NodeUse(
            None if cpu is None or not elapsed else coarse(1000 * cpu / elapsed, 10),
            kib(row.get("memory_available_bytes"), 1024),
            permille(row.get("pressure_cpu_some_ns"), elapsed),
            permille(row.get("pressure_memory_some_ns"), elapsed),
            permille(row.get("pressure_io_some_ns"), elapsed),
            None if moved is None or not elapsed else kib(moved * S / elapsed, 16),
            kib(self._network_rate, 16),
            tuple(gpu_row(device, found) for device, found in sorted(self._gpus.items())),
            self._conditions,
        )

    def _gpu_by_unit(self, wall_ns: int) -> dict[str, GpuShare]:
        found: dict[str, GpuShare] = {}
        for device, (at_ns, shares) in self._gpu_uses.items():
            if wall_ns - at_ns > GPU_LIFE_NS:
                continue
            row = self._gpus[device]
            total, used = row.get("memory_total_bytes"), row.get("memory_used_bytes")
            free = None if total is None or used is None else max(0, total - used - (row.get("memory_reserved_bytes") or 0))
            for uid, (memory, busy) in shares.items():
                known = found.get(uid, GpuShare())
                # What a model needs has to be on one device: the one with the most room counts.
                room = max((each for each in (known.free, free) if each is not None), default=None)
                found[uid] = GpuShare(summed(known.memory, memory), summed(known.busy, busy), room)
        return found
