"""A new kind of worker is one folder: the real agent runs it, stores its rows and shows its numbers."""

import shutil
import sys
import urllib.request
from pathlib import Path

from fakes import new_kind
from harness.agent_process import AgentProcess
from harness.waiting import wait_until

TESTS_FOLDER = Path(__file__).parents[1]


def test_a_kind_in_a_folder_of_its_own_is_run_stored_and_shown(tmp_path: Path) -> None:
    """Nothing else names it; killed, it is restarted like any other, and its setting switches it off."""
    kinds = tmp_path / "kinds"
    folder = tmp_path / "agent"
    folder.mkdir()
    (kinds / "made_up").mkdir(parents=True)
    (kinds / "made_up" / "__init__.py").touch()
    shutil.copy(new_kind.__file__, kinds / "made_up" / "worker.py")
    program = ("env", "-C", str(TESTS_FOLDER), f"EXTRA_KINDS={kinds}", sys.executable, "-m", "fakes.extended_agent")
    with AgentProcess(folder, program=program) as agent:
        assert list(agent.workers())[-2:] == ["made-up", "gateway"]
        wait_until(lambda: agent.stats("made-up")["turns"] > 1, "it turns")
        address = agent.stats("gateway")["address"]

        def scraped() -> bytes:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
                return bytes(answer.read())

        # A worker that does not answer within 0.3 s is left out of a scrape.
        wait_until(lambda: b'evergauge_made_up_turns_total{worker="made-up"}' in scraped(), "its number is shown")
        agent.wait_for_replacement(agent.kill_worker("made-up"))
        assert agent.wait_sealed("made_up")
    with AgentProcess(folder, program=program, flags={"--made-up-enabled": "false"}) as agent:
        assert "made-up" not in agent.workers()
