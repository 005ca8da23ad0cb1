"""Why a value is missing. PURE.

A number that could not be read is never a zero: it is None in its column, and the row's `absent` column has one of these words
(several are joined by commas).
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
    """The configuration says not to read it."""
    KERNEL_THREAD = "kernel_thread"
    """Kernel threads have no such value."""
    UNREADABLE = "unreadable"
    """The kernel answered with an error or with text that cannot be parsed."""
    UNAVAILABLE = "unavailable"
    """The kernel's word: the hardware has no count at this moment."""
    ERROR = "error"
    """The kernel's word: reading the hardware failed."""
    UNASSIGNED = "unassigned"
    """The kernel's word: no hardware counter is assigned to this group and event."""
    UNSUPPORTED = "unsupported"
    """This hardware does not measure it."""
    MALFORMED = "malformed"
    """A kernel file had an unknown word; the text is in the log."""
    COUNTER_RESET = "counter_reset"
    """The counter restarted since the last reading, so a difference would be false."""
    IMPLAUSIBLE = "implausible"
    """The counter grew by more than any memory can transfer."""
    EMPTY_COMMAND_LINE = "empty_command_line"
    """The process is alive and has no arguments, or has erased them."""
    NOT_ANSWERED = "not_answered"
    """The kernel does not answer: the process holds the lock that this reading takes, for instance over a dead file system."""
    READERS_STUCK = "readers_stuck"
    """Not read, because too many other reads have no answer."""
    OUT_OF_RANGE = "out_of_range"
    """The kernel wrote a number that does not fit the column."""
    INCOMPLETE = "incomplete"
    """The sum lacks processes whose value is unknown."""
