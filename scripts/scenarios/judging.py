"""From a scenario and its evidence to judgements: each validator by its name. PURE."""

from collections.abc import Callable, Iterable, Mapping

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement
from scenarios.validators.capture import judge_capture, judge_stability
from scenarios.validators.closing import judge_closing
from scenarios.validators.cost import judge_cost
from scenarios.validators.sketch_error import judge_sketch_error, judge_sketch_keys
from scenarios.validators.told import judge_calm, judge_continuity, judge_counter, judge_events, judge_memory, judge_replacement

JUDGES: Mapping[str, Callable[[ValidatorChoice, Evidence], Iterable[Judgement]]] = {
    "calm": judge_calm,
    "capture": judge_capture,
    "closing": judge_closing,
    "continuity": judge_continuity,
    "counter": judge_counter,
    "cost": judge_cost,
    "events": judge_events,
    "memory": judge_memory,
    "replacement": judge_replacement,
    "sketch_error": judge_sketch_error,
    "sketch_keys": judge_sketch_keys,
    "stability": judge_stability,
}


def judge(validators: Iterable[ValidatorChoice], evidence: Evidence) -> list[Judgement]:
    """Everything that these validators say of a run."""
    return [judgement for choice in validators for judgement in JUDGES[choice.name](choice, evidence)]
