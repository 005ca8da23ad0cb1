"""Names of signals."""

import signal

from agent.model.signal_name import SIGNAL_NAMES, signal_name


def test_names_are_those_of_the_system() -> None:
    """On this machine at least; one without a name has its number."""
    assert {number: f"SIG{name}" for number, name in SIGNAL_NAMES.items()} == {
        number: signal.Signals(number).name for number in SIGNAL_NAMES
    }
    assert (signal_name(9), signal_name(64)) == ("SIGKILL", "SIG64")
