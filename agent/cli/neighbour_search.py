"""From the columns of a window to verdicts: which units suffered in it, and who caused it. PURE."""

from collections.abc import Mapping

from msgspec.structs import replace

from agent.cli.neighbour_episode import LOSS, RULES, Episode, Symptom, episodes_of, loss_of
from agent.cli.neighbour_judge import judge
from agent.cli.neighbour_unit import LLC, NodeWindow, UnitWindow
from agent.cli.neighbour_verdict import Verdict


def with_losses(window: NodeWindow) -> NodeWindow:
    """The window in which units with cache have a column of what they lost of it."""
    units = [
        replace(unit, columns={**unit.columns, LOSS: loss_of(unit.columns[LLC])}) if LLC in unit.columns else unit
        for unit in window.units
    ]
    return replace(window, units=units)


def found_in(unit: UnitWindow) -> Mapping[Symptom, list[Episode]]:
    """The episodes of a unit, by symptom; those without any are left out."""
    found = {
        symptom: episodes_of(unit.columns[rule.column], rule) for symptom, rule in RULES.items() if rule.column in unit.columns
    }
    return {symptom: episodes for symptom, episodes in found.items() if episodes}


def verdicts_of(window: NodeWindow) -> list[Verdict]:
    """Every episode of a window with its verdict, in the order of the units."""
    window = with_losses(window)
    verdicts: list[Verdict] = []
    for unit in window.units:
        for symptom, episodes in found_in(unit).items():
            verdicts += [
                judge(window, unit.unit.uid, symptom, episode, [each for each in episodes if each is not episode])
                for episode in episodes
            ]
    return verdicts
