"""Looks through a time for units that suffered, hour by hour, then into each episode with all columns around it."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from agent.cli.neighbour_episode import Episode, Symptom
from agent.cli.neighbour_judge import BEFORE_SECONDS, BEHIND_SECONDS, judge
from agent.cli.neighbour_rise import JUDGED_SECONDS_MAX
from agent.cli.neighbour_rows import SYMPTOM_COLUMNS, NodeRows
from agent.cli.neighbour_search import found_in, with_losses
from agent.cli.neighbour_text import Looked
from agent.cli.neighbour_unit import JudgedUnit
from agent.cli.neighbour_verdict import Verdict

CHUNK_SECONDS = 3_600
# Before a chunk, to know what is usual; behind it, to know the end of what begins in it.
LEAD_SECONDS, TAIL_SECONDS = 180, 300
# Windows that overlap are read together up to this length.
WINDOW_SECONDS_MAX = 900
# Each costs some tens of milliseconds.
JUDGED_MAX = 60


class FoundEpisode(Struct, frozen=True):
    """An episode at its time (`begin_s`, unix time), with the other episodes of the same unit and symptom as spans of unix time."""

    uid: str
    symptom: Symptom
    begin_s: int
    episode: Episode
    others: tuple[tuple[int, int], ...]

    @property
    def window(self) -> tuple[int, int]:
        """The seconds that its verdict needs."""
        judged = min(self.episode.seconds, JUDGED_SECONDS_MAX)
        return self.begin_s - BEFORE_SECONDS - LEAD_SECONDS, self.begin_s + judged + BEHIND_SECONDS


class NeighbourAnswer(Struct, frozen=True):
    """The verdicts, the units that were seen, by uid, and what was looked at."""

    verdicts: list[Verdict]
    units: dict[str, JudgedUnit]
    looked: Looked


def find(
    rows: NodeRows, since_s: int, until_s: int, is_wanted: Callable[[JudgedUnit], bool], check: Callable[[], None]
) -> NeighbourAnswer:
    """The verdicts on all episodes that begin in a time; `check` raises when there is no time left. *Raises:* EvergaugeError."""
    units: dict[str, JudgedUnit] = {}
    found: list[FoundEpisode] = []
    ticks = 0
    for begin_s in range(since_s, until_s, CHUNK_SECONDS):
        check()
        end_s = min(until_s, begin_s + CHUNK_SECONDS)
        found += _episodes(rows, begin_s, end_s, is_wanted, units)
        ticks += rows.ticks(begin_s, end_s - begin_s)
    chosen = sorted(found, key=lambda each: -each.episode.lost_seconds)[:JUDGED_MAX]
    verdicts: list[Verdict] = []
    for begin_s, end_s, together in windows_of(chosen):
        check()
        verdicts += _judged(rows, begin_s, end_s, together)
    return NeighbourAnswer(verdicts, units, Looked(since_s, until_s, ticks, len(units), len(found), len(found) - len(chosen)))


def _episodes(
    rows: NodeRows, begin_s: int, end_s: int, is_wanted: Callable[[JudgedUnit], bool], units: dict[str, JudgedUnit]
) -> list[FoundEpisode]:
    """The episodes that begin in a chunk; the units of the chunk are added to those that were seen."""
    first_s = begin_s - LEAD_SECONDS
    window = with_losses(rows.window(first_s, end_s - first_s + TAIL_SECONDS, SYMPTOM_COLUMNS))
    found = []
    for unit in window.units:
        units[unit.unit.uid] = unit.unit
        if not is_wanted(unit.unit):
            continue
        for symptom, episodes in found_in(unit).items():
            spans = [(first_s + each.begin, first_s + each.end) for each in episodes]
            for place, (episode, (at_s, _)) in enumerate(zip(episodes, spans, strict=True)):
                if begin_s <= at_s < end_s:
                    others = (*spans[max(0, place - 3) : place], *spans[place + 1 : place + 3])
                    found.append(FoundEpisode(unit.unit.uid, symptom, at_s, episode, others))
    return found


def windows_of(found: Sequence[FoundEpisode]) -> list[tuple[int, int, list[FoundEpisode]]]:
    """The stretches that must be read, from one second on and before another, each with its episodes."""
    windows: list[tuple[int, int, list[FoundEpisode]]] = []
    for each in sorted(found, key=lambda each: each.begin_s):
        begin_s, end_s = each.window
        if windows and begin_s < windows[-1][1] and end_s - windows[-1][0] <= WINDOW_SECONDS_MAX:
            first_s, last_s, together = windows[-1]
            windows[-1] = first_s, max(last_s, end_s), [*together, each]
        else:
            windows.append((begin_s, end_s, [each]))
    return windows


def _judged(rows: NodeRows, begin_s: int, end_s: int, found: Sequence[FoundEpisode]) -> list[Verdict]:
    window = with_losses(rows.window(begin_s, end_s - begin_s))
    here = {unit.unit.uid for unit in window.units}
    verdicts = []
    for each in found:
        if each.uid not in here:
            continue
        episode = _moved(each.episode, each.begin_s - begin_s)
        masked = [Episode(first_s - begin_s, last_s - begin_s, None, 0.0) for first_s, last_s in each.others]
        verdicts.append(judge(window, each.uid, each.symptom, episode, masked))
    return verdicts


def _moved(episode: Episode, begin: int) -> Episode:
    return Episode(begin, begin + episode.seconds, episode.usual, episode.during)
