"""The tables that belong to no sampler: `gap`, `pod_group`, `container_name`, `export_gap` and `diag`. PURE."""

from agent.model.column_type import DType
from agent.model.table import Column, Table

GAP = Table(
    name="gap",
    version=2,
    about="What is not in the other tables although it was due: who, which batches or ticks, how many rows, why.",
    key=("run", "worker", "epoch", "first_seq", "last_tick", "reason"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the loss was noticed, unix time", "writer clock"),
        Column("worker", DType.UTF8, "", "the worker whose rows are missing", "batch header"),
        Column("run", DType.UTF8, "", "the run of the agent they belong to", "batch header"),
        Column("epoch", DType.INT64, "1", "which start of that worker", "batch header"),
        Column("table", DType.UTF8, "", "the table they were meant for; null: several or unknown", "batch header", True),
        Column("first_seq", DType.INT64, "1", "first missing batch number; null: ticks that never were one", "batch header", True),
        Column("last_seq", DType.INT64, "1", "last missing batch number; null: unknown", "batch header", True),
        Column("rows", DType.INT64, "1", "missing rows; null: unknown", "batch header", True),
        Column("from_timestamp", DType.INT64, "ns", "the last stored batch before the hole", "batch header", True),
        Column("until_timestamp", DType.INT64, "ns", "the first stored batch after the hole", "batch header", True),
        Column(
            "reason",
            DType.UTF8,
            "",
            "frozen, suspended, starved, overrun, slow_read, unreadable, degraded, unknown, worker_died, worker_hung, "
            "worker_stopped, buffer_full, sequence_hole, corrupt_record, segment_removed, unknown_table, malformed_rows, bad_row, "
            "foreign_origin, foreign_table or foreign_columns",
            "writer",
        ),
        Column("ticks", DType.INT64, "1", "ticks of that worker that are missing as a whole; null: unknown", "writer", True),
        Column("last_tick", DType.INT64, "1", "number of the last of them: time since boot / interval", "batch header", True),
    ),
)

POD_GROUP = Table(
    name="pod_group",
    version=2,
    about="Which pod or unit belonged to which monitoring group, from when until when. A row is written when an "
    "interval opens (`valid_until` null), when the pod's labels change, once in every day, and when it closes.",
    key=("pod_uid", "valid_from", "timestamp"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when this row was written, unix time", "control plane clock"),
        Column("pod_uid", DType.UTF8, "", "identity of the pod, or cgroup path of the unit", "cgroup tree"),
        Column("kind", DType.UTF8, "", "pod, service, scope, slice or workload", "cgroup tree"),
        Column("pod_namespace", DType.UTF8, "", "namespace; null: no runtime reported it", "container runtime", True),
        Column("pod_name", DType.UTF8, "", "name; null: no runtime reported it", "container runtime", True),
        Column("qos_class", DType.UTF8, "", "guaranteed, burstable or besteffort; null: not a pod", "cgroup tree", True),
        Column("cgroup", DType.UTF8, "", "path below the cgroup root", "cgroup tree"),
        Column("containers", DType.INT64, "1", "containers seen in it", "cgroup tree"),
        Column("group", DType.UTF8, "", "the monitoring group; null: ignored by a rule", "rules", True),
        Column("rule", DType.UTF8, "", "the rule that chose the group; null: none matched, own group", "rules", True),
        Column("valid_from", DType.INT64, "ns", "first seen in this group, unix time", "control plane clock"),
        Column("valid_until", DType.INT64, "ns", "no longer so; null: still valid when written", "control plane clock", True),
        Column("labels", DType.UTF8, "", "its labels, a JSON object; null: no runtime reported them", "container runtime", True),
        Column("run", DType.UTF8, "", "the run of the agent that saw it; its open intervals end with it", "control plane"),
    ),
)

CONTAINER_NAME = Table(
    name="container_name",
    version=1,
    about="The name of each container that a runtime reported, and its pod. An id is never used again. A row is written when "
    "the name becomes known, at the agent's start and once in every day.",
    key=("container_id", "timestamp"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when this row was written, unix time", "control plane clock"),
        Column("container_id", DType.UTF8, "", "the container, as column `container` of the processes has it", "container runtime"),
        Column("name", DType.UTF8, "", "its name in its pod", "container runtime"),
        Column("pod_uid", DType.UTF8, "", "identity of the pod", "container runtime"),
        Column("run", DType.UTF8, "", "the run of the agent that saw it", "control plane"),
    ),
)

EXPORT_GAP = Table(
    name="export_gap",
    version=1,
    about="Rows that a sink never gets, because they were removed before they could be sent. They were stored all the while, and "
    "what is still there can be queried here.",
    key=("sink", "timestamp", "reason", "from_timestamp"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when the loss was noticed, unix time", "exporter clock"),
        Column("sink", DType.UTF8, "", "the sink, by its name in the settings file", "settings"),
        Column("kind", DType.UTF8, "", "its kind", "settings"),
        Column("rows", DType.INT64, "1", "rows it does not get; null: unknown", "exporter", True),
        Column("from_timestamp", DType.INT64, "ns", "the last batch it got before; null: none", "batch header", True),
        Column("until_timestamp", DType.INT64, "ns", "the last batch that is missing; null: unknown", "batch header", True),
        Column("reason", DType.UTF8, "", "sink_quota, storage_quota, removed, unreadable or not_configured", "writer, exporter"),
    ),
)

DIAG = Table(
    name="diag",
    version=1,
    about="What the agent says of itself: every event, and what conditions do. `docs/events.md` has the kinds.",
    key=("run", "seq"),
    columns=(
        Column("timestamp", DType.INT64, "ns", "when it happened, unix time", "supervisor clock"),
        Column("run", DType.UTF8, "", "the run of the agent", "supervisor"),
        Column("seq", DType.INT64, "1", "grows within a run; numbers may be left out", "supervisor"),
        Column("kind", DType.UTF8, "", "what happened, or which condition it is", "supervisor, workers"),
        Column("subject", DType.UTF8, "", "what the condition is about; null: the kind has none", "workers", True),
        Column("phase", DType.UTF8, "", "of a condition: begin, change or end; null: it is an event", "supervisor", True),
        Column("module", DType.UTF8, "", "the worker or sampler, or supervisor", "supervisor"),
        Column("severity", DType.UTF8, "", "info, warning or error", "supervisor, workers"),
        Column("detail", DType.UTF8, "", "a sentence; null: it has none", "supervisor, workers", True),
        Column("fields", DType.UTF8, "", "what else it says, a JSON object; null: nothing", "supervisor, workers", True),
        Column("since", DType.INT64, "ns", "since when the condition holds, unix time; null: it is an event", "supervisor", True),
        Column(
            "count",
            DType.INT64,
            "1",
            "how often this kind of this module, beginnings alone, since the supervisor's start",
            "supervisor",
        ),
    ),
)

SYSTEM_TABLES: tuple[Table, ...] = (GAP, POD_GROUP, CONTAINER_NAME, EXPORT_GAP, DIAG)
# Views that `agentctl query` makes of tables; a table of another host cannot have their names.
VIEW_NAMES = frozenset({"pod", "container"})
