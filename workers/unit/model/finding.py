"""Who is believed of those that say which model a unit serves. PURE."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from agent.model.absence import Absence
from agent.model.served_model import ServedModel, shown_name
from agent.model.served_model_name import canonical_name

# The key of the label by which an operator says it.
LABEL = "model"


class ModelSource(StrEnum):
    """Where a model is known from, the one that is believed most first."""

    LABEL = "label"
    SPAWN_RECORD = "spawn_record"
    ENGINE_API = "engine_api"
    ARGUMENTS = "arguments"
    DESCENDANT = "descendant"
    TITLE = "title"


_ORDER = {source: place for place, source in enumerate(ModelSource)}


class ModelFinding(Struct, frozen=True):
    """What one source says. *Absent:* `told` where it says nothing; `absent` has the reason, where there is one."""

    source: ModelSource
    told: ServedModel | None = None
    absent: Absence | None = None


class UnitModel(Struct, frozen=True):
    """What is known of a unit, as a row has it. *Absent:* `model`; then `absent` has the reason."""

    source: ModelSource
    engine: str | None = None
    model: str | None = None
    raw: str | None = None
    served: str | None = None
    absent: Absence | None = None


def of_label(value: str | None) -> ModelFinding | None:
    """What the operator's label says."""
    if not value:
        return None
    raw = shown_name(value.encode("utf-8", "surrogateescape"))
    return ModelFinding(ModelSource.LABEL, ServedModel("", canonical_name(raw), raw))


def decide(findings: Iterable[ModelFinding | None]) -> UnitModel | None:
    """What is believed: the first source that names a model, otherwise the first that knows the server, otherwise why none does.

    What the believed source does not say of engine and served name is the next one's.
    *Absent:* nothing says that the unit serves a model.
    """
    ordered = sorted((each for each in findings if each is not None), key=lambda each: _ORDER[each.source])
    telling = [(each, each.told) for each in ordered if each.told is not None]
    if not telling:
        reason = next((each for each in ordered if each.absent is not None), None)
        return None if reason is None else UnitModel(reason.source, absent=reason.absent)
    finding, told = next((each for each in telling if each[1].model is not None), telling[0])
    return UnitModel(
        finding.source,
        next((each.engine for _, each in telling if each.engine), None),
        told.model,
        told.raw,
        next((each.served for _, each in telling if each.served), None),
        None if told.model is not None else _why_no_model(finding, told),
    )


def _why_no_model(finding: ModelFinding, told: ServedModel) -> Absence:
    if finding.absent is not None:
        return finding.absent
    return Absence.SEVERAL if told.is_several else Absence.NOT_TOLD


def in_common(findings: Sequence[ModelFinding]) -> ModelFinding | None:
    """What several processes of a unit, or several containers of a pod, say together: the model where all that name one agree.

    *Absent:* None of them says anything.
    """
    telling = [(each, each.told) for each in findings if each.told is not None]
    naming = [(each, told) for each, told in telling if told.model is not None]
    if not naming:
        return telling[0][0] if telling else next(iter(findings), None)
    first, told = naming[0]
    if all(other.model == told.model for _, other in naming):
        return first
    engine = told.engine if all(other.engine == told.engine for _, other in naming) else ""
    return ModelFinding(first.source, ServedModel(engine, is_several=True))


def of_container(known: UnitModel) -> ModelFinding:
    """What a container of a pod says for the pod."""
    if known.model is None and known.engine is None:
        return ModelFinding(known.source, None, known.absent)
    told = ServedModel(known.engine or "", known.model, known.raw, known.served, known.absent is Absence.SEVERAL)
    return ModelFinding(known.source, told, known.absent)
