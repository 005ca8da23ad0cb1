"""What every process of the agent would pay for, and none needs, is in none of them."""

import subprocess
import sys
from pathlib import Path

from agent import multiprocess_bootstrap

ROOT = Path(__file__).parents[2]
# Each costs memory and time at the start: in the supervisor, or in the pages that all workers share.
HEAVY = {
    "_hashlib",
    "hashlib",
    "asyncio",
    "dataclasses",
    "difflib",
    "dill",
    "duckdb",
    "email",
    "grpc",
    "h2",
    "hpack",
    "http",
    "inspect",
    "logging",
    "pkgutil",
    "psutil",
    "pyarrow",
    "ssl",
    "typing_extensions",
}
# tenacity, which tells how long a worker waits for its next start, brings these.
BROUGHT_BY_TENACITY = {"dataclasses", "inspect", "logging"}


def loaded_by(code: str) -> set[str]:
    """The heavy packages that a new interpreter has after this code."""
    names = f"sorted(name for name in {HEAVY!r} if sys.modules.get(name))"
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*{names})"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return set(done.stdout.split())


def test_the_fork_server_has_nothing_heavy() -> None:
    """As it is started: the prologue, then all that its workers need."""
    assert loaded_by(multiprocess_bootstrap.prologue([str(ROOT), *sys.path]) + "import workers.runtime.preload") == set()


def test_the_supervisor_has_nothing_heavy() -> None:
    """As agentd begins, with all that it needs to be the agent, and what it imports for the fork server."""
    begin = "from agent.multiprocess_bootstrap import hide_unused_packages; hide_unused_packages()\n"
    assert (
        loaded_by(begin + "import agent.daemon.foreground, agent.daemon.wiring as it; it._import_for_workers(it.Config({}))")
        == set()
    )


def test_a_second_restart_in_a_row_brings_what_tenacity_brings() -> None:
    """And no more: the wait before it is the first that is computed."""
    policy = "Backoff(base_ns=1, factor=2, ceiling_ns=9, jitter_percent=0)"
    code = f"from agent.model.backoff import Backoff, full_delay_ns; full_delay_ns(2, {policy})"
    assert loaded_by("import agent.multiprocess_bootstrap as it; it.hide_unused_packages()\n" + code) == BROUGHT_BY_TENACITY


def test_agentd_hides_it_before_anything_else() -> None:
    """Its own entry does it, also where it only says which version it is."""
    code = "import sys, agent.daemon.main; sys.argv[1:] = ['--version']; agent.daemon.main._run()"
    assert "typing_extensions" not in loaded_by(code)
