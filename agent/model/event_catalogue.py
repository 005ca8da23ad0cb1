"""Every kind of event and condition that the agent announces. PURE. `docs/events.md` is checked against it."""

from agent.model.event_kind import ALIASES, CataloguedKind, EventAlias, EventSeverity, by_name, split_kind
from agent.model.event_kinds_of_fleet import FLEET_KINDS
from agent.model.event_kinds_of_lake import LAKE_KINDS
from agent.model.event_kinds_of_supervisor import SUPERVISOR_KINDS
from agent.model.event_kinds_of_workers import WORKER_KINDS
from agent.model.event_kinds_of_writer import WRITER_KINDS

KINDS: dict[str, CataloguedKind] = by_name((*SUPERVISOR_KINDS, *WRITER_KINDS, *WORKER_KINDS, *FLEET_KINDS, *LAKE_KINDS))


def severity_of(announced: str) -> EventSeverity:
    """How severe the beginning of this condition is. *Range:* a warning where the catalogue does not know it."""
    found = KINDS.get(split_kind(announced)[0])
    return EventSeverity.WARNING if found is None else found.severity


def named(word: str) -> EventAlias | None:
    """The events that a person means by a kind or an alias. *Absent:* None for a word that is neither."""
    if (alias := ALIASES.get(word)) is not None:
        return alias
    return EventAlias(word) if word in KINDS else None
