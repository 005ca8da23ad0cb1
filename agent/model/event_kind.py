"""What an event or a condition is, by its kind, and how a person may name one. PURE.

An event happens at a moment. A condition lasts: it begins, its sentence may change, and it ends. What is announced as
`kind:subject` is of that kind: `breaker_open:io` is a condition of kind `breaker_open` whose subject is `io`.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

# Between the kind and what it is about.
SUBJECT_MARK = ":"


class EventForm(StrEnum):
    """Whether it happens at a moment, or lasts."""

    EVENT = "event"
    CONDITION = "condition"


class ConditionPhase(StrEnum):
    """What a condition does at the moment of an event; of an event that is none, there is no phase."""

    BEGIN = "begin"
    CHANGE = "change"
    END = "end"


class EventSeverity(StrEnum):
    """`error`: somebody must act; `warning`: degraded and counted; `info`: the state changed."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class CataloguedKind(Struct, frozen=True):
    """One kind. `severity` is that of a condition's beginning; an event says its own, which is this one as a rule.

    `about`: what it means. `remedy`: what to do. `normal`: how often it is to be expected. One sentence or phrase each.
    """

    name: str
    form: EventForm
    severity: EventSeverity
    about: str
    remedy: str
    normal: str


class EventAlias(Struct, frozen=True):
    """Another name for the events of a kind; `phase`: only those of this phase."""

    kind: str
    phase: ConditionPhase | None = None


# Names that people know from elsewhere.
ALIASES = {
    "ModuleOverLimit": EventAlias("module_over_limit"),
    "SketchFallback": EventAlias("sketch_fallback"),
    "CaptureBelowTarget": EventAlias("capture_below_target"),
    "SamplerFallback": EventAlias("sampler_fallback"),
    "BreakerOpen": EventAlias("breaker_open", ConditionPhase.BEGIN),
    "BreakerClosed": EventAlias("breaker_open", ConditionPhase.END),
    "DataGap": EventAlias("data_gap"),
    "RuleDrift": EventAlias("rules_drift"),
    "WorkerRestart": EventAlias("worker_restart"),
    "WorkerHang": EventAlias("worker_hung"),
    "MarkRegressed": EventAlias("mark_regressed"),
}


def event(name: str, severity: EventSeverity, about: str, remedy: str, normal: str) -> CataloguedKind:
    """A kind that happens at a moment."""
    return CataloguedKind(name, EventForm.EVENT, severity, about, remedy, normal)


def condition(
    name: str, about: str, remedy: str, severity: EventSeverity = EventSeverity.WARNING, normal: str = "none"
) -> CataloguedKind:
    """A kind that lasts."""
    return CataloguedKind(name, EventForm.CONDITION, severity, about, remedy, normal)


def split_kind(announced: str) -> tuple[str, str | None]:
    """The kind and the subject of what was announced. *Absent:* None without a subject."""
    kind, mark, subject = announced.partition(SUBJECT_MARK)
    return kind, subject if mark else None


def by_name(kinds: Iterable[CataloguedKind]) -> dict[str, CataloguedKind]:
    """The kinds by their names, each of which is there once."""
    found: dict[str, CataloguedKind] = {}
    for each in kinds:
        assert each.name not in found, each.name
        found[each.name] = each
    return found
