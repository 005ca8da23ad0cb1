"""Rows of the live state as they travel."""

from agent.fleet.live import GpuRow, NodeUse, UnitLabel, UnitUse, trimmed


def test_defaults_at_the_end_of_a_row_do_not_travel() -> None:
    """What stands before a value that is known stays."""
    assert trimmed(UnitUse(7)) == (7,)
    assert trimmed(UnitUse(7, cpu=0)) == (7, 0)
    assert trimmed(UnitUse(7, pressure_io=5)) == (7, None, None, None, None, 5)
    assert trimmed(NodeUse()) == ()
    assert trimmed(UnitLabel(1, "/web.service", "service", "web.service")) == (1, "/web.service", "service", "web.service")


def test_fields_without_a_default_always_travel() -> None:
    """Also where they are not known."""
    assert trimmed(GpuRow("gpu-0", None, None, None, None)) == ("gpu-0", None, None, None, None)
    assert trimmed(GpuRow("gpu-0", None, None, None, None, stuck=True))[-1] is True
