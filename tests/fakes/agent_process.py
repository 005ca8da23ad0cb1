"""Where `harness.agent_process` and `harness.waiting` were: for code that is on its way here."""

from harness.agent_process import AgentProcess, end_strays, run_agentctl, run_agentd
from harness.waiting import DEADLINE_SECONDS, wait_until

__all__ = ["DEADLINE_SECONDS", "AgentProcess", "end_strays", "run_agentctl", "run_agentd", "wait_until"]
