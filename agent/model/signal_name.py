"""Signals by the names that operators know. PURE. *Source:* signal(7), as on x86 and ARM."""

SIGNAL_NAMES = {
    1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1", 11: "SEGV",
    12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ", 31: "SYS",
}  # fmt: skip


def signal_name(number: int) -> str:
    """`SIGTERM`; one that is not known by its number, `SIG64`."""
    return f"SIG{SIGNAL_NAMES.get(number, number)}"
