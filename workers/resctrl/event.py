"""What stands in one event file, and why one cannot be read. PURE. *Source:* fs/resctrl/ctrlmondata.c, `rdtgroup_mondata_show`."""

from errno import EACCES, EIO, ENODEV, ENOENT, EPERM

from agent.model.absence import Absence

# The longest word is a number of 20 digits and its line end; what is longer is no event file.
EVENT_BYTES_MAX = 64
_UINT64_DIGITS_MAX = 20
_UINT64_MAX = (1 << 64) - 1

_WORDS = {
    b"Unavailable\n": Absence.UNAVAILABLE,
    b"Error\n": Absence.ERROR,
    b"Unassigned\n": Absence.UNASSIGNED,
}
# ENODEV: the group was removed under an open file. ENOENT: it was caught just then, or the domain has no CPU any more.
_ABSENCE_OF = {
    ENOENT: Absence.VANISHED,
    ENODEV: Absence.VANISHED,
    EACCES: Absence.NO_PERMISSION,
    EPERM: Absence.NO_PERMISSION,
    EIO: Absence.ERROR,
}


def parse_event(content: bytes) -> int | Absence:
    """The number in an event file, or the kernel's reason for none. *Range:* 64 bits without a sign.

    *Absent:* MALFORMED for whatever the kernel does not write, a number without its line end (half of one) included.
    """
    digits = content[:-1]
    # `isdigit` of bytes knows ASCII alone, whereas `int` takes signs, blanks and underscores too.
    if digits.isdigit() and content[-1] == 0x0A and len(digits) <= _UINT64_DIGITS_MAX:
        number = int(digits)
        return number if number <= _UINT64_MAX else Absence.MALFORMED
    return _WORDS.get(content, Absence.MALFORMED)


def absence_of(failure: OSError) -> Absence:
    """Why there is no value where opening or reading failed."""
    return _ABSENCE_OF.get(failure.errno or 0, Absence.UNREADABLE)
