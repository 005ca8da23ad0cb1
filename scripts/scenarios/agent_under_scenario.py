"""The agent of a run: in a cgroup of its own, with a configuration, measured and asked."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import proc
from harness.agent_process import AgentProcess
from harness.control_connection import Refused
from process_bench.checkout import HERE, SAMPLER

from scenarios.baseline import pids_below
from scenarios.definition import Scenario
from scenarios.programs import Programs
from scenarios.stage import Groups

# The agent enters its cgroup before its first instruction, and ends with the harness also where that is killed.
_ENTER = 'echo $$ >"$1/cgroup.procs" && shift && exec nice -n "$1" setpriv --pdeathsig TERM "${@:2}"'
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "minimal": {
        "sampler.host.enabled": "false",
        "sampler.unit.enabled": "false",
        "gateway.address": "",
        "supervisor.spare_workers": "0",
    },
    "standard": {},
    "full": {"gateway.metrics": "measured", "gateway.pid_label": "true", "sampler.process.top_rows": "200"},
    "custom": {},
}
_FILE_SINK = '[sink."scenario-file"]\nkind = "file"\npath = "{folder}/exported"\n'
_HTTP_SINK = '[sink."scenario-http"]\nkind = "otlp"\nendpoint = "{endpoint}"\n'


@dataclass(frozen=True, slots=True)
class Profile:
    """How an agent is started whose workers are profiled."""

    program: tuple[str, ...]
    variables: Mapping[str, str]


def flags_of(settings: Mapping[str, str]) -> dict[str, str]:
    """`sampler.process.top_rows` is the flag `--sampler-process-top-rows`."""
    return {"--" + key.replace(".", "-").replace("_", "-"): value for key, value in settings.items()}


class AgentUnderScenario(AgentProcess):
    """An agent as delivered, but for its folders, its port, and the scenario's settings."""

    def __init__(
        self,
        folder: Path,
        scenario: Scenario,
        where: Groups,
        *,
        endpoint: str = "",
        programs: Programs | None = None,
        nice: int = 0,
        profile: Profile | None = None,
    ) -> None:
        """`nice`: of every process of the agent."""
        folder.mkdir(parents=True, exist_ok=True)
        self.group = where.agent
        self.points = folder / "failpoints"
        self.points.mkdir()
        file = folder / "agentd.toml"
        # Always a file of its own: what a machine has in /etc is no part of a scenario.
        text = _FILE_SINK.format(folder=folder) if scenario.configuration == "full" else ""
        text += _HTTP_SINK.format(endpoint=endpoint) if endpoint else ""
        file.write_text(text + (programs.sections if programs else ""))
        settings = {**SETTINGS[scenario.configuration], **(programs.settings if programs else {}), **scenario.settings}
        program = profile.program if profile else (str(Path(sys.executable).with_name("agentd")),)
        super().__init__(
            folder,
            flags={"--config": str(file), "--supervisor-stop-timeout": "20s", **flags_of(settings)},
            quick=False,
            program=("/bin/bash", "-c", _ENTER, "bash", str(where.agent), str(nice), *program),
            environment=(dict(profile.variables) if profile else {}) | (programs.variables if programs else {}),
            failpoints=self.points if any(each.kind.name == "failpoint" for each in scenario.failures) else None,
        )

    @property
    def checkout(self) -> Path:
        """Where its programs are."""
        return HERE

    def pids(self) -> set[int]:
        """Every process of the agent, wherever it was reparented to."""
        return pids_below(self.group)

    def memory(self) -> tuple[int, int]:
        """PSS and RSS of the whole tree, in bytes."""
        pss = rss = 0
        for pid in self.pids():
            # One that has just ended, such as a sealer.
            with suppress(OSError, KeyError):
                found = proc.memory(pid)
                pss, rss = pss + found.pss_bytes, rss + found.rss_bytes
        return pss, rss

    def cpu_by_part(self) -> dict[str, int]:
        """CPU of each living process in ns, by its name."""
        found: dict[str, int] = {}
        for pid in self.pids():
            with suppress(OSError):
                name = proc.name(pid)
                found[name] = found.get(name, 0) + proc.cpu_ns(pid)
        return found

    def worker_pid(self, name: str) -> int:
        """The process in which a worker, or a sampler that shares one, runs. *Raises:* KeyError."""
        rows = self.workers()
        for row_name, row in rows.items():
            if name == row_name or name in (row.get("members") or ()):
                pid: int = row["pid"]
                return pid
        raise KeyError(f"there is no worker {name}; there are {', '.join(sorted(rows))}")

    def reports(self) -> dict[str, dict[str, Any]]:
        """What each worker says of itself. *Absent:* one that does not answer; all, where nobody does."""
        with suppress(OSError, ValueError, Refused, KeyError):
            return {name: found for name, found in self.call("status")["stats"].items() if isinstance(found, dict)}
        return {}

    def count(self, worker: str, name: str) -> int | None:
        """A count that a worker shows in `status`. *Absent:* None: it does not answer, or has no such count."""
        with suppress(OSError, ValueError, Refused, KeyError, TypeError):
            return int(self.call("status")["stats"][worker][name])
        return None

    def ticks(self) -> int:
        """How many ticks the sampler of processes has made; 0 while it does not answer."""
        with suppress(OSError, ValueError, Refused):
            stats: Mapping[str, Any] = self.call("status")["stats"].get(SAMPLER) or {}
            return int(stats.get("ticks", 0))
        return 0
