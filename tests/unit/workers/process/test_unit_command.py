"""The keys by which processes are summed."""

from workers.process.unit_command import UnitCommand


def test_a_key_without_unit_and_command_is_a_key() -> None:
    """It compares and hashes by its two parts."""
    assert {UnitCommand(None, None): 1}[UnitCommand(None, None)] == 1
