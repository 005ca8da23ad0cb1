"""Kills parts of a real agent at random for a while and watches whether anything grows.

One, two or all workers, the process in reserve, the fork server and, with --supervisor, the supervisor are killed; workers are
stopped until they count as hung; workers are restarted by command; rules come and go. After every hundred kills there is a calm
moment: everybody must be up and say itself that it holds the rules in force, and what supervisor and fork server hold is counted.
In every calm moment all lasting processes and the state folder are measured too: their slopes per hour, after a warm-up, are judged
whether or not anything is killed; a run that is too short for it says so.
The report ends with verdicts; the exit code is 1 when one of them is bad. Ctrl-C ends the soak, not the report.
"""

import argparse
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.control_connection import Refused
from harness.waiting import NotInTime, wait_until
from soaking.agent_under_test import QUOTA_BYTES, AgentUnderTest
from soaking.chaos import Chaos
from soaking.endurance import JUDGED_SECONDS_MIN, WARM_UP_SECONDS, Terms
from soaking.endurance_report import write_report
from soaking.moments import take_moment
from soaking.report import Findings, document, text, verdicts
from soaking.samples import read_stored, take_samples

from agent.model.timebase import parse_duration_ns

KILLS_PER_CALM = 100
CALM_SECONDS_MAX = 20.0
# Where little or nothing is killed, a calm moment comes anyway.
CALM_INTERVAL_SECONDS = 10.0
PROGRESS_SECONDS = 10.0
# The end of the parent ends it too (PR_SET_PDEATHSIG, linux/prctl.h).
HOG = "import ctypes; ctypes.CDLL(None).prctl(1, 9)\nwhile True: pass"


