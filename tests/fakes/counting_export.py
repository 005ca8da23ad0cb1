"""An exporter as a process of its own whose sink builds on what came before: it counts rows, and writes down what it is given.

python counting_export.py STATE LOG      runs until nothing waits, and prints how many rows it has seen in all its lives
"""

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from fakes.export_host import ExportHost
from fakes.scripted_sink import ScriptedParcel

from agent.failpoint import VARIABLE
from agent.model.timebase import S
from workers.export.sink import Delivered

DEADLINE_SECONDS = 60


def counting_export(state: Path, log: Path, failpoints: Path) -> "subprocess.CompletedProcess[str]":
    """Run one to its end, which a failpoint may bring."""
    environment = {**os.environ, VARIABLE: str(failpoints)}
    words = [sys.executable, "-P", __file__, str(state), str(log)]
    return subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=environment, check=False)


def main() -> None:
    """As the head of this file says."""
    state, log = map(Path, sys.argv[1:])
    host = ExportHost(state, is_ordered=True)
    host.keeps_state = True
    host.start()

    def answer(parcel: ScriptedParcel) -> Delivered:
        with log.open("a") as file:
            file.write("".join(f"{number}\n" for _, number in parcel.numbers))
        return Delivered()

    host.sink.answer = answer
    host.run_for(2 * S)
    host.run_until(lambda: host.is_settled, "the end")
    print(host.sink.seen)
    host.kill()


if __name__ == "__main__":
    main()
