"""What a reader of the agent's folders leaves out, and how that is said: never a failure, never in silence."""

from collections.abc import Sequence

from msgspec import Struct

from agent.model.foreign import readable

# The first names tell what kind of mishap it is; the count tells how much of it there is.
NAMES_MAX = 3
# Rows of another installation must not look as if they were measured here.
OTHER_INSTALL = "another installation of the agent wrote it"


class LeftOut(Struct, frozen=True):
    """An entry of a folder that was not read. `damaged`: it would be the agent's own, but its bytes are not whole."""

    path: str
    reason: str
    damaged: bool = False
    # A permission is missing: not even its kind could be seen.
    refused: bool = False


def warnings_of(left_out: Sequence[LeftOut]) -> list[str]:
    """One line for the damaged files, one for what is not the agent's; none for nothing."""
    damaged = [entry for entry in left_out if entry.damaged]
    foreign = [entry for entry in left_out if not entry.damaged]
    lines = []
    if damaged:
        files, called = ("file", "it is") if len(damaged) == 1 else ("files", "the first is")
        first = readable(damaged[0].path)
        lines.append(
            f"{len(damaged)} damaged Parquet {files} left out, {called} {first}; `agentctl verify-data` lists all, "
            "move them out of the data folder"
        )
    if foreign:
        entries = "entry" if len(foreign) == 1 else "entries"
        named = ", ".join(f"{readable(entry.path)} ({entry.reason})" for entry in foreign[:NAMES_MAX])
        more = f" and {len(foreign) - NAMES_MAX} more" if len(foreign) > NAMES_MAX else ""
        lines.append(f"{len(foreign)} {entries} left out that cannot be read as the agent's data: {named}{more}")
    return lines
