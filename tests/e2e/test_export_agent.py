"""An agent with several sinks as one has it: who is killed, who is started again, what the commands and /metrics show."""

import json
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness.agent_process import UNHURRIED, run_agentctl, run_agentd
from harness.export_trial import NAME, CollectorSide, ExportTrial, FileSide
from harness.sinks.collector import Collector
from harness.sinks.http_answer import Answer, Request
from harness.sinks.http_sink import HttpSink
from harness.waiting import wait_until

SHARED = "exporter/shared"
COPY = "copy"
SECRETS = ("glpat-never-shown", "basic-never-shown")


def ctl(trial: ExportTrial, *words: str) -> str:
    """What a command of agentctl writes."""
    folders = ("--state-dir", str(trial.agent.state_dir), "--runtime-dir", str(trial.agent.runtime_dir))
    done = run_agentctl(*words, *folders)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def exports(trial: ExportTrial) -> dict[str, dict[str, Any]]:
    """What `list-exports --json` says, by sink, once it knows all of them."""

    def known() -> dict[str, dict[str, Any]] | None:
        found = {each["sink"]: each for each in json.loads(ctl(trial, "list-exports", "--json"))["exports"]}
        return found if all(each.get("ledger") for each in found.values()) else None

    return wait_until(known, "each sink has an account", pause_seconds=0.2)


def scraped(trial: ExportTrial) -> str:
    """The page for Prometheus."""
    address = trial.agent.stats("gateway")["address"]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        return str(answer.read().decode())


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[ExportTrial, FileSide]]:
    """An agent with a collector and files, which share a process; and the files."""
    files = FileSide(tmp_path / "copy")
    more = f'process = "shared"\n[sink."{COPY}"]\nprocess = "shared"\ninterval = "50ms"\n{files.section}'
    with Collector(tmp_path / "collector") as collector:
        trial = ExportTrial(tmp_path / "agent", CollectorSide(collector), flags=UNHURRIED, more=more)
        with trial:
            yield trial, files


@pytest.mark.timeout(240)
def test_both_sinks_have_every_tick_after_each_kill(both: tuple[ExportTrial, FileSide]) -> None:
    """The process of the exporters, the agent by SIGTERM, the agent by SIGKILL: nothing is lost, the account adds up."""
    trial, files = both
    first = trial.judge(files, COPY)
    assert (first.lost, first.doubled) == (0, 0)
    before = exports(trial)
    assert set(before) == {NAME, COPY}

    trial.agent.kill_worker(SHARED)
    trial.judge()
    trial.agent.end(signal.SIGTERM)
    trial.agent.start()
    trial.judge()
    trial.agent.end(signal.SIGKILL)
    trial.agent.start()

    collected, copied = trial.judge(), trial.judge(files, COPY)
    assert (collected.lost, copied.lost, copied.doubled) == (0, 0, 0)
    assert collected.doubled_deliveries <= 3
    assert copied.stored > first.stored
    after = exports(trial)
    for sink in (NAME, COPY):
        account = after[sink]["ledger"]
        assert account["produced"] == sum(account[where] for where in ("delivered", "rejected", "pruned", "pending"))
        assert account["rejected"] == account["pruned"] == 0
        assert account["produced"] > before[sink]["ledger"]["produced"]

    def listed() -> dict[str, list[str]]:
        return {line.split()[0]: line.split()[1:3] for line in ctl(trial, "list-exports").splitlines()}

    # An exporter that does not answer within 0.3 s is left out.
    wait_until(lambda: listed() == {"SINK": ["KIND", "STATE"], NAME: ["otlp", "up"], COPY: ["file", "up"]}, "both are up")
    wait_until(lambda: all(f'exporter/{sink}"' in scraped(trial) for sink in (NAME, COPY)), "both are shown")
    page = scraped(trial)
    for sink in (NAME, COPY):
        assert re.search(rf'^evergauge_export_up{{[^}}]*exporter/{sink}"[^}}]*}} 1', page, re.MULTILINE), page
        assert re.search(rf'^evergauge_export_delivered_rows_total{{[^}}]*exporter/{sink}"', page, re.MULTILINE)


class _Refusing:
    """A sink whose receiver refuses every request and repeats the token. It never has anything."""

    flags: dict[str, str] = {}  # noqa: RUF012  never changed
    doubled_max_per_kill = 0
    is_prompt = True

    def __init__(self, url: str, folder: Path) -> None:
        for name, text in (("token", SECRETS[0]), ("password", SECRETS[1]), ("headers", f"X-Key: {SECRETS[0]}")):
            (folder / name).write_text(f"{text}\n")
        self.section = f'kind = "otlp"\nendpoint = "{url}"\ntoken_file = "{folder}/token"\nheaders_file = "{folder}/headers"\n'
        self.more = (
            f'[sink."metrics"]\nkind = "prometheus"\nendpoint = "{url}/api/v1/write"\n'
            f'username = "me"\npassword_file = "{folder}/password"\n'
        )

    def deliveries(self) -> list[Any]:
        """See SinkSide."""
        return []

    def newest_ms(self) -> int:
        """See SinkSide."""
        return 0


@pytest.mark.timeout(120)
def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    """Neither commands, pages, logs, files, nor what other users of the host see of a process."""

    def refused(request: Request) -> Answer:
        secret = SECRETS["write" in request.target]
        return Answer(401, (("Content-Type", "text/plain"),), f"I do not know {secret}".encode())

    with HttpSink(refused) as receiver:
        side = _Refusing(receiver.url, tmp_path)
        with ExportTrial(tmp_path / "agent", side, more=side.more) as trial:
            sinks = (NAME, "metrics")
            wait_until(lambda: {trial.report_of(sink).get("state") for sink in sinks} == {"paused"}, "both are paused")
            agent = trial.agent
            told = [ctl(trial, *words.split()) for words in ("list-exports", "list-exports --json", "status --json", "diag --json")]
            told += [scraped(trial), agent.output]
            for each in agent.note_processes():
                with suppress(psutil.NoSuchProcess):
                    told.append(" ".join(each.cmdline()))
            checked = run_agentd(*agent.command_line("--check-config", "--connect")[3:])
            told.append(checked.stdout + checked.stderr)
            assert sum("does not take our credentials" in each for each in told) >= 4
            files = [
                path.read_bytes() for root in (agent.state_dir, agent.runtime_dir) for path in root.rglob("*") if path.is_file()
            ]
            every = b"\n".join([*(each.encode() for each in told), *files])
            for secret in SECRETS:
                assert secret.encode() not in every
