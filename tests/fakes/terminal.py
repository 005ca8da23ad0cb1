"""An output that says it is a terminal; its size cannot be had, so the smallest is taken."""

import io


class TerminalOutput(io.StringIO):
    """Text that is printed to a terminal."""

    def isatty(self) -> bool:
        """It says so."""
        return True
