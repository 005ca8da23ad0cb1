"""The tables of processes by version 1.44.0 of the semantic conventions. PURE."""

from workers.export.otlp.column_map import Dimension, Logged, NotSent, OptionalTag, RecordMap, Role, SketchMap, TableMap, Tag
from workers.export.otlp.words import (
    ABSENT,
    MAJOR,
    MINOR,
    OF_INTERVAL,
    READ,
    RECEIVE,
    TRANSMIT,
    WRITE,
    added,
    gauge,
    level,
    mode,
    ratio,
    spent,
    standing,
)

COMMAND_LINE_OPTION = "command_line"
_TAIL, _SCAN, _EXIT = "evergauge.process.tail", "evergauge.process.scan", "evergauge.process.exit"

PROCESS = TableMap(
    table="process",
    rate_of=("cpu_ns", "cpu_share"),
    columns={
        "timestamp": Role.TIME,
        "pid": Tag("process.pid"),
        "start_ticks": Role.START_TICKS,
        "ppid": Tag("process.parent_pid"),
        "comm": Tag("process.executable.name"),
        "command_line": OptionalTag("process.command_line", COMMAND_LINE_OPTION),
        "uid": Tag("process.user.id"),
        "cgroup": NotSent("the attributes of the unit say it"),
        "pod_uid": Role.UNIT,
        "unit_kind": Role.UNIT_KIND,
        "container": Role.CONTAINER,
        "state": NotSent("a word at a moment is no number"),
        "threads": level("process.thread.count", unit="{thread}"),
        # Exact and since the start of the process, so that a tick without a row of it loses nothing.
        "cpu_total_ns": standing("evergauge.process.cpu.run_time", unit="ns"),
        "cpu_ns": NotSent("evergauge.process.cpu.run_time says it, as the total"),
        "cpu_user_ns": spent("process.cpu.time", attributes=mode("user")),
        "cpu_system_ns": spent("process.cpu.time", attributes=mode("system")),
        "cpu_share": OF_INTERVAL,
        "rss_bytes": level("process.memory.usage", unit="By"),
        "pss_bytes": level("evergauge.process.memory.pss", unit="By"),
        "read_bytes": added("process.disk.io", unit="By", attributes=READ),
        "write_bytes": added("process.disk.io", unit="By", attributes=WRITE),
        "minor_faults": added("process.paging.faults", unit="{fault}", attributes=MINOR),
        "major_faults": added("process.paging.faults", unit="{fault}", attributes=MAJOR),
        # The convention wants voluntary and involuntary switches; the scheduler's counter does not tell them apart.
        "context_switches": added("evergauge.process.context_switches", unit="{context_switch}"),
        # process.network.io is all traffic, this is that of TCP.
        "tcp_sent_bytes": added("evergauge.process.tcp.io", unit="By", attributes=TRANSMIT),
        "tcp_received_bytes": added("evergauge.process.tcp.io", unit="By", attributes=RECEIVE),
        "chosen_for": NotSent("why there is a row; its points are there"),
        "absent": ABSENT,
    },
)

PROCESS_TAIL = TableMap(
    table="process_tail",
    rate_of=("cpu_ns", "cpu_share"),
    columns={
        "timestamp": Role.TIME,
        "pod_uid": Role.UNIT,
        "command": Dimension("process.executable.name"),
        "commands": NotSent("1 where process.executable.name says the command"),
        "processes": level(f"{_TAIL}.count", unit="{process}"),
        "cpu_ns": added(f"{_TAIL}.cpu.run_time", unit="ns"),
        "cpu_share": OF_INTERVAL,
        "rss_bytes": level(f"{_TAIL}.memory.usage", unit="By"),
        "read_bytes": added(f"{_TAIL}.disk.io", unit="By", attributes=READ),
        "write_bytes": added(f"{_TAIL}.disk.io", unit="By", attributes=WRITE),
        "cpu_largest_ns": gauge(f"{_TAIL}.cpu.largest", unit="ns"),
        "rss_largest_bytes": gauge(f"{_TAIL}.memory.largest", unit="By"),
        "threads": level(f"{_TAIL}.thread.count", unit="{thread}"),
        "absent": ABSENT,
    },
)

