"""From a scenario and its evidence to judgements: each validator by its name. PURE."""

from collections.abc import Callable, Iterable, Mapping

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement
from scenarios.validators.capture import judge_capture, judge_stability
from scenarios.validators.closing import judge_closing
from scenarios.validators.cost import judge_cost
from scenarios.validators.exports import judge_catch_up, judge_delivery, judge_lateness, judge_recovery, judge_sink_memory
from scenarios.validators.router import judge_fallback, judge_truth
from scenarios.validators.sketch_error import judge_sketch_error, judge_sketch_keys
from scenarios.validators.stores import judge_cursor, judge_marks, judge_rebinned, judge_same_rows, judge_wire_cost
from scenarios.validators.told import judge_calm, judge_continuity, judge_counter, judge_events, judge_memory, judge_replacement

JUDGES: Mapping[str, Callable[[ValidatorChoice, Evidence], Iterable[Judgement]]] = {
    "calm": judge_calm,
    "capture": judge_capture,
    "catch_up": judge_catch_up,
    "closing": judge_closing,
    "continuity": judge_continuity,
    "counter": judge_counter,
    "cost": judge_cost,
    "cursor": judge_cursor,
    "delivery": judge_delivery,
    "events": judge_events,
    "fallback": judge_fallback,
    "lateness": judge_lateness,
    "marks": judge_marks,
    "memory": judge_memory,
    "rebinned": judge_rebinned,
    "recovery": judge_recovery,
    "replacement": judge_replacement,
    "same_rows": judge_same_rows,
    "sink_memory": judge_sink_memory,
    "sketch_error": judge_sketch_error,
    "sketch_keys": judge_sketch_keys,
    "stability": judge_stability,
    "truth": judge_truth,
    "wire_cost": judge_wire_cost,
}


def judge(validators: Iterable[ValidatorChoice], evidence: Evidence) -> list[Judgement]:
    """Everything that these validators say of a run."""
    return [judgement for choice in validators for judgement in JUDGES[choice.name](choice, evidence)]
