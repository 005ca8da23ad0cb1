"""What operators see of limits and of what is used: documents of the control socket. PURE."""

from agent.model.control.limit import LimitRow
from agent.model.limit import Resource
from agent.model.timebase import S
from supervisor.core.child import Child
from supervisor.core.governance import Governance
from supervisor.core.governor import WINDOW_NS, BreakerState
from supervisor.core.usage import SPAN_MOST_NS


def limit_row(governance: Governance, child: Child, now_ns: int) -> LimitRow:
    """One worker: its limits, what it uses, and what it leaves out."""
    governor = governance.governors[child.name]
    limits, usage, ladder = governor.limits, governor.usage, governor.ladder
    is_open = governor.breaker is BreakerState.OPEN
    return LimitRow(
        name=child.name,
        is_changed=child.name in governance.changed,
        level=governor.level,
        levels=ladder.off_level if ladder.is_dispensable else ladder.lowest,
        step=ladder.name(governor.level),
        left_out=list(ladder.words(min(governor.level, ladder.lowest))),
        breaker=str(governor.breaker),
        tried_in_seconds=max(0.0, round((governor.open_until_ns - now_ns) / S, 1)) if is_open else None,
        over=[resource.value for resource in governor.over],
        cpu_percent=_percent(governor.cpu_share(now_ns, WINDOW_NS)),
        cpu_percent_minute=_percent(governor.cpu_share(now_ns, SPAN_MOST_NS)),
        cpu_limit_percent=_percent(limits.cpu or None),
        memory_bytes=usage.rss_bytes,
        memory_limit_bytes=limits.of(Resource.MEMORY) or None,
        descriptors=usage.descriptors,
        descriptor_limit=limits.of(Resource.DESCRIPTORS) or None,
        queue_bytes=usage.queue_bytes,
        queue_limit_bytes=limits.of(Resource.QUEUE) or None,
    )


def _percent(share: int | None) -> float | None:
    return None if share is None else share / 1000