PROCESS_SCAN = TableMap(
    table="process_scan",
    is_whole_host=True,
    columns={
        "timestamp": Role.TIME,
        "processes": level("system.process.count", unit="{process}"),
        "threads": level(f"{_SCAN}.thread.count", unit="{thread}"),
        "started": added(f"{_SCAN}.started", unit="{process}"),
        "deaths": added(f"{_SCAN}.deaths", unit="{process}"),
        "cpu_ns": added(f"{_SCAN}.cpu.run_time", unit="ns"),
        "cpu_share": OF_INTERVAL,
        "cpu_dead_ns": added(f"{_SCAN}.cpu.dead.run_time", unit="ns"),
        "rss_bytes": level(f"{_SCAN}.memory.usage", unit="By"),
        "read_bytes": added(f"{_SCAN}.disk.io", unit="By", attributes=READ),
        "write_bytes": added(f"{_SCAN}.disk.io", unit="By", attributes=WRITE),
        "cpu_capture": ratio(f"{_SCAN}.cpu.capture"),
        "rss_capture": ratio(f"{_SCAN}.memory.capture"),
        "io_capture": ratio(f"{_SCAN}.disk.capture"),
        "cpu_rows": gauge(f"{_SCAN}.cpu.rows", unit="{row}"),
        "rss_rows": gauge(f"{_SCAN}.memory.rows", unit="{row}"),
        "io_rows": gauge(f"{_SCAN}.disk.rows", unit="{row}"),
        "exit_source": NotSent("a word at a moment is no number; table process_exit has it"),
        "exit_records_lost": added(f"{_SCAN}.exit_records_lost", unit="{record}"),
        "io_unreadable": gauge(f"{_SCAN}.disk.unreadable", unit="{process}"),
        "unreadable": gauge(f"{_SCAN}.unreadable", unit="{process}"),
        "elapsed_ns": Role.ELAPSED,
        "absent": ABSENT,
    },
)

PROCESS_EXIT = TableMap(
    table="process_exit",
    rate_of=("cpu_ns", "cpu_share"),
    record=RecordMap("evergauge.process.exit", only_with="pid"),
    columns={
        "timestamp": Role.TIME,
        "source": (Dimension("evergauge.exit.source"), Logged("evergauge.exit.source")),
        "pid": Logged("process.pid"),
        "start_ticks": Logged("evergauge.process.start_ticks"),
        "ppid": Logged("process.parent_pid"),
        "command": (Dimension("process.executable.name"), Logged("process.executable.name")),
        "pod_uid": Role.UNIT,
        "unit_from": Logged("evergauge.exit.unit_from"),
        "deaths": added(f"{_EXIT}.deaths", unit="{process}"),
        "unseen": (added(f"{_EXIT}.unseen", unit="{process}"), Logged("evergauge.exit.unseen")),
        "cpu_ns": (added(f"{_EXIT}.cpu.run_time", unit="ns"), Logged("evergauge.exit.cpu_ns")),
        "cpu_share": OF_INTERVAL,
        "cpu_tail_ns": added(f"{_EXIT}.cpu.estimated.run_time", unit="ns"),
        "exit_code": Logged("process.exit.code"),
        "signal": Logged("evergauge.exit.signal"),
        "rss_max_bytes": Logged("evergauge.exit.rss_max_bytes"),
        "read_bytes": (added(f"{_EXIT}.disk.io", unit="By", attributes=READ), Logged("evergauge.exit.read_bytes")),
        "write_bytes": (added(f"{_EXIT}.disk.io", unit="By", attributes=WRITE), Logged("evergauge.exit.write_bytes")),
        "lifetime_ns": Logged("evergauge.exit.lifetime_ns"),
        "absent": Logged("evergauge.absent"),
    },
)

_BUCKETS = NotSent("a part of the exponential histogram")
PROCESS_SKETCH = TableMap(
    table="process_sketch",
    sketch=SketchMap(
        {
            "cpu": ("evergauge.process.cpu.distribution", "ns"),
            "rss": ("evergauge.process.memory.distribution", "By"),
        }
    ),
    columns={
        "timestamp": NotSent("the end of the window is the time; an agent that ends writes it earlier, then this is the time"),
        "window_start": NotSent("the start_time of the histogram"),
        "window_ns": NotSent("its time is so long after its start_time"),
        "pod_uid": Role.UNIT,
        "command": Dimension("process.executable.name"),
        "metric": NotSent("which metric it is"),
        "ticks": NotSent("the count of a window that was not seen in whole is smaller"),
        "scale": _BUCKETS,
        "relative_error": NotSent("the scale says it"),
        "zero_count": _BUCKETS,
        "count": _BUCKETS,
        "sum": _BUCKETS,
        "min": _BUCKETS,
        "max": _BUCKETS,
        "first_bucket": _BUCKETS,
        "counts": _BUCKETS,
        "keys": NotSent("a histogram without process.executable.name is of all further commands"),
    },
)

TABLES = (PROCESS, PROCESS_TAIL, PROCESS_SCAN, PROCESS_EXIT, PROCESS_SKETCH)
