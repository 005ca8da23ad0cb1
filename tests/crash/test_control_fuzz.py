"""Noise on every socket and every shared page of a real agent, from somebody who is let in: nothing dies, grows or waits.

Seeds are drawn from the run's own and printed; `scripts/bench/control_attack` is the same at full size.
"""

import os
import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import attack
from fakes.attacker import Attack
from fakes.edge import Probe
from fakes.hollow_worker import HollowVoice, hollow_agent
from harness.agent_process import AgentProcess
from harness.control_connection import ControlConnection
from harness.proc import rss_bytes
from harness.waiting import wait_until
from msgspec.msgpack import Ext

from agent.model.heartbeat_page import BODY_BYTES, BODY_OFFSET, VERSION
from agent.model.message import Ask, Batch, Bye, Identity, Lost, Reply, encode

MIB = 1 << 20
RSS_GROWTH_BYTES_MAX = 10 * MIB
# What a Reply may hold on the wire and must not be taken for.
NO_ANSWERS: tuple[dict[Any, Any], ...] = (
    {"a": Ext(5, b"x")}, {"a": {None: 1}}, {"a": {(1, 2): 3}}, {"workers": 5}, {"workers": [1]}, {"workers": [], "counters": 7},
    {"name": "writer", "epoch": 99},
)  # fmt: skip
NAMES = "writer,control-plane,sampler/process,gateway"


def new_seed() -> int:
    """A seed that is printed with a failure."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    return seed


class Unharmed:
    """What must be after an attack as it was before: the processes, the supervisor's memory; and quick answers meanwhile."""

    def __init__(self, agent: AgentProcess) -> None:
        assert agent.process is not None
        self._agent = agent
        self._pid = agent.process.pid
        self.probe = Probe(agent.runtime_dir / "control.sock")
        # The first questions cost memory once.
        Probe(agent.runtime_dir / "control.sock").run_while(lambda: False, least=20)
        self._generations = self._living()
        self._rss_bytes = rss_bytes(self._pid)

    def _living(self) -> dict[str, tuple[int, int]]:
        return {name: (row["pid"], row["epoch"]) for name, row in self._agent.workers().items()}

    def check(self) -> None:
        """*Raises:* AssertionError naming what is not as it was."""
        assert self._agent.process is not None
        assert self._agent.process.poll() is None, self._agent.output[-3000:]
        assert self._living() == self._generations, self._agent.output[-3000:]
        growth = rss_bytes(self._pid) - self._rss_bytes
        assert growth < RSS_GROWTH_BYTES_MAX, f"the supervisor has grown by {growth / MIB:.1f} MiB"
        if self.probe.seconds:
            self.probe.assert_prompt()


@contextmanager
def voice_of(agent: AgentProcess, name: str) -> Iterator[HollowVoice]:
    """Speak on the bus for a hollow worker, who is up by it."""
    wait_until(lambda: agent.workers()[name]["pid"], "the hollow worker is started")
    row = agent.workers()[name]
    identity = Identity(agent.call("hello")["run"], name, row["epoch"])
    with closing(HollowVoice(str(agent.runtime_dir / "bus.sock"), identity)) as voice:
        voice.become_up(row["pid"])
        wait_until(lambda: all(row["state"] == "up" for row in agent.workers().values()), "all workers are up")
        yield voice


def test_noise_on_the_control_socket_is_answered_line_by_line_and_harms_nothing(tmp_path: Path) -> None:
    """Bytes, broken requests, deep and giant values: an answer for every line, and another client is still served."""
    with AgentProcess(tmp_path) as agent:
        agent.call("add-rule", rule={"name": "ours"})
        unharmed = Unharmed(agent)
        with Attack("control", agent.runtime_dir / "control.sock", seed=new_seed(), frames=20_000) as noise:
            unharmed.probe.run_while(noise.is_running)
            frames = noise.result()["frames"]
        unharmed.check()
        assert agent.call("status")["counters"]["control_malformed"] > frames // 4
        assert "ours" in {rule["name"] for rule in agent.call("list-rules")["rules"]}


