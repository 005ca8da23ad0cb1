"""A scripted hub hands batches of five hosts to the writer of a real agent, which is killed again and again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
import zmq
from fakes.foreign_node import ForeignNode
from fakes.sealed_rows import sealed_rows
from harness.agent_process import AgentProcess, run_agentctl
from harness.waiting import wait_until

from agent.model.message import ForeignBatch, Identity
from agent.model.tables import CONTAINER_NAME
from agent.store.record import TableForm, form_of
from workers.runtime.forwarder import SocketForwarder
from workers.runtime.outbox import SocketOutbox

KILLS = 20
# A killed writer may stay down for some tenths of a second: kills follow one another here.
FLAGS = {"--supervisor-backoff-base": "10ms", "--supervisor-backoff-ceiling": "200ms", "--supervisor-orphan-grace": "30s"}
STAMP_NS = 1_700_000_000_000_000_000
# One table that this version declares, one of a newer version of it, one that it does not know at all.
DECLARED = form_of(CONTAINER_NAME)
NEWER = TableForm(
    CONTAINER_NAME.version + 1, (*DECLARED.names, "colour"), (*DECLARED.dtypes, "utf8"), DECLARED.prefix, (*DECLARED.nullable, True)
)
UNKNOWN = TableForm(1, ("timestamp", "name", "number"), ("int64", "utf8", "int64"), "x-", (False, False, False))
FORMS: Mapping[int, tuple[str, TableForm]] = {
    1: (CONTAINER_NAME.name, DECLARED), 2: (CONTAINER_NAME.name, DECLARED), 3: (CONTAINER_NAME.name, NEWER),
    4: ("novelty", UNKNOWN), 5: ("novelty", UNKNOWN),
}  # fmt: skip


def measured(node: ForeignNode, number: int, rows: int) -> ForeignBatch:
    """The next batch of a host."""
    table, form = FORMS[number]
    seq = len(node.batches) + 1
    names = [f"{node.host}/{seq}/{row}" for row in range(rows)]
    colour = () if form is DECLARED else ("red",)
    values: dict[str, list[tuple[Any, ...]]] = {
        CONTAINER_NAME.name: [(STAMP_NS + seq, name, name, "pod", node.who.run, *colour) for name in names],
        "novelty": [(STAMP_NS + seq, name, seq) for name in names],
    }
    return node.send(values[table], STAMP_NS + seq, table, form)


class Hub:
    """One start of a hub: its end of the data socket, and which number stands for which batch of which host."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", path: str, epoch: int) -> None:
        self.outbox = SocketOutbox(context, path, Identity("0123456789abcdef", "hub", epoch), bytes_max=1 << 20)
        self.forwarder = SocketForwarder(self.outbox)
        self.handed_on: dict[int, tuple[int, int]] = {}

    def hand_on(self, number: int, batch: ForeignBatch) -> bool:
        """Whether there was room."""
        taken = self.forwarder.offer(batch)
        if taken is not None:
            self.handed_on[taken] = number, batch.origin.seq
        return taken is not None

    def answered(self) -> Iterator[tuple[int, int]]:
        """Hosts and numbers that are stored since the last look."""
        self.outbox.pump()
        for taken in [taken for taken in self.handed_on if taken <= self.forwarder.stored()]:
            yield self.handed_on.pop(taken)


class Story:
    """Five hosts, a hub that may die, and an agent whose writer is killed."""

    def __init__(self, agent: AgentProcess, random: Random) -> None:
        self.agent = agent
        self.random = random
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.nodes = {number: ForeignNode(number) for number in FORMS}
        self.sent = dict.fromkeys(FORMS, 0)
        self.stored = dict.fromkeys(FORMS, 0)
        self.rows = 0
        self.epoch = 0
        self.hub = self.start_hub()

    def start_hub(self) -> Hub:
        """The next one knows nothing: every host begins again behind what it was told is stored."""
        if self.epoch:
            self.hub.outbox.close()
        self.epoch += 1
        self.sent = dict(self.stored)
        self.hub = Hub(self.context, str(self.agent.runtime_dir / "data.sock"), self.epoch)
        return self.hub

    def measure(self, batches: int) -> None:
        """Every host has more."""
        for number, node in self.nodes.items():
            for _ in range(batches):
                rows = self.random.randint(1, 4)
                self.rows += rows
                measured(node, number, rows)

    def send(self) -> None:
        """What was not sent, and now and then some that was."""
        for number, node in self.nodes.items():
            begin = self.stored[number] if self.random.random() < 0.3 else self.sent[number]
            for at in range(begin, len(node.batches)):
                if not self.hub.hand_on(number, node.batches[at]):
                    # No room before the writer has answered.
                    break
                self.sent[number] = max(self.sent[number], at + 1)
        self.hear()

    def hear(self) -> None:
        """What is stored."""
        for number, seq in self.hub.answered():
            self.stored[number] = max(self.stored[number], seq)

    def is_stored(self) -> bool:
        """Everything, after one more try."""
        self.send()
        return all(self.stored[number] == len(node.batches) for number, node in self.nodes.items())

    def close(self) -> None:
        """End the connection."""
        self.hub.outbox.close()
        self.context.term()


def query(agent: AgentProcess, statement: str) -> Any:
    """The answer of agentctl."""
    answer = run_agentctl("query", "--state-dir", str(agent.state_dir), "--json", statement)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def counts(agent: AgentProcess, table: str) -> dict[str, tuple[int, int]]:
    """Rows and different rows by host."""
    rows = query(
        agent, f"select host, count(*) as n, count(distinct name) as names from {table} where name like 'node-%' group by host"
    )
    return {row["host"]: (row["n"], row["names"]) for row in rows}


@pytest.mark.timeout(240)
def test_each_row_of_other_hosts_is_there_once_over_any_kill(tmp_path: Path) -> None:
    """The writer is killed 20 times, the hub three times, and each host sends some of its batches again."""
    with AgentProcess(tmp_path, flags=FLAGS) as agent:
        story = Story(agent, Random(88))
        for kill in range(KILLS):
            story.measure(story.random.randint(1, 20))
            story.send()
            before = agent.kill_worker("writer")
            story.send()
            if kill % 7 == 6:
                story.start_hub()
            agent.wait_for_replacement(before)
            story.send()
            if kill == KILLS // 2:
                agent.call("rotate")
        wait_until(story.is_stored, "everything is stored")
        expected = {node.host: (sum(batch.rows for batch in node.batches),) * 2 for number, node in story.nodes.items()}
        found = {table: counts(agent, table) for table, _ in FORMS.values()}
        assert {host: n for hosts in found.values() for host, n in hosts.items()} == expected
        agent.call("rotate")
        assert {host: n for table, _ in FORMS.values() for host, n in counts(agent, table).items()} == expected
        assert query(agent, "select * from gap where worker = 'hub'") == []
        foreign = agent.stats("writer")["foreign"]
        assert (foreign["hosts"], foreign["refused"]) == (5, {})
        story.close()
    files = [
        row
        for table in ("container_name", "novelty")
        for row in sealed_rows(agent.state_dir, table)
        if row["name"].startswith("node-")
    ]
    assert len(files) == story.rows
    assert {(row["host"], row["install"]) for row in files} == {(node.host, node.install) for node in story.nodes.values()}
    assert {row["colour"] for row in files if row["host"] == story.nodes[3].host} == {"red"}
