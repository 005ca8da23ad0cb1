"""The kinds of events and conditions that the supervisor announces, of itself and of its workers. PURE."""

from agent.model.event_kind import EventSeverity, condition, event

_INFO, _WARNING, _ERROR = EventSeverity.INFO, EventSeverity.WARNING, EventSeverity.ERROR
_STATUS = "Nothing."
_DEATHS = "Read its stderr in `agentctl diag`; the cause stands in its last lines."
_START, _END = "one at each start of the agent", "one at each end of the agent"

SUPERVISOR_KINDS = (
    event("starting", _INFO, "The agent starts.", _STATUS, _START),
    event(
        "environment_ignored",
        _INFO,
        "Variables that begin like settings are no settings, such as those of a Kubernetes service.",
        "Correct the name if one of them was meant as a setting.",
        "at most one at each start",
    ),
    event(
        "taking_over",
        _INFO,
        "A supervisor goes on with the workers of one that died.",
        "Find out who ended the one before.",
        "none",
    ),
    event("ready", _INFO, "The agent is ready.", _STATUS, _START),
    event(
        "not_ready",
        _WARNING,
        "The agent was ready and is not any more.",
        "Look at the reasons; `agentctl status` has those of now.",
        "none",
    ),
    event("stopping", _INFO, "The agent ends.", _STATUS, _END),
    event(
        "left_behind",
        _ERROR,
        "A worker did not end, even by SIGKILL.",
        "Look at what it waits for in the kernel: /proc/PID/stack.",
        "none",
    ),
    event("worker_up", _INFO, "A worker has its rules and does its work.", _STATUS, "one for each start of a worker"),
    event("worker_taken_over", _INFO, "A worker of a dead supervisor goes on under this one.", _STATUS, "none"),
    event("worker_restart", _INFO, "A worker is started again.", "Look at the event before it, which says why it ended.", "none"),
    event("worker_died", _WARNING, "A worker ended although nobody asked it to.", _DEATHS, "none"),
    event(
        "worker_stopped", _INFO, "A worker ended because it was asked to.", _STATUS, "one for each worker at each end of the agent"
    ),
    event(
        "worker_hung",
        _WARNING,
        "A worker made no progress for so long that it is ended and started again.",
        "Read its stacks in `agentctl diag`; on a machine without free CPU raise supervisor.hang_timeout.",
        "none",
    ),
    event(
        "worker_not_ready",
        _WARNING,
        "A worker was not ready in time and is ended.",
        "Read its stderr in `agentctl diag`; on a slow machine raise supervisor.start_timeout.",
        "none",
    ),
    event("worker_backoff", _INFO, "The next start of a worker that keeps failing waits.", _DEATHS, "none"),
    event(
        "worker_failed",
        _ERROR,
        "A worker ended with a code that forbids another start, such as for a bad setting.",
        "Mend what its stderr says, then `agentctl reset-worker`.",
        "none",
    ),
    event(
        "spawn_failed", _ERROR, "A worker's process could not be started.", "Look at the limits on processes and memory.", "none"
    ),
    event(
        "fork_server_died",
        _ERROR,
        "The fork server ended, and all workers with it; another is started.",
        "Look for who killed it.",
        "none",
    ),
    event("stray_killed", _WARNING, "A process that a dead worker left behind was ended.", _DEATHS, "none"),
    event("strays_killed", _WARNING, "More such processes were ended than are named.", _DEATHS, "none"),
    event(
        "rules_drift",
        _WARNING,
        "A worker did not hold the rules in force; it gets all of them again.",
        "Nothing, unless it comes again: then the machine has no free CPU, or the worker a bug.",
        "none",
    ),
    event("rules_durable", _INFO, "Rules can be made durable again.", _STATUS, "none"),
    event(
        "rules_durability_limited",
        _WARNING,
        "The file system of the state folder cannot promise that rules outlive a power failure.",
        "Choose a state folder on another file system.",
        "none",
    ),
    event(
        "unnamed_note",
        _WARNING,
        "A worker announced something under a name that is none.",
        "Report it: it is a bug of the worker.",
        "none",
    ),
    event("publish_refused", _ERROR, "A worker announced what it may not.", "Report it: it is a bug of the worker.", "none"),
    event(
        "runtime_lost", _WARNING, "Names in the runtime folder were removed.", "Keep cleaners away from the runtime folder.", "none"
    ),
    event("runtime_remade", _INFO, "The names in the runtime folder are back.", _STATUS, "none"),
    event("rotate_asked", _INFO, "Somebody asked by a signal to seal what is open.", _STATUS, "one for each SIGUSR1"),
    event(
        "breaker_half_open",
        _INFO,
        "A worker that was switched off for its cost is tried at its lowest level.",
        _STATUS,
        "none",
    ),
    event(
        "restarted_over_limit",
        _WARNING,
        "A worker is started again, because it held more memory or open files than its limit.",
        "Raise its limit, or report what it holds.",
        "none",
    ),
    event("limit_changed", _INFO, "A limit of a worker was changed.", _STATUS, "one for each change by an operator"),
    event(
        "degradation_step",
        _WARNING,
        "A worker does less, or more again, to stay within its limits.",
        "Raise its limit, or reduce what it measures.",
        "none",
    ),
    event("settings_reloaded", _INFO, "The settings were read again.", "Restart what the event names.", "one for each reload"),
    event("setting_changed", _INFO, "A setting differs since the settings were read again.", _STATUS, "one for each setting"),
    event("reload_asked", _INFO, "A signal asks to read the settings again.", _STATUS, "one for each SIGHUP"),
    event(
        "reload_skipped",
        _INFO,
        "The settings were not read, because that is under way already or the agent ends.",
        "Send the signal again.",
        "none",
    ),
    event(
        "settings_refused",
        _ERROR,
        "Settings were not taken over, and the former ones stay in force.",
        "Correct what the event names, then `agentctl reload`.",
        "none",
    ),
    condition(
        "reload_refused",
        "The settings file has a mistake; the next start of the agent would fail.",
        "Correct what the sentence names, then `agentctl reload`.",
        _ERROR,
    ),
    condition(
        "rules_not_durable",
        "The last change of the rules is in force, but may not outlive a power failure.",
        "Mend the disk of the state folder, then change a rule.",
        _ERROR,
    ),
    condition(
        "rules_set_aside",
        "The stored rules could not be read; the agent runs without them.",
        "Mend the file that the sentence names, and start the agent again.",
        _ERROR,
    ),
    condition(
        "runtime_folder",
        "Names in the runtime folder were removed, and are made again.",
        "Keep cleaners away from the runtime folder.",
    ),
    condition(
        "limits_set_aside",
        "The stored limits could not be read; those of the settings hold.",
        "Set the limits again with `agentctl set-limit`.",
        _ERROR,
    ),
    condition(
        "module_over_limit",
        "A worker uses more of the subject (cpu, memory, descriptors, queue) than its limit.",
        "Raise its limit, or reduce what it measures.",
    ),
    condition(
        "degraded",
        "A worker does less than it was set to, to stay within its limits.",
        "Raise its limit, or reduce what it measures.",
    ),
)
