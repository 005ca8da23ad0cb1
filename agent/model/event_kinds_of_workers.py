"""The kinds of events and conditions of samplers, the control plane, the gateway, exporters and workloads. PURE."""

from agent.model.event_kind import EventSeverity, condition, event

_INFO, _WARNING, _ERROR = EventSeverity.INFO, EventSeverity.WARNING, EventSeverity.ERROR
_NOTHING = "Nothing."
_SENTENCE = "Do what its sentence says."
_BUG = "Report it: it is a bug of the worker."
_RIGHTS = "Give the agent the capabilities that docs/systemd.md names."
_BREAKER = "Nothing: it is tried again by itself; if it stays, its sentence says what the files cost or who refuses them."

WORKER_KINDS = (
    event("bad_row", _ERROR, "A row did not fit its table and was left out.", _BUG, "none"),
    event(
        "batches_dropped",
        _WARNING,
        "The writer is behind, and rows were dropped; table gap has them.",
        "Look at the writer and at the disk.",
        "none",
    ),
    event(
        "rows_not_stored",
        _ERROR,
        "A worker ended before the writer had taken all of its rows.",
        "Look at the writer and at the disk.",
        "none",
    ),
    event(
        "event_malformed",
        _WARNING,
        "A file of the resource control file system is not in a known form.",
        "Report it with the file's content.",
        "none",
    ),
    event(
        "gpu_collector_abandoned",
        _WARNING,
        "A GPU's driver does not answer; its collector is left alone.",
        "Look at the kernel's log, and at the GPU.",
        "none",
    ),
    event("gpu_collector_back", _INFO, "A GPU's driver answers again.", _NOTHING, "none"),
    condition("unreadable", "A sampler can read nothing at all.", _SENTENCE, _ERROR),
    condition(
        "capture_below_target",
        "The named processes hold less of the CPU, memory or input and output than they are to hold.",
        "Raise sampler.process.top_rows.",
        normal="none; some in a storm of short-lived processes",
    ),
    condition(
        "sketch_fallback", "A sketch cannot be built or encoded: values are written without it.", "Report it with its sentence."
    ),
    condition(
        "sampler_fallback",
        "A sampler uses a worse source, because the better one (the subject says of what) cannot be had.",
        _SENTENCE,
        normal="none, or one since the start where the host refuses a source",
    ),
    condition(
        "breaker_open", "Files of the subject's kind are not read for now, because they cost too much or are refused.", _BREAKER
    ),
    condition(
        "processes_hidden",
        "The mount of /proc hides processes of other users.",
        "Mount /proc without hidepid, or give the agent a group that sees all.",
    ),
    condition("processes_refused", "Some processes refuse to be read.", _RIGHTS),
    condition("exits_failed", "The ends of processes could not be read in the last tick.", _SENTENCE),
    condition("io_failed", "Input and output of processes could not be read in the last tick.", _SENTENCE),
    condition("tcp_failed", "TCP bytes of processes could not be read in the last tick.", _SENTENCE),
    condition("details_failed", "Command lines and other details of processes could not be read in the last tick.", _SENTENCE),
    condition(
        "no_values",
        "Monitoring groups give no values.",
        "Look at docs/resctrl.md: the kernel says why.",
        normal="none; short ones after a group was made",
    ),
    condition("gpu_nvidia", "NVIDIA GPUs cannot be measured.", _SENTENCE),
    condition("gpu_drm", "GPUs of the kernel's own drivers cannot be measured.", _SENTENCE),
    event(
        "rule_unreadable",
        _ERROR,
        "A rule that is in force cannot be read by the control plane.",
        "Remove the rule and add it again.",
        "none",
    ),
    event(
        "container_runtime_connected",
        _INFO,
        "The container runtime is connected.",
        _NOTHING,
        "one for each start of agent or runtime",
    ),
    event(
        "container_runtime_lost",
        _WARNING,
        "The connection to the container runtime was lost; it is tried again.",
        "Look at the container runtime.",
        "none",
    ),
    event("resctrl_cleanup", _INFO, "Monitoring groups that nobody needs were removed.", _NOTHING, "one at a start"),
    event(
        "resctrl_groups_removed",
        _WARNING,
        "Somebody removed monitoring groups; they are made again.",
        "Find out who else uses the resource control file system.",
        "none",
    ),
    event("resctrl_health", _WARNING, "Something is odd about a monitoring group.", _SENTENCE, "none"),
    condition("cgroup_tree", "A part of the cgroup tree cannot be looked at.", _SENTENCE),
    condition("units_truncated", "There are more units than are followed.", "Reduce the number of units on this host."),
    condition("resctrl", "Monitoring groups cannot be used now.", _SENTENCE),
    condition(
        "pods_unmeasured",
        "Some pods have no monitoring group.",
        "Use fewer groups: one for several pods by a rule.",
        normal="none, or one since the start where there are more pods than groups",
    ),
    condition("nri", "The container runtime is not connected over NRI.", _SENTENCE),
    condition("cri", "Names cannot be asked of the container runtime over CRI.", _SENTENCE),
    condition(
        "runtime_truncated",
        "The container runtime has more pods or containers than are followed.",
        "Reduce their number on this host.",
    ),
    condition("gateway", "The gateway cannot listen at its address.", "Free the port, or set another with gateway.port."),
    condition(
        "page",
        "This node's page and /v1 are not served, because other hosts could read them.",
        "Set what its sentence names, or gateway.page to false.",
    ),
    event("sink_up", _INFO, "A sink takes rows again, or for the first time.", _NOTHING, "one for each start of an exporter"),
    event("sink_away", _WARNING, "A sink takes no rows; its condition says why.", "Look at the sink.", "none"),
    event("sink_warning", _WARNING, "A sink took rows and said something.", _SENTENCE, "none"),
    event("rejected_by_sink", _WARNING, "A sink refused rows for good.", _SENTENCE, "none"),
    event(
        "cursor_pruned",
        _ERROR,
        "Rows were removed before a sink got them; table export_gap has when.",
        "Mend the sink, or raise its quota.",
        "none",
    ),
    event(
        "snapshot_damaged",
        _ERROR,
        "What a sink remembered of its state is damaged.",
        "Nothing: it begins with what is stored.",
        "none",
    ),
    event(
        "prometheus_version_1",
        _INFO,
        "A receiver takes remote write 1.0 only.",
        "Use a receiver of remote write 2.0.",
        "one for each start of an exporter",
    ),
    event(
        "file_changed",
        _WARNING,
        "A file of a sink was changed by somebody else.",
        "Find out which program writes into the sink's folder.",
        "none",
    ),
    condition("sink_down", "A sink takes no rows; they wait in the spool.", _SENTENCE),
    condition("sink_paused", "A sink asked to wait; its rows wait in the spool.", _SENTENCE),
    condition("sink_storage", "What a sink has got cannot be remembered on the disk.", "Look at the disk of the state folder."),
    event(
        "message_unreadable",
        _WARNING,
        "A message of a topic cannot be read; it was passed, and its rows are in no store.",
        "Look who else writes into the topics, and at the version of the host that it names.",
        "none",
    ),
    event(
        "mark_regressed",
        _WARNING,
        "The store's mark of a host went back in time.",
        "Look at the host's clock; or give each host a name of its own.",
        "none",
    ),
    event(
        "topic_offsets_lost",
        _ERROR,
        "The brokers have removed messages before a merger took them.",
        "Keep topics for longer, or run more mergers.",
        "none",
    ),
    condition("merger_setup", "The merger cannot begin with its settings.", _SENTENCE, _ERROR),
    condition("merger_broker", "No broker answers the merger; what it had taken is stored.", _SENTENCE),
    condition("merger_store", "The store cannot be read or written; messages wait at the brokers.", _SENTENCE),
    condition("merger_offsets", "A topic ends before what the store has of it; it is not read.", _SENTENCE, _ERROR),
    condition("marks_cache", "The cache of marks does not answer; routers are slower.", "Look at Redis."),
    event("keeper_refused", _WARNING, "The keeper of workloads refused an order.", _SENTENCE, "none"),
    event("workload_started", _INFO, "A workload was started.", _NOTHING, "one for each start of a workload"),
    event(
        "workload_ended",
        _INFO,
        "A workload ended.",
        "Look at how it ended, and at `agentctl logs`.",
        "one for each end of a workload",
    ),
    event("workloads_forgotten", _WARNING, "What is remembered of workloads could not be read.", _SENTENCE, "none"),
    condition("keeper", "The keeper of workloads does not answer.", _SENTENCE),
    condition(
        "workload_refused", "A workload of the settings cannot be run as it is described.", "Correct its section of the settings."
    ),
    condition(
        "workload_changed", "A workload runs with other settings than it has now.", "Stop it, so that it starts with those of now."
    ),
    condition(
        "workloads_not_remembered",
        "What is to be remembered of workloads cannot be stored.",
        "Look at the disk of the state folder.",
    ),
)