def test_noise_of_strangers_on_bus_and_data_socket_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    """Foreign and nearly right identities, messages whole and broken, bytes that are no ZeroMQ: both ends go on."""
    targets = (("bus", "bus.sock", 20_000), ("data", "data.sock", 20_000), ("wire", "bus.sock", 500), ("wire", "data.sock", 500))
    with AgentProcess(tmp_path) as agent, ExitStack() as attacks:
        unharmed = Unharmed(agent)
        run = agent.call("hello")["run"]
        started = [
            attacks.enter_context(Attack(target, agent.runtime_dir / name, seed=new_seed(), frames=frames, run=run, names=NAMES))
            for target, name, frames in targets
        ]
        unharmed.probe.run_while(lambda: any(each.is_running() for each in started))
        bus, data, *_ = (each.result()["frames"] for each in started)
        status = agent.call("status")
        unharmed.check()
        # A forged message that was accepted would have set conditions of such names. Others depend on what else runs here.
        assert {each["kind"] for each in status["conditions"]} & set(attack.WORDS) == set()
        assert status["counters"]["bus_malformed"] > bus // 4
        assert unstored(agent) > data // 4
        ticks = agent.stats("sampler/process")["ticks"]
        wait_until(lambda: agent.stats("sampler/process")["ticks"] > ticks, "samples go on")


def test_a_worker_that_says_anything_at_all_on_the_bus_harms_nobody_else(tmp_path: Path) -> None:
    """Its identity is right, its words are noise: supervisor and other workers go on, with the operator's rules."""
    rng = random.Random(new_seed())
    with hollow_agent(tmp_path, "idle=idle,hollow=control-plane", ready=False) as agent, voice_of(agent, "hollow") as voice:
        agent.call("add-rule", rule={"name": "ours"})
        unharmed = Unharmed(agent)
        for number in range(15_000):
            voice.say(attack.bus_message(rng))
            if number % 50 == 0:
                voice.drain()
                unharmed.probe.ask()
        unharmed.check()
        assert [rule["name"] for rule in agent.call("list-rules")["rules"]] == ["ours"]
        wait_until(lambda: agent.workers()["idle"]["in_sync"], "the other workers hold what is in force")


def test_a_workers_answer_that_is_none_is_not_believed_and_ends_nothing(tmp_path: Path) -> None:
    """Values that JSON has not, keys that have a meaning to the supervisor: the client gets an answer, others go on."""
    with (
        hollow_agent(tmp_path, "hollow=idle", ready=False) as agent,
        voice_of(agent, "hollow") as voice,
        ControlConnection(agent.runtime_dir / "control.sock") as client,
    ):
        for body in NO_ANSWERS:
            client.say(b'{"op": "worker-state", "args": {"name": "hollow"}}\n')
            asked = voice.hear(Ask)
            while asked.what != "rules":
                asked = voice.hear(Ask)
            voice.say(encode(Reply(asked.ask, body)))
            answer = client.answer()
            assert not answer["ok"] or (answer["result"]["name"], answer["result"]["epoch"]) == ("hollow", 1), body
        assert agent.workers()["hollow"]["epoch"] == 1


def test_numbers_that_no_column_holds_do_not_end_the_writer(tmp_path: Path) -> None:
    """In an identity or in a message: it is a stranger's mistake, the writer counts it and goes on."""
    with AgentProcess(tmp_path) as agent:
        unharmed = Unharmed(agent)
        run = agent.call("hello")["run"]
        data = str(agent.runtime_dir / "data.sock")
        stored = encode(Batch(1, "process", 1, time.time_ns(), 0))
        last = encode(Bye((1 << 64) - 1, (Lost(1, (1 << 64) - 2, 0, ""),)))
        for epoch, head in ((1 << 63, stored), (10**200, stored), (1, last), (2, stored)):
            with closing(HollowVoice(data, Identity(run, "sampler/x", epoch))) as voice:
                before = unstored(agent)
                voice.say(head, b"\x90")
                voice.say(b"\xc1")
                wait_until(partial(has_more_unstored, agent, before), f"the noise after {epoch}, {head!r} is counted")
        unharmed.check()


