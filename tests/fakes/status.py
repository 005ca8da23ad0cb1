"""What a supervisor answers to the gateway's question `status`."""

from typing import Any


def worker_row(name: str, **different: Any) -> dict[str, Any]:
    """A worker that is up and well."""
    row = {
        "name": name,
        "kind": name.partition("/")[0],
        "state": "up",
        "pid": 4242,
        "epoch": 3,
        "uptime_seconds": 12.5,
        "restarts": 2,
        "last_exit": "SIGKILL",
        "deaths": {"SIGKILL": 2},
        "stderr_tail": [],
        "backoff_seconds": None,
        "heartbeat_age_seconds": 0.25,
        "rules_revision": 7,
        "rules_digest": "00",
        "in_sync": True,
        "cpu_percent": 0.1,
        "cpu_seconds": 1.5,
        "rss_bytes": 1 << 20,
        "pss_bytes": 1 << 19,
    }
    return row | different


def status_document(**different: Any) -> dict[str, Any]:
    """A host on which all is well, unless `different` says otherwise."""
    document: dict[str, Any] = {
        "ready": True,
        "reasons": [],
        "version": "0.1.0",
        "run": "r1",
        "host": "node-1",
        "pid": 41,
        "state_dir": "/s",
        "runtime_dir": "/r",
        "uptime_seconds": 60.5,
        "rules": {"revision": 7, "digest": "00", "rules": 2, "pods": 5},
        "workers": [worker_row("writer"), worker_row("sampler/process")],
        "stats": {
            "writer": {
                "rows": 1000,
                "batches": 10,
                "duplicates": 1,
                "gap_rows": 0,
                "spool_bytes": 4096,
                "sealed_files": 3,
                "ticks_missed": {"sampler/process": 12},
            },
            "control-plane": {"resctrl": {"groups": 40, "unmeasured": 2, "unreconciled": 1}},
            "sampler/process": {
                "processes": 500,
                "refused": 6,
                "unreadable": 12,
                "readers_stuck": 2,
                "ticks": 60,
                "ticks_missed": 1,
                "outbox": {"refused_rows": 4, "refused_batches": 1},
            },
            "sampler/resctrl": {"readings": 900, "readings_absent": 7, "groups_waiting": 3},
        },
        "conditions": [],
        "counters": {"resyncs": 1},
        "deaths": [],
        "diag": [],
    }
    return document | different
