"""How far a connection to a container runtime is, and how long each stage may take. PURE."""

from enum import StrEnum

from agent.model.timebase import S


class Stage(StrEnum):
    """The stages in their order; the words are shown to operators."""

    REGISTERING = "registering"
    """Registration is sent; a runtime that is busy with another plugin answers later."""
    CONFIGURING = "configuring"
    """It has taken the registration and is to say which events it wants answered."""
    SYNCHRONIZING = "synchronizing"
    """It is to report everything that there is."""
    CONNECTED = "connected"
    """It reports what happens; silence means that nothing does."""
    LEAVING = "leaving"
    """It has announced its end."""


# Runtimes take one plugin after another and give each 5 s to register and 2 s to each of its calls.
LIMITS_NS: dict[Stage, int | None] = {
    Stage.REGISTERING: 15 * S,
    Stage.CONFIGURING: 15 * S,
    # It waits until no pod is being made or removed, and a thousand pods take a second to be written down.
    Stage.SYNCHRONIZING: 30 * S,
    Stage.CONNECTED: None,
    Stage.LEAVING: 10 * S,
}
