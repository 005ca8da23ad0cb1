"""The control edge under attack, as figures: noise by the million on all sockets, idle and slow clients by the thousand.

Each part has an agent of its own. A part is what `tests/crash` does in small: the same noise (`fakes.attack`), the same other
client who asks `list-workers` all the time and measures how long the answers take.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from fakes import attack
from fakes.attacker import Attack
from fakes.crowd import Crowd, give_many_rules
from fakes.edge import Probe, many_descriptors, percentile
from fakes.hollow_worker import HollowVoice, hollow_agent
from harness.agent_process import AgentProcess
from harness.proc import descriptors, rss_bytes
from harness.waiting import wait_until

from agent.model.message import Identity

MIB = 1 << 20
# Seldom enough that the measuring client is no load of its own over minutes.
PAUSE_SECONDS = 0.02
NAMES = "writer,control-plane,sampler/process,gateway"
ANSWER_MS_P99_MAX = 50
# It takes tens of seconds; an agent whose writer keeps dying would never be through.
ATTACK_SECONDS_MAX = 180
RSS_GROWTH_MIB_MAX = 10
# Parts of all frames: lines on the control socket, messages of strangers, connections of bytes, words of a worker gone mad.
SHARES = {"control": 0.25, "bus": 0.35, "data": 0.25, "wire": 0.05, "worker": 0.1}


class Watch:
    """An agent before and after: who lived, what it held, how quickly it answered meanwhile."""

    def __init__(self, agent: AgentProcess) -> None:
        assert agent.process is not None
        self._agent = agent
        self._pid = agent.process.pid
        control = agent.runtime_dir / "control.sock"
        Probe(control).run_while(lambda: False)
        self.probe = Probe(control, pause_seconds=PAUSE_SECONDS)
        self._workers = agent.workers()
        self._rss_bytes = {name: rss_bytes(pid) for name, pid in self._pids().items()}
        self._descriptors = descriptors(self._pid)
        self._begun = time.monotonic()

    def _pids(self) -> dict[str, int]:
        return {"supervisor": self._pid, **{name: row["pid"] for name, row in self._workers.items()}}

    def figures(self, frames: int) -> dict[str, Any]:
        """What came of it; frames may be 0 where nothing is counted."""
        seconds = time.monotonic() - self._begun
        after = self._agent.workers()
        died = [name for name, row in after.items() if row["epoch"] != self._workers[name]["epoch"]]
        growth = {name: (rss_bytes(pid) - self._rss_bytes[name]) / MIB for name, pid in self._pids().items() if name not in died}
        wait_until(lambda: descriptors(self._pid) <= self._descriptors + 1, "descriptors are given back")
        return {
            "frames": frames,
            "frames_per_second": round(frames / seconds),
            "seconds": round(seconds, 1),
            "workers_that_died": died,
            "rss_growth_mib": {name: round(mebibytes, 2) for name, mebibytes in growth.items()},
            "answers": len(self.probe.seconds),
            "answer_ms": _spread(self.probe.seconds),
            # Without the time in which the machine had no processor for the agent or for the one who asked.
            "answer_ms_with_a_processor": _spread(self.probe.own_seconds),
        }


def _spread(seconds: list[float]) -> dict[str, float]:
    return {name: round(percentile(seconds, share) * 1e3, 2) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def attack_sockets(folder: Path, seed: int, frames: dict[str, int], targets: tuple[tuple[str, str, int], ...]) -> dict[str, Any]:
    """Attackers side by side on the sockets of one agent: (what, on which socket, how many beside each other)."""
    with AgentProcess(folder, quick=False) as agent, ExitStack() as started:
        watch = Watch(agent)
        run = agent.call("hello")["run"]
        attacks = [
            started.enter_context(
                Attack(what, agent.runtime_dir / name, seed=seed + number, frames=frames[what] // count, run=run, names=NAMES)
            )
            for what, name, count in targets
            for number in range(count)
        ]
        until = time.monotonic() + ATTACK_SECONDS_MAX

        def is_going_on() -> bool:
            assert time.monotonic() < until, f"the attack does not get through; workers: {agent.workers()}"
            return any(each.is_running() for each in attacks)

        watch.probe.run_while(is_going_on)
        figures = watch.figures(sum(each.result()["frames"] for each in attacks))
        status = agent.call("status")
        sides = {"supervisor": status["counters"], "writer": status["stats"]["writer"] or {}}
        counted = {side: {name: n for name, n in counts.items() if "malformed" in name} for side, counts in sides.items()}
        return {**figures, "counted": counted}


def attack_as_worker(folder: Path, seed: int, frames: int) -> dict[str, Any]:
    """The words of a worker who has lost its mind, under its own identity."""
    rng = random.Random(seed)
    with hollow_agent(folder, "idle*3=idle,hollow=control-plane", ready=False) as agent:
        wait_until(lambda: agent.workers()["hollow"]["pid"], "the hollow worker is born")
        row = agent.workers()["hollow"]
        identity = Identity(agent.call("hello")["run"], "hollow", row["epoch"])
        with closing(HollowVoice(str(agent.runtime_dir / "bus.sock"), identity)) as voice:
            voice.become_up(row["pid"])
            wait_until(lambda: all(each["state"] == "up" for each in agent.workers().values()), "all are up")
            watch = Watch(agent)
            for number in range(frames):
                voice.say(attack.bus_message(rng))
                if number % 100 == 0:
                    voice.drain()
                    watch.probe.ask()
            return watch.figures(frames)


def attack_by_crowd(folder: Path, idle: int, slow: int) -> dict[str, Any]:
    """Idle clients, slow writers and clients that never read, all at once."""
    folder.mkdir(exist_ok=True)
    give_many_rules(folder / "state", 1000)
    with AgentProcess(folder, quick=False) as agent, many_descriptors():
        watch = Watch(agent)
        with Crowd(agent.runtime_dir / "control.sock", idle=idle, deaf=slow, slow=slow, bytes_slow=9) as crowd:
            watch.probe.run_while(crowd.go_on, least=500)
            served = sum(crowd.slow_answers()) + sum(client.ask("hello")["ok"] for client in crowd.idle)
            refused = agent.call("status")["counters"]["control_refused"]
        return {**watch.figures(0), "served": served, "asked": idle + slow, "turned_away": refused}


def verdicts(parts: dict[str, dict[str, Any]]) -> dict[str, bool]:
    """Each must of the control edge, and whether it is met."""
    if any("failed" in part for part in parts.values()):
        return {"every part was finished": False}
    return {
        "no crash": not any(part["workers_that_died"] for part in parts.values()),
        f"answers p99 <= {ANSWER_MS_P99_MAX} ms": all(part["answer_ms"]["p99"] <= ANSWER_MS_P99_MAX for part in parts.values()),
        f"supervisor grows < {RSS_GROWTH_MIB_MAX} MiB": all(
            part["rss_growth_mib"]["supervisor"] < RSS_GROWTH_MIB_MAX for part in parts.values()
        ),
        "nobody turned away": parts["crowd"]["turned_away"] == 0 and parts["crowd"]["served"] == parts["crowd"]["asked"],
    }


def main() -> int:
    """Attack, print, and say by the exit code whether all is met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="frames of noise over all sockets")
    parser.add_argument("--idle", type=int, default=1000, help="clients that say nothing")
    parser.add_argument("--slow", type=int, default=10, help="clients that write a byte a second, and as many that never read")
    parser.add_argument("--seed", type=int, default=random.getrandbits(32), help="of the noise; printed")
    options = parser.parse_args()
    frames = {name: int(options.frames * share) for name, share in SHARES.items()}
    inner = (("bus", "bus.sock", 1), ("data", "data.sock", 1), ("wire", "bus.sock", 1), ("wire", "data.sock", 1))
    with tempfile.TemporaryDirectory(prefix="eg-") as root:
        made: dict[str, Callable[[Path], dict[str, Any]]] = {
            "control": lambda folder: attack_sockets(folder, options.seed, frames, (("control", "control.sock", 2),)),
            "strangers": lambda folder: attack_sockets(folder, options.seed, {**frames, "wire": frames["wire"] // 2}, inner),
            "worker": lambda folder: attack_as_worker(folder, options.seed, frames["worker"]),
            "crowd": lambda folder: attack_by_crowd(folder, options.idle, options.slow),
        }
        parts = {}
        for name, part in made.items():
            (folder := Path(root) / name).mkdir()
            try:
                parts[name] = part(folder)
            except (AssertionError, OSError, RuntimeError, KeyError) as failure:
                # An agent that is dead or stuck is a result too, and no reason not to look at the other parts.
                parts[name] = {"failed": f"{type(failure).__name__}: {failure}"[-2000:]}
            print(f"{name}: {parts[name].get('failed') or parts[name]['seconds']}", file=sys.stderr)
    met = verdicts(parts)
    total = sum(part.get("frames", 0) for part in parts.values())
    print(json.dumps({"seed": options.seed, "frames": total, "musts": met, **parts}, indent=2))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
