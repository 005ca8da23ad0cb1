"""The command diag: the last events, beginnings of conditions with their ends, and deaths of workers."""

import time

from agent.cli.call import Call
from agent.cli.event_text import EVENT_COLUMNS, paired_cells, stays
from agent.cli.option import WHOLE, Command, Option, near
from agent.cli.render import TextColumn, counted, seconds_of, text_of
from agent.model.control.result import ConditionRow, DeathRow, DiagnosticRow, Diagnostics, WorkerList
from agent.model.errors import MisuseError
from agent.model.timebase import iso_utc

EVENTS_DEFAULT = 50
# What the agent keeps in memory.
EVENTS_MOST = 512
SEVERITIES = ("info", "warning", "error")
CONDITION_COLUMNS = (
    TextColumn("WORKER"),
    TextColumn("CONDITION"),
    TextColumn("SINCE"),
    TextColumn("READY"),
    TextColumn("DETAIL", yields=True),
)
_FILTERS = ("--kind", "--worker", "--severity", "--since")


class EventFilter:
    """Which events are wanted. *Raises:* MisuseError for a word that names nothing."""

    def __init__(self, call: Call) -> None:
        self.kind, self.subject, self.phase = _kind_of(call.text("--kind"))
        self.worker = call.text("--worker")
        severity = call.text("--severity")
        self.severities = SEVERITIES if severity is None else SEVERITIES[SEVERITIES.index(severity) :]
        self.since = _since_of(call)

    def takes(self, row: DiagnosticRow) -> bool:
        """Whether an event is wanted."""
        return (
            self.takes_kind(row.kind, row.subject)
            and self.phase in (None, row.phase)
            and self.takes_worker(row.worker or "supervisor")
            and row.severity in self.severities
            and row.at >= self.since
        )

    def takes_kind(self, kind: str, subject: str | None) -> bool:
        """Whether a kind is wanted, and its subject."""
        return self.kind in ("", kind) and self.subject in (None, subject)

    def takes_worker(self, worker: str) -> bool:
        """Whether what a worker tells is wanted."""
        return self.worker in (None, worker)

    def takes_condition(self, row: ConditionRow) -> bool:
        """Whether a condition that holds is wanted; since when it holds plays no part."""
        kind, _, subject = row.kind.partition(":")
        return self.takes_kind(kind, subject or None) and self.takes_worker(row.worker) and self.phase != "end"


def _kind_of(word: str | None) -> tuple[str, str | None, str | None]:
    """Kind, subject and phase that a person means; empty and None: any."""
    if word is None:
        return "", None, None
    # Imported here: most calls need no catalogue.
    from agent.model.event_catalogue import KINDS, named
    from agent.model.event_kind import ALIASES, split_kind

    name, subject = split_kind(word)
    alias = named(name)
    if alias is None:
        raise MisuseError("--kind", f"there is no kind {word!a}", near(name, (*KINDS, *ALIASES)) or "docs/events.md lists them")
    return alias.kind, subject, None if alias.phase is None else str(alias.phase)


def _since_of(call: Call) -> str:
    if call.text("--since") is None:
        return ""
    from agent.cli.span import moment_of

    moment = moment_of(call, "--since", time.time_ns())
    assert moment is not None
    return iso_utc(moment)


