"""What the judge says of recorded runs, each varied by seeds."""

from pathlib import Path
from typing import Any

from agent.cli.neighbour_search import verdicts_of
from agent.cli.neighbour_unit import NodeWindow
from neighbours_bench.recording import cut, load, varied

# Around a run: enough to know what is usual.
BEFORE_SECONDS, BEHIND_SECONDS = 120, 40
# Of names in the recording.
VICTIMS = {"cpu": "worker.service", "io": "store.service", "memory": "reader.service"}
NOISY = "noisy.service"


def outcomes(paths: list[Path], runs: int) -> dict[str, Any]:
    """How many of so many noisy and quiet runs are right."""
    cases = [case for path in paths for case in _cases(path)]
    noisy, quiet = ([case for case in cases if (case[1] == "quiet") == is_quiet] for is_quiet in (False, True))
    found: dict[str, Any] = {}
    for name, of_kind in (("noisy", noisy), ("quiet", quiet)):
        wrong = [seed for seed in range(runs) if not is_right(*of_kind[seed % len(of_kind)], seed)]
        found[name] = {"recorded": len(of_kind), "runs": runs, "right": runs - len(wrong), "wrong_seeds": wrong}
    return found


def _cases(path: Path) -> list[tuple[NodeWindow, str, tuple[int, int]]]:
    """A window around each run, its kind, and its seconds of unix time."""
    window, truths = load(path)
    cases = []
    for truth in truths:
        begin, end = truth["begin_s"] - window.begin_s, truth["end_s"] - window.begin_s
        part = cut(window, max(0, begin - BEFORE_SECONDS), min(window.seconds, end + BEHIND_SECONDS))
        cases.append((part, truth["kind"], (truth["begin_s"], truth["end_s"])))
    return cases


def is_right(window: NodeWindow, kind: str, times: tuple[int, int], seed: int) -> bool:
    """Whether in a variation the noisy unit is named for its victim and nobody else is; in a quiet one nobody."""
    kept = frozenset(unit.unit.uid for unit in window.units if unit.unit.uid.rpartition("/")[2] in {NOISY, *VICTIMS.values()})
    verdicts = verdicts_of(varied(window, kept, seed))
    inside = [each for each in verdicts if times[0] - 3 <= each.begin_s < times[1]]
    named = {(each.unit.rpartition("/")[2], other.unit.rpartition("/")[2]) for each in inside for other in each.culprits}
    if kind == "quiet":
        return not named
    return (VICTIMS[kind], NOISY) in named and {other for _, other in named} == {NOISY}