class Soak:
    """One run: `run` soaks, `end` ends the agent and reads what it has stored."""

    def __init__(self, agent_under_test: AgentUnderTest, options: argparse.Namespace) -> None:
        self._agent = agent_under_test
        self._options = options
        self.chaos = Chaos(agent_under_test, random.Random(options.seed), with_supervisor=options.supervisor)
        self.findings = Findings()
        self.findings.terms = Terms(options.warm_up, options.judge_from, QUOTA_BYTES)
        self.is_interrupted = False
        self._calm_at_kills = 0
        self._calm_at = 0.0
        self._progress_at = 0.0

    def run(self) -> None:
        """Until the time is over, enough is killed, or Ctrl-C."""
        begun = time.monotonic()
        self._agent.start()
        self._take_calm(begun)
        due = time.monotonic()
        while not self._is_over(time.monotonic() - begun):
            if self._options.kills == 0:
                self._agent.workers()
                self.chaos.change_rules()
            else:
                self.chaos.step()
            self.chaos.follow()
            self._show_progress(begun)
            if self._is_calm_due():
                self._take_calm(begun)
            # From now on: what a calm moment took is not made good by haste.
            due = max(due + self._options.every, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        self._take_calm(begun)
        self.findings.seconds = time.monotonic() - begun

    def end(self) -> None:
        """End the agent, and look at what is left of it."""
        self.findings.exit_code = self._agent.end()
        self.findings.left_behind = self._agent.left_behind()
        self.chaos.follow()
        self.chaos.close()
        self.findings.stored = read_stored(self._agent.state_dir)

    def _is_over(self, seconds: float) -> bool:
        limit = self._options.kills
        return self.is_interrupted or seconds >= self._options.seconds or (limit is not None and 0 < limit <= self.chaos.killed)

    def _is_calm_due(self) -> bool:
        is_late = time.monotonic() - self._calm_at >= self._options.calm
        return is_late or self.chaos.killed - self._calm_at_kills >= KILLS_PER_CALM

    def _take_calm(self, begun: float) -> None:
        """Wait until all is as it should be, which it must be soon, and count."""
        try:
            wait_until(
                lambda: not self.chaos.stopped(self._agent.workers()), "who was stopped is replaced", seconds=CALM_SECONDS_MAX
            )
            wait_until(lambda: not self._agent.out_of_step(), "all is calm", seconds=CALM_SECONDS_MAX)
            if not self.chaos.rules_kept():
                self.findings.not_calm.append(f"after {self.chaos.killed} kills the rules are not those that were told")
        except NotInTime as late:
            self.findings.not_calm.append(f"after {self.chaos.killed} kills: {late}: {self._agent.out_of_step()}")
        self.chaos.follow()
        self.findings.calms += 1
        self.findings.samples += take_samples(self._agent, time.monotonic() - begun, self.chaos.killed)
        self.findings.moments.append(take_moment(self._agent, time.monotonic() - begun))
        self._calm_at_kills, self._calm_at = self.chaos.killed, time.monotonic()

    def _show_progress(self, begun: float) -> None:
        now = time.monotonic()
        if now - self._progress_at >= PROGRESS_SECONDS:
            self._progress_at = now
            memory = " ".join(f"{each.role} {each.rss_bytes >> 10} KiB" for each in self.findings.samples[-2:])
            bad = len(self.findings.not_calm) + len(self.chaos.false_kills) + len(self.chaos.bugs)
            print(f"{now - begun:6.0f} s  {self.chaos.killed:6} kills  {memory}  {bad} complaints", file=sys.stderr, flush=True)


def main() -> int:
    """Soak, report; gives the exit code."""
    options = _parse(sys.argv[1:])
    print(f"seed {options.seed}", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    agent_under_test = AgentUnderTest(folder, shlex.split(options.agentd))
    soak = Soak(agent_under_test, options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: setattr(soak, "is_interrupted", True))
    with _load(options.load):
        try:
            soak.run()
        except (OSError, ValueError, Refused, AssertionError) as problem:
            # What the agent should have answered or done: part of the report, not the end of it.
            soak.findings.problem = f"after {soak.chaos.killed} kills: {type(problem).__name__}: {problem}"
        finally:
            soak.end()
    shown = {name: value for name, value in vars(options).items() if value not in (None, False)}
    report = document(soak.findings, soak.chaos, agent_under_test, shown)
    print(text(report))
    if options.report:
        write_report(Path(options.report), report, soak.findings.moments, options.warm_up)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    is_good = all(each.is_good is not False for each in verdicts(soak.findings, soak.chaos))
    if is_good and not options.keep:
        shutil.rmtree(folder)
    else:
        print(f"everything of this agent lies in {folder}", file=sys.stderr)
    return 0 if is_good else 1


@contextmanager
def _load(count: int) -> Iterator[None]:
    """So many processes that want a processor each, all the time."""
    hogs = [subprocess.Popen([sys.executable, "-c", HOG]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _seconds(words: str) -> float:
    try:
        return parse_duration_ns(words) / 1e9
    except ValueError as refused:
        raise argparse.ArgumentTypeError(str(refused)) from refused


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--for", dest="seconds", type=_seconds, default=60.0, metavar="DURATION", help="how long (default 60s)")
    parser.add_argument("--every", type=_seconds, default=0.1, metavar="DURATION", help="time between faults (default 100ms)")
    parser.add_argument("--kills", type=int, metavar="N", help="end after N kills; 0: kill nothing, count false kills")
    parser.add_argument("--load", type=int, default=0, metavar="N", help="N processes that each keep a processor busy meanwhile")
    parser.add_argument("--supervisor", action="store_true", help="kill the supervisor too, and start it again at once")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="the same things in the same order")
    parser.add_argument("--json", metavar="FILE", help="write the report with all samples there")
    parser.add_argument("--report", metavar="FOLDER", help="write report.md with a picture, and report.json, there")
    warm, judged = f"{WARM_UP_SECONDS / 60:.0f}m", f"{JUDGED_SECONDS_MIN / 60:.0f}m"
    about = f"what a process gains in it is left out of slopes per hour (default {warm})"
    parser.add_argument("--warm-up", type=_seconds, default=WARM_UP_SECONDS, metavar="DURATION", help=about)
    about = f"after so long a life behind the warm-up slopes are judged (default {judged})"
    parser.add_argument("--judge-from", type=_seconds, default=JUDGED_SECONDS_MIN, metavar="DURATION", help=about)
    about = f"time between two calm moments (default {CALM_INTERVAL_SECONDS:.0f}s)"
    parser.add_argument("--calm", type=_seconds, default=CALM_INTERVAL_SECONDS, metavar="DURATION", help=about)
    parser.add_argument("--keep", action="store_true", help="keep the agent's folders (kept anyway when a verdict is bad)")
    default = f"{shlex.quote(sys.executable)} -c 'from agent.daemon.main import main; main()'"
    parser.add_argument("--agentd", default=default, metavar="COMMAND", help="the program to soak (default: of this checkout)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
