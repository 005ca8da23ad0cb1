"""The supervisor's state: children, rules, event history. PURE: what can be read from it, and no decisions."""

from collections.abc import Sequence

from agent.model.control.result import AgentStatus, Diagnostics, Readiness, WorkerStatus
from agent.model.errors import ExitCode
from supervisor.core import report
from supervisor.core.authority import Authority
from supervisor.core.child import Child
from supervisor.core.effect import Problem
from supervisor.core.event_history import EventHistory
from supervisor.core.report import About


class SupervisorState:
    """All that the supervisor knows. `children` are in the order of their start."""

    def __init__(self, about: About, children: Sequence[Child], authority: Authority) -> None:
        self.about = about
        self.children = {child.name: child for child in children}
        self.authority = authority
        self.history = EventHistory()
        # How often workers were started that are not wanted any more: the next start of one must have a number of its own.
        self.former_epochs: dict[str, int] = {}
        self.beats_at_ns: dict[str, int] = {}
        # The first whole look at the host's pods is in.
        self.looked_at_host = False
        # The agent has been asked to end: nothing is started any more.
        self.is_stopping = False
        self.stale_events = 0

    def add_child(self, child: Child) -> None:
        """Another worker from now on, at its place in the order of starts."""
        assert child.name not in self.children, child.name
        child.epoch = self.former_epochs.pop(child.name, child.epoch)
        children = [*self.children.values(), child]
        children.sort(key=lambda each: (each.kind.start_order, each.name))
        self.children = {each.name: each for each in children}

    def remove_child(self, name: str) -> None:
        """A worker without a process is not wanted any more."""
        child = self.children.pop(name)
        assert not child.has_process, name
        self.former_epochs[name] = child.epoch

    def problem_of_worker(self, name: object) -> Problem | None:
        """Why this names no worker. *Absent:* it names one."""
        if isinstance(name, str) and name in self.children:
            return None
        for child in self.children.values():
            if name in child.members:
                others = ", ".join(each for each in child.members if each != name) or "no other sampler"
                inside = f"{name} shares the process of worker {child.name} with {others}"
                return Problem("shares_a_process", f"{inside}; name {child.name} instead", int(ExitCode.MISUSE))
        known = ", ".join(self.children)
        return Problem("no_such_worker", f"there is no worker {name!r}; there are {known}", int(ExitCode.MISUSE))

    def children_answering(self, what: str) -> list[Child]:
        """The workers of the kinds that answer this question."""
        return [child for child in self.children.values() if what in child.kind.answers]

    @property
    def is_ready(self) -> bool:
        """Whether there is no reason why the agent would not be ready; asked after every event, so it makes no sentences."""
        return (
            self.looked_at_host
            and all(child.state in report.SETTLED for child in self.children.values())
            and not any(held.blocks_ready for held in self.history.conditions.values())
        )

    def reasons_not_ready(self, now_ns: int) -> list[str]:
        """Why the agent is not ready; empty: it is."""
        return report.reasons_not_ready(self.children, self.history, looked_at_host=self.looked_at_host, now_ns=now_ns)

    def readiness(self, now_ns: int) -> Readiness:
        """`ready`: from what is known here, without a question to any worker."""
        reasons = self.reasons_not_ready(now_ns)
        return Readiness(ready=not reasons, reasons=reasons)

    def workers(self, now_ns: int) -> list[WorkerStatus]:
        """The workers, without what the shell measures."""
        return [
            report.worker_status(child, self.authority, self.beats_at_ns.get(child.name), now_ns)
            for child in self.children.values()
        ]

    def diag(self, limit: int) -> Diagnostics:
        """The last diagnostic events and deaths, the newest last, and how many older events are not shown."""
        # Counted from the front: the last 0 of a list are not `[-0:]`.
        events, deaths = list(self.history.events), list(self.history.deaths)
        kept = events[len(events) - min(limit, len(events)) :]
        return Diagnostics(
            events=[report.event_row(event, self.about) for event in kept],
            deaths=[report.death_row(death, self.about) for death in deaths[len(deaths) - min(limit, len(deaths)) :]],
            hidden=self.history.hidden + len(events) - len(kept),
            conditions=report.condition_rows(self.history, self.about),
        )

    def status(self, stats: dict[str, dict[str, object] | None], now_ns: int) -> AgentStatus:
        """`status`: `stats` is what each worker says of itself."""
        about, authority = self.about, self.authority
        counters = {"drifts": authority.drifts, "snapshots": authority.snapshots, "stale_events": self.stale_events}
        events = {f"event_{kind}": count for kind, count in sorted(self.history.counts.items())}
        ends = {f"event_{kind}_end": count for kind, count in sorted(self.history.ends.items())}
        reasons = self.reasons_not_ready(now_ns)
        return AgentStatus(
            ready=not reasons,
            reasons=reasons,
            version=about.version,
            run=about.run,
            host=about.host,
            pid=about.pid,
            uptime_seconds=round((now_ns - about.started_at_ns) / 1e9, 3),
            state_dir=about.state_dir,
            runtime_dir=about.runtime_dir,
            rules=report.rules_in_force(authority),
            workers=self.workers(now_ns),
            conditions=report.condition_rows(self.history, about),
            counters={**counters, **events, **ends},
            deaths=[report.death_row(death, about) for death in list(self.history.deaths)[-10:]],
            diag=self.diag(10).events,
            stats=stats,
        )
