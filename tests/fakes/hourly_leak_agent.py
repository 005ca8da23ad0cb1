"""agentd whose supervisor opens one more file five times a second and keeps it; a program with agentd's own arguments."""

import os
import threading

from agent.daemon.main import main

PAUSE_SECONDS = 0.2


def leak() -> None:
    """Until the process ends."""
    pause = threading.Event()
    while not pause.wait(PAUSE_SECONDS):
        os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


if __name__ == "__main__":
    threading.Thread(target=leak, daemon=True).start()
    main()
