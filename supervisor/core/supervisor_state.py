"""All that the supervisor knows: children, rules, the past and the present. PURE state with readings of it, no decisions."""

from collections.abc import Sequence
from typing import Any

from supervisor.core import report
from supervisor.core.authority import Authority
from supervisor.core.child import Child, ChildState
from supervisor.core.event_history import EventHistory
from supervisor.core.report import About

Document = dict[str, Any]


class SupervisorState:
    """The supervisor's knowledge. `children` are in the order of their start."""

    def __init__(self, about: About, children: Sequence[Child], authority: Authority) -> None:
        self.about = about
        self.children = {child.name: child for child in children}
        self.authority = authority
        self.history = EventHistory()
        self.beats_at_ns: dict[str, int] = {}
        # The first whole look at the host's pods is in.
        self.looked_at_host = False
        # The agent has been asked to end: nothing is started any more.
        self.is_stopping = False
        self.stale_events = 0

    def names_up(self) -> list[str]:
        """The workers that are up."""
        return [child.name for child in self.children.values() if child.state is ChildState.UP]

    @property
    def is_ready(self) -> bool:
        """Whether there is no reason why the agent would not be ready; asked after every event, so it makes no sentences."""
        return (
            self.looked_at_host
            and all(child.state is ChildState.UP for child in self.children.values())
            and not any(held.blocks_ready for held in self.history.conditions.values())
        )

    def reasons_not_ready(self, now_ns: int) -> list[str]:
        """Why the agent is not ready; empty: it is."""
        return report.reasons_not_ready(self.children, self.history, looked_at_host=self.looked_at_host, now_ns=now_ns)

    def worker_rows(self, now_ns: int) -> list[Document]:
        """`list-workers`, without what the shell measures."""
        return [
            report.worker_row(child, self.authority, self.beats_at_ns.get(child.name), now_ns) for child in self.children.values()
        ]

    def diag(self, limit: int) -> Document:
        """The last diagnostic events and deaths, the newest last, and how many older events are no longer kept."""
        # Counted from the front: the last 0 of a list are not `[-0:]`.
        events, deaths = list(self.history.events), list(self.history.deaths)
        kept = events[len(events) - min(limit, len(events)) :]
        return {
            "events": [report.event_row(event, self.about) for event in kept],
            "deaths": [report.death_row(death, self.about) for death in deaths[len(deaths) - min(limit, len(deaths)) :]],
            "hidden": self.history.hidden + len(events) - len(kept),
        }

    def status(self, now_ns: int) -> Document:
        """`status`, without the workers' own numbers."""
        about, authority = self.about, self.authority
        reasons = self.reasons_not_ready(now_ns)
        return {
            "ready": not reasons,
            "reasons": reasons,
            "version": about.version,
            "run": about.run,
            "host": about.host,
            "pid": about.pid,
            "uptime_seconds": round((now_ns - about.started_at_ns) / 1e9, 3),
            "state_dir": about.state_dir,
            "runtime_dir": about.runtime_dir,
            "rules": {
                "revision": authority.revision,
                "digest": authority.state.digest.hex(),
                "rules": len(authority.rules),
                "pods": len(authority.state) - len(authority.rules),
            },
            # The total is for /metrics; `list-workers` has the columns that its readers rely on and no others.
            "workers": [{**row, "cpu_seconds": None} for row in self.worker_rows(now_ns)],
            "conditions": [report.condition_row(worker, held) for (worker, _), held in self.history.conditions.items()],
            "counters": {"drifts": authority.drifts, "snapshots": authority.snapshots, "stale_events": self.stale_events,
                         **{f"event_{kind}": count for kind, count in sorted(self.history.counts.items())}},
            "deaths": [report.death_row(death, about) for death in list(self.history.deaths)[-10:]],
            "diag": self.diag(10)["events"],
        }  # fmt: skip