def diag(call: Call) -> int:
    """`agentctl diag`. *Raises:* EvergaugeError."""
    limit = call.whole("--limit", EVENTS_DEFAULT)
    if limit < 0:
        raise MisuseError("--limit", f"{limit} is not accepted", "write 0 or more")
    wanted = EventFilter(call)
    is_filtered = any(call.has(name) for name in _FILTERS)
    answer = call.ask("diag", {"limit": EVENTS_MOST if is_filtered else limit})
    found = call.read(Diagnostics, answer)
    if not is_filtered:
        if call.wants_json:
            call.show_json(answer)
        else:
            _show(call, found, found.events, wanted=bool(limit))
        return 0
    if wanted.worker is not None:
        _check_worker(call, wanted.worker)
    events = [row for row in found.events if wanted.takes(row)]
    kept = events[len(events) - min(limit, len(events)) :]
    if call.wants_json:
        holding_too = [
            raw for raw, row in zip(_list(answer, "conditions"), found.conditions, strict=False) if wanted.takes_condition(row)
        ]
        raws = [raw for raw, row in zip(_list(answer, "events"), found.events, strict=True) if wanted.takes(row)]
        call.show_json({**answer, "events": raws[len(raws) - len(kept) :], "conditions": holding_too})
    else:
        holding = [row for row in found.conditions if wanted.takes_condition(row)]
        deaths = [row for row in found.deaths if wanted.worker == row.worker and not wanted.kind]
        hidden = found.hidden + len(events) - len(kept)
        chosen = Diagnostics(events=kept, deaths=deaths, hidden=hidden, conditions=holding)
        _show(call, chosen, found.events, wanted=bool(limit))
    return 0


def _list(answer: dict[str, object], name: str) -> list[object]:
    value = answer.get(name)
    return value if isinstance(value, list) else []


def _check_worker(call: Call, name: str) -> None:
    """A name that no worker has would show nothing, for ever. *Raises:* MisuseError."""
    workers = call.read(WorkerList, call.ask("list-workers")).workers
    names = ["supervisor", *(each for worker in workers for each in (worker.name, *worker.members))]
    if name not in names:
        raise MisuseError("--worker", f"there is no worker {name!a}", near(name, names) or f"there are {', '.join(names)}")


def _show(call: Call, found: Diagnostics, all_events: list[DiagnosticRow], *, wanted: bool) -> None:
    lengths = stays(all_events, found.conditions)
    if found.events:
        call.show_table(EVENT_COLUMNS, (paired_cells(row, lengths) for row in found.events))
    elif wanted:
        call.show(["no events"])
    if found.conditions:
        call.show(["", "holding now:"])
        call.show_table(CONDITION_COLUMNS, map(_condition_cells, found.conditions))
    for death in found.deaths:
        _show_death(call, death)
    if found.hidden:
        call.show([f"… {counted(found.hidden, 'more event')} not shown; table diag has all: agentctl query"])


def _condition_cells(row: ConditionRow) -> tuple[str, ...]:
    blocked = "blocked" if row.blocks_ready else "kept"
    return text_of(row.worker), text_of(row.kind), text_of(row.since), blocked, text_of(row.detail)


def _show_death(call: Call, death: DeathRow) -> None:
    """One death with the whole end of its stderr: of a hung worker these are its stacks."""
    why = f" ({text_of(death.reason)})" if death.reason else ""
    head = f"{text_of(death.at)} {text_of(death.worker)} epoch {death.epoch} ended with {text_of(death.exit)}{why}"
    call.show(["", f"{head} after {seconds_of(death.uptime_seconds)}"])
    call.show([f"    {text_of(line)}" for line in death.stderr_tail])


COMMANDS = (
    Command(
        "diag",
        diag,
        about="the last events, and what holds now",
        details="A condition has two lines, PHASE begin and end, and more where its sentence changes. HELD is how long it held.\n"
        "KIND is a kind of docs/events.md, such as data_gap or breaker_open:io, or a name such as BreakerClosed.\n"
        f"The agent keeps the last {EVENTS_MOST} events. All of them, of earlier runs too, are in table diag:\n"
        'agentctl query "SELECT at, module, kind, phase, detail FROM diag ORDER BY run, seq" --since 1d',
        options=(
            Option("--limit", "N", f"the largest number of events (default {EVENTS_DEFAULT})", kind=WHOLE),
            Option("--kind", "KIND", "only events of this kind"),
            Option("--worker", "NAME", "only events of this worker or sampler; supervisor: its own"),
            Option("--severity", "WORD", "only events that are at least so severe", choices=SEVERITIES),
            Option("--since", "TIME", "only events from this time on: 1h, 20m, 03:12, a date"),
        ),
        examples=(
            "agentctl diag --limit 10",
            "agentctl diag --severity warning --since 1h",
            "agentctl diag --kind BreakerOpen --json",
        ),
    ),
)
