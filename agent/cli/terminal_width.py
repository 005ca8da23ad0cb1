"""How wide a table may be on the terminal that it goes to."""

import os

from agent.cli.render import WIDTH_LEAST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.output import Output


def width_of(output: "Output") -> int | None:
    """The columns that a table may take: the terminal's, at least WIDTH_LEAST. *Absent:* None in a pipe or file."""
    if not output.isatty():
        return None
    try:
        return max(WIDTH_LEAST, os.get_terminal_size(output.fileno()).columns)
    except OSError:
        return WIDTH_LEAST
