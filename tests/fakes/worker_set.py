"""agentd with workers that do as they are told: the real supervisor, bus and fork server around scripted workers.

Run as a program it takes agentd's own arguments and, in the environment variable WORKFORCE, the workers as
`name=kind,name=kind`; `name*50=kind` makes fifty. A kind is one of the agent's own or a script of `fakes.scripted_worker`.
"""

import os
import sys

from fakes.scripted_worker import described_kinds

from agent.config import Config
from agent.daemon.foreground import run
from agent.worker_set import WorkerSet


def scripted_worker_set(_config: Config) -> WorkerSet:
    """The workers that the environment names."""
    return WorkerSet(
        described_kinds(), entry="fakes.scripted_worker:be_worker", preload=("fakes.scripted_worker", "workers.runtime.preload")
    )


if __name__ == "__main__":
    os._exit(int(run(sys.argv[1:], os.environ, worker_set=scripted_worker_set)))
