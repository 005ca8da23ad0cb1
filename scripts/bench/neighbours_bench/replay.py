"""What the judge says of recorded runs, each varied by seeds."""

from pathlib import Path
from typing import Any

from agent.cli.neighbour_search import verdicts_of
from agent.cli.neighbour_unit import NodeWindow
from neighbours_bench.recording import cut, load, varied

# Around a run: enough to know what is usual.
BEFORE_SECONDS, BEHIND_SECONDS = 120, 40
# What begins so shortly before a run belongs to it: a cause may be seen a little later than what it causes.
BORDER_SECONDS = 3
# Of names in the recording.
VICTIMS = {"cpu": "worker.service", "io": "store.service", "memory": "reader.service", "cache": "holder.service"}
NOISY = "noisy.service"


def outcomes(paths: list[Path], seeds: range) -> dict[str, Any]:
    """How many noisy and quiet runs of these seeds are right."""
    cases = [case for path in paths for case in _cases(path)]
    noisy, quiet = ([case for case in cases if (case[1] == "quiet") == is_quiet] for is_quiet in (False, True))
    found: dict[str, Any] = {}
    for name, of_kind in (("noisy", noisy), ("quiet", quiet)):
        wrong = [seed for seed in seeds if not is_right(*of_kind[seed % len(of_kind)], seed)]
        found[name] = {"recorded": len(of_kind), "runs": len(seeds), "right": len(seeds) - len(wrong), "wrong_seeds": wrong}
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


def unvaried(paths: list[Path]) -> dict[str, Any]:
    """What is right of the runs as they were, and what was named in each."""
    verdicts = []
    for path in paths:
        for window, kind, times in _cases(path):
            named = _named(window, times)
            verdicts.append(
                {"kind": kind, "begin_s": times[0], "is_right": _is_right(named, kind), "named": sorted(map(list, named))}
            )
    counts: dict[str, Any] = {}
    for name, of_kind in (
        ("noisy", [v for v in verdicts if v["kind"] != "quiet"]),
        ("quiet", [v for v in verdicts if v["kind"] == "quiet"]),
    ):
        counts[name] = {"runs": len(of_kind), "right": sum(bool(each["is_right"]) for each in of_kind)}
    return {**counts, "verdicts": verdicts}


def is_right(window: NodeWindow, kind: str, times: tuple[int, int], seed: int) -> bool:
    """Whether in a variation the noisy unit is named for its victim and nobody else is; in a quiet one nobody."""
    kept = frozenset(unit.unit.uid for unit in window.units if unit.unit.uid.rpartition("/")[2] in {NOISY, *VICTIMS.values()})
    return _is_right(_named(varied(window, kept, seed), times), kind)


def _named(window: NodeWindow, times: tuple[int, int]) -> set[tuple[str, str, str]]:
    """Victim, symptom and culprit of every episode that begins in a run."""
    inside = [each for each in verdicts_of(window) if times[0] <= each.begin_s + BORDER_SECONDS < times[1]]
    return {(_short(each.unit), each.symptom.value, _short(other.unit)) for each in inside for other in each.culprits}


def _is_right(named: set[tuple[str, str, str]], kind: str) -> bool:
    if kind == "quiet":
        return not named
    return any((victim, culprit) == (VICTIMS[kind], NOISY) for victim, _, culprit in named) and {each[2] for each in named} == {
        NOISY
    }


def _short(uid: str) -> str:
    return uid.rpartition("/")[2]
