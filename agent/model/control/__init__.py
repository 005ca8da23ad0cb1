"""The protocol of the control socket: one JSON document per line, both ways. PURE, and light: agentctl imports it.

    request   {"v": 1, "op": "list-workers", "args": {}}
    answer    {"v": 1, "ok": true, "result": {...}}
              {"v": 1, "ok": false, "error": {"code": "no_such_worker", "sentence": "...", "exit": 64}}

`request` and `answer` read and write these lines, `result` and `workload` have the types of the operations' results,
`document` is what these types are made of. `exit` is the exit code (`agent.model.errors.ExitCode`) that agentctl ends with.
"""

PROTOCOL_VERSION = 1
# A request is at most one rule; an answer is bounded by 10,000 rules or pods.
REQUEST_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 32 << 20
# How long an operation may take in the agent before it is answered with an error.
DEADLINE_SECONDS = 5.0
ROTATE_DEADLINE_SECONDS = 60.0
# A start or a stop of a workload may have to wait for a worker and a keeper that are started for it, on a busy machine.
CHANGE_DEADLINE_SECONDS = 30.0

# Operations that only read: members of the reader group may call them; without such a group, every user that the mode of the
# socket lets in.
READ_OPERATIONS = frozenset(
    {
        *("hello", "ready", "list-workers", "worker-state", "list-pods", "list-rules", "list-workloads", "list-limits"),
        *("status", "diag", "fleet-nodes", "fleet-units", "fleet-workers", "hub-list"),
    }
)
WRITE_OPERATIONS = frozenset(
    {
        *("add-rule", "remove-rule", "restart-worker", "reset-worker", "set-limit", "reload", "rotate"),
        *("run-workload", "stop-workload", "forget-workload", "hub-invite", "hub-remove"),
    }
)
# Carried out by a worker: the supervisor hands them over as they are, and the answer back.
WORKLOAD_OPERATIONS = frozenset({"list-workloads", "run-workload", "stop-workload", "forget-workload"})
HUB_OPERATIONS = frozenset({"fleet-nodes", "fleet-units", "fleet-workers", "hub-list", "hub-invite", "hub-remove"})
SERVED_OPERATIONS = WORKLOAD_OPERATIONS | HUB_OPERATIONS
OPERATIONS = READ_OPERATIONS | WRITE_OPERATIONS
