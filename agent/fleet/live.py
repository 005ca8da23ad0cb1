"""The live state of a node: one row of the node, one of each unit. PURE.

A row has two parts. What says who it is (`UnitLabel`, `NodeLabel`) travels once; what it does (`UnitUse`, `NodeUse`) travels when
it changes. Rows are arrays on the wire, and numbers are rounded to what a person or a scheduler can use, so that an idle node has
nothing to send.

A hub holds a hundred thousand of them: they refer to nothing that refers back, so the collector of cycles need not look at them.

*Absent:* None is "not known", never zero, in every field that may be None.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

# What one node may send: the largest nodes run some hundred pods, and services beside them.
UNITS_MAX = 10_000
GPUS_MAX = 64
# Engines load some at a time; a list without a bound would be the largest thing that a node can send.
LORAS_MAX = 256
CONDITIONS_MAX = 64
NAME_CHARACTERS_MAX = 255
PATH_CHARACTERS_MAX = 4096

Key = Annotated[int, Meta(ge=0, le=(1 << 31) - 1)]
Amount = Annotated[int, Meta(ge=0, le=(1 << 62))]
Permille = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Name = Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)]
Path = Annotated[str, Meta(max_length=PATH_CHARACTERS_MAX)]


class GpuRow(Struct, frozen=True, array_like=True, gc=False):
    """One GPU, or one slice of it. *Units:* MiB; busy time in thousandths. `stuck`: its driver does not answer."""

    device: Name
    name: Name | None
    vram_total_mib: Amount | None
    vram_used_mib: Amount | None
    busy: Permille | None
    stuck: bool = False


class NodeLabel(Struct, frozen=True, array_like=True, gc=False):
    """What a node is. `memory_kib` is all of its memory. `started_ms`: the boot, unix time in milliseconds."""

    host: Name
    agent_version: Name
    cpus: Annotated[int, Meta(ge=0, le=1 << 20)] | None
    memory_kib: Amount | None
    started_ms: Amount | None


class NodeUse(Struct, frozen=True, array_like=True, gc=False):
    """What a node does now.

    *Units:* `cpu` in thousandths of one CPU; pressure in thousandths of the time in which some thread waited; disks and network in
    KiB per second. `conditions` are those of the agent that hold now, as `worker: kind: sentence`.
    """

    cpu: Amount | None = None
    memory_available_kib: Amount | None = None
    pressure_cpu: Permille | None = None
    pressure_memory: Permille | None = None
    pressure_io: Permille | None = None
    disk_kib_s: Amount | None = None
    network_kib_s: Amount | None = None
    gpus: Annotated[tuple[GpuRow, ...], Meta(max_length=GPUS_MAX)] = ()
    conditions: Annotated[tuple[Path, ...], Meta(max_length=CONDITIONS_MAX)] = ()


class UnitLabel(Struct, frozen=True, array_like=True, gc=False):
    """Who a unit is. `key` stands for it in this run of the uplink. `unit` is the pod's uid or the path of the cgroup.

    `model_source` says who named the model (`agent.model.served_model`). `started_ms`: unix time in milliseconds.
    """

    key: Key
    unit: Path
    kind: Name
    name: Path
    namespace: Name | None = None
    model: Path | None = None
    served_model: Path | None = None
    lora: Annotated[tuple[Name, ...], Meta(max_length=LORAS_MAX)] = ()
    engine: Name | None = None
    model_source: Name | None = None
    started_ms: Amount | None = None
    memory_limit_kib: Amount | None = None


class UnitUse(Struct, frozen=True, array_like=True, gc=False):
    """What a unit does now.

    *Units:* `cpu` in thousandths of one CPU; `memory_kib` is its working set; pressure and `throttled` in thousandths of the time;
    `gpu_busy` and `kv_cache` in thousandths; `cache_kib` is what it holds of the last-level cache, `bandwidth_kib_s` what it
    moves to and from memory. `waiting` and `running` are requests, by the engine's own word. `vram_free_mib` is that of the GPUs
    it uses.
    """

    key: Key
    cpu: Amount | None = None
    memory_kib: Amount | None = None
    pressure_cpu: Permille | None = None
    pressure_memory: Permille | None = None
    pressure_io: Permille | None = None
    throttled: Permille | None = None
    io_kib_s: Amount | None = None
    cache_kib: Amount | None = None
    bandwidth_kib_s: Amount | None = None
    gpu_busy: Permille | None = None
    vram_mib: Amount | None = None
    vram_free_mib: Amount | None = None
    waiting: Amount | None = None
    running: Amount | None = None
    kv_cache: Permille | None = None


def trimmed(row: Struct) -> tuple[Any, ...]:
    """A row as the array that travels: without the defaults at its end."""
    fields = row.__struct_fields__
    values = [getattr(row, name) for name in fields]
    defaults = row.__struct_defaults__
    least = len(fields) - len(defaults)
    while len(values) > least and values[-1] == defaults[len(values) - 1 - least]:
        values.pop()
    return tuple(values)
