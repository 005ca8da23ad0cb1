"""Why a value is missing. PURE.

A number that could not be had is never a zero: it is None in its column and one of these words
in the row's `absent` column (several are joined by a comma).
"""

from enum import StrEnum


class Absence(StrEnum):
    """The closed list of reasons; the words are written to tables and must stay."""

    FIRST_TICK = "first_tick"
    """A rate needs two readings and this is the first."""
    VANISHED = "vanished"
    """The process or group ended between listing and reading."""
    NO_PERMISSION = "no_permission"
    """The kernel refuses this file to this user."""
    SWITCHED_OFF = "switched_off"
    """The configuration asks not to read it."""
    KERNEL_THREAD = "kernel_thread"
    """Kernel threads have no such thing."""
    UNREADABLE = "unreadable"
    """The kernel answered with an error or with text that cannot be parsed."""
