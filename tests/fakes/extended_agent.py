"""agentd with the kinds of workers in one more folder: a program. EXTRA_KINDS names the folder."""

import os
import sys

import workers

workers.__path__.append(os.environ["EXTRA_KINDS"])

if __name__ == "__main__":
    from msgspec.structs import replace

    from agent.config import Config
    from agent.daemon.foreground import run
    from agent.worker_set import WorkerSet, agent_worker_set

    def extended_worker_set(config: Config) -> WorkerSet:
        """The agent's own workers; the fork server gets the folder too."""
        return replace(agent_worker_set(config), preload=("fakes.extended_agent", "workers.runtime.preload"))

    os._exit(int(run(sys.argv[1:], os.environ, worker_set=extended_worker_set)))
