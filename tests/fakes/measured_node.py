"""The rows of one second of a node that has everything: disks, units, containers, cache, bandwidth, a GPU, kills and gaps."""

from collections.abc import Iterator
from typing import Any

from fakes.series_rows import BEGIN_NS, process_batch, sketch_batch, unit_batch
from fakes.stored_batch import stored

from agent.model.tables import GAP
from agent.model.timebase import S
from agent.store.batch import StoredBatch
from workers.gpu.schema import GPU, GPU_PROCESS
from workers.host.schema import HOST, HOST_DISK, HOST_NETWORK
from workers.process.schema import PROCESS_SCAN, PROCESS_TAIL
from workers.resctrl.row import OCCUPANCY, OCCUPANCY_DOMAIN
from workers.unit.schema import UNIT, UNIT_EVENT


def node_batches(at_ns: int, second: int) -> Iterator[StoredBatch]:
    """All batches of a second. Every column of numbers has one."""
    since = (at_ns - BEGIN_NS) / S
    head: dict[str, Any] = {"timestamp": at_ns}
    every: dict[str, Any] = {column.name: 1000 for column in UNIT.columns if str(column.dtype) in ("int64", "float64")}
    for field in ("timestamp", "elapsed_ns"):
        del every[field]
    yield unit_batch(since, "/a", "/b", **every)
    yield unit_batch(since, "uid-1", kind="pod", container="c1", **every)
    host: dict[str, Any] = {column.name: 1000 for column in HOST.columns if str(column.dtype) in ("int64", "float64")}
    yield stored(HOST, [host | head])
    disk = {"device": "sda", "devices": 1, "read_bytes": 5, "write_bytes": 5, "utilisation": 0.5, "read_latency_ns": 5}
    yield stored(HOST_DISK, [head | disk])
    names = [column.name for column in HOST_NETWORK.columns if column.name.startswith(("received", "sent"))]
    yield stored(HOST_NETWORK, [head | {"interface": "eth0", "interfaces": 1} | dict.fromkeys(names, 7)])
    yield process_batch(since, ("bash", 1, S // 4, 100, 5))
    tail = {"pod_uid": "/a", "command": "x", "commands": 1, "processes": 2, "cpu_ns": 5, "rss_bytes": 5}
    yield stored(PROCESS_TAIL, [head | tail])
    captured = {"cpu_capture": 0.97, "rss_capture": 0.95, "io_capture": 1.0}
    scan = {"processes": 9, "exit_records_lost": 0, "io_unreadable": 0, "unreadable": 0, "elapsed_ns": S}
    yield stored(PROCESS_SCAN, [head | scan | captured])
    yield sketch_batch(since, "/a", "x", "rss", list(range(1, 1_000)))
    cache = {"llc_occupancy_bytes": 5, "mbm_total_bytes": 1000 * second, "mbm_local_bytes": second, "llc_size_bytes": 9}
    yield stored(OCCUPANCY, [head | cache | {"pod_uid": "/a", "resctrl_group": "/g"}])
    place = {"start_timestamp": at_ns, "resctrl_group": "/g", "resource": "L3", "domain": 0}
    yield stored(OCCUPANCY_DOMAIN, [head | cache | place])
    device = {"device": "GPU-1", "source": "nvml", "state": "ok"}
    yield stored(GPU, [head | device | {"index": 0, "name": "H", "busy_time": 0.5, "memory_used_bytes": 7}])
    used = {"device": "GPU-1", "source": "nvml", "pid": 1, "unit": "/a", "memory_bytes": 7, "busy_share": 0.5}
    yield stored(GPU_PROCESS, [head | used])
    event = {"unit": "/a", "kind": "service", "cgroup": "/a", "sequence": second, "event": "oom", "verdict": "host", "kills": 1}
    yield stored(UNIT_EVENT, [head | event])
    gap = {"worker": "w", "run": "r", "epoch": 1, "reason": "starved", "ticks": 1, "last_tick": second}
    yield stored(GAP, [head | gap])
