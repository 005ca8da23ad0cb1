"""agentd whose supervisor forgets to close one descriptor for each worker that ends; a program with agentd's own arguments."""

import os

from agent.daemon.main import main
from supervisor.shell.launcher import Launcher


class Leak:
    """In the place of `Launcher.note_gone`."""

    def __init__(self) -> None:
        self._note_gone = Launcher.note_gone

    def install(self) -> None:
        """From now on one descriptor stays open each time."""

        def note_gone(launcher: Launcher, pid: int) -> None:
            os.open(os.devnull, os.O_RDONLY)
            self._note_gone(launcher, pid)

        setattr(Launcher, "note_gone", note_gone)  # noqa: B010  mypy sees no method assigned


if __name__ == "__main__":
    Leak().install()
    main()
