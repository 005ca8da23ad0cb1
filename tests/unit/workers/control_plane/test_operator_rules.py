"""Reading the operator's rules."""

from fakes.bus import RecordingBus

from agent.model.rule import GroupRule, canonical, rule_key
from workers.control_plane.operator_rules import read_rules


def test_rules_are_read_in_the_order_in_which_they_are_tried() -> None:
    """The highest priority first; one that cannot be read is noted and keeps no other from being used."""
    low, high = GroupRule("low", priority=1), GroupRule("high", priority=2)
    bus = RecordingBus()
    entries = [(rule_key("low"), canonical(low)), (rule_key("odd"), b"{"), (rule_key("high"), canonical(high))]
    assert [high, low] == read_rules(entries, bus, lambda: None)
    assert [(note.kind, note.severity) for note in bus.notes] == [("rule_unreadable", "error")]