def has_more_unstored(agent: AgentProcess, before: int) -> bool:
    """Whether the writer has counted another one."""
    return unstored(agent) > before


def unstored(agent: AgentProcess) -> int:
    """How many messages the writer found to be none."""
    stats = agent.stats("writer")
    return int(stats["malformed"] + stats["data_malformed"])


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[tuple[AgentProcess, list[int]]]:
    """An agent, and descriptors of the heartbeat pages of all its workers, such as any process of its user can open."""
    # Noise may look like silence for a while, and for that a worker is rightly ended.
    with AgentProcess(tmp_path, flags={"--supervisor-hang-timeout": "20s"}) as agent:
        opened = [page_of(row["pid"]) for row in agent.workers().values()]
        yield agent, opened
        for page in opened:
            os.close(page)


def page_of(pid: int) -> int:
    """The page of a worker, opened once more."""
    names = [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    return os.open(next(name for name in names if is_page(name)), os.O_RDWR)


def is_page(descriptor: str) -> bool:
    """Whether a worker's descriptor is that of its page; most others come and go."""
    with suppress(FileNotFoundError):
        return "memfd:" in os.readlink(descriptor)
    return False


def test_noise_in_the_heartbeat_pages_is_looked_at_and_harms_nothing(pages: tuple[AgentProcess, list[int]]) -> None:
    """Torn pages, turns that run backwards, instants in the future, digests of nothing: nobody is killed for them."""
    agent, opened = pages
    rng = random.Random(new_seed())
    unharmed = Unharmed(agent)
    end = time.monotonic() + 2.0

    def scribble() -> bool:
        for page in opened:
            body = rng.choice((rng.randbytes(BODY_BYTES), b"\xff" * BODY_BYTES, bytes(BODY_BYTES)))
            os.pwrite(page, VERSION.pack(rng.getrandbits(64)) + body, 0)
            if rng.random() < 0.5:
                os.pwrite(page, body[: rng.randint(1, BODY_BYTES)], BODY_OFFSET)
        return time.monotonic() < end

    unharmed.probe.run_while(scribble)
    unharmed.check()
    wait_until(lambda: all(row["in_sync"] for row in agent.workers().values()), "all hold what is in force")


def test_a_heartbeat_page_cannot_be_taken_away_from_under_the_supervisor(pages: tuple[AgentProcess, list[int]]) -> None:
    """Its memory stays as long as somebody looks at it, even if a client tries to shorten it."""
    agent, opened = pages
    unharmed = Unharmed(agent)
    for page in opened:
        # Refused or not, the reader must not pay for it.
        with suppress(PermissionError):
            os.ftruncate(page, 0)
    end = time.monotonic() + 0.5
    unharmed.probe.run_while(lambda: time.monotonic() < end)
    unharmed.check()


def test_somebody_who_calls_the_fork_server_and_says_nothing_ends_no_worker(tmp_path: Path) -> None:
    """Connections that end at once, and ones that bring noise: all live on, and the next worker starts as usual."""
    with AgentProcess(tmp_path) as agent:
        unharmed = Unharmed(agent)
        (listener,) = (path for path in agent.runtime_dir.rglob("listener-*") if path.is_socket())
        for noise in (b"", b"x", bytes(300)):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(str(listener))
                stream.sendall(noise)
        unharmed.probe.run_while(lambda: False, least=50)
        unharmed.check()
        row = agent.wait_for_replacement(agent.kill_worker("gateway"))
        assert row["restarts"] == 1
