"""Rows of other hosts, from the hub's batch to the answer of a query, over real sealers and killed writers."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fakes.agentctl_here import agentctl_here
from fakes.export_host import ExportHost
from fakes.foreign_node import FORM, HUB, ForeignNode, ForwardingSender
from fakes.object_export import ObjectExportHost, files_below, rows_in
from fakes.sender import SAMPLE
from fakes.writer_host import WriterHost
from msgspec.structs import replace

from agent.cli.stored_rows import StoredRows
from agent.cli.time_bounds import EVERYTHING
from agent.cli.top_source import newest_sealed_rows
from agent.model.message import ForeignBatch, Identity
from agent.model.tables import GAP
from agent.model.timebase import DAY, HOUR, MINUTE, MS
from agent.store.install import read_install
from agent.store.place import BEGINNING
from agent.store.record import BatchIdentity, TableForm, form_of
from agent.store.sealed import choose, owners_of, wanted_of
from agent.store.spool_follower import SpoolFollower


class HubHost(WriterHost):
    """A host whose worker `hub` hands on what nodes send."""

    def hub(self, epoch: int = 1) -> ForwardingSender:
        """The hub connects."""
        sender = ForwardingSender(Identity(HUB.run, HUB.worker, epoch))
        self.senders = [other for other in self.senders if other.who.worker != HUB.worker] + [sender]
        self.peer.attach(sender)
        self.turn()
        return sender

    def hand_on(self, hub: ForwardingSender, *batches: ForeignBatch) -> None:
        """These go to the writer."""
        for batch in batches:
            self.peer.put(hub.who, hub.hand_on(batch))
        self.turn()


def ask(state: Path, statement: str) -> Any:
    """The answer of `agentctl query`."""
    code, text, told = agentctl_here(state, "query", statement, "--json")
    assert (code, told) == (0, ""), told
    return json.loads(text)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[HubHost]:
    """A hub whose writer has started."""
    made = HubHost(tmp_path)
    yield made
    made.close()


COUNTS = "select host, number, count(*) as n from sample group by all order by all"


def test_rows_of_other_hosts_are_in_the_same_file_with_their_host(host: HubHost) -> None:
    """One file of the table and date; the query finds them in the spool and in the file alike."""
    own, hub = host.sender(), host.hub()
    host.measure(own, 2, rows=4)
    nodes = [ForeignNode(1), ForeignNode(2)]
    host.hand_on(hub, *(node.measure(host.clock.wall_ns()) for node in nodes for _ in range(2)))
    expected = [
        {"host": name, "number": number, "n": 4 if name == "node-1" else 3}
        for name in ("node-1", "node-101", "node-102")
        for number in (1, 2)
    ]
    assert ask(host.state, COUNTS) == expected
    assert host.rotate()["rows"] == 8 + 12
    (path,) = (host.state / "data" / "sample").glob("*/*.parquet")
    table = pyarrow.parquet.ParquetFile(path).read()
    assert table.column_names == [*SAMPLE.column_names, "host", "install"]
    assert set(zip(table["host"].to_pylist(), table["install"].to_pylist(), strict=True)) == {
        ("node-1", None), ("node-101", nodes[0].install), ("node-102", nodes[1].install)
    }  # fmt: skip
    assert ask(host.state, COUNTS) == expected


def test_nodes_of_other_versions_share_the_file(host: HubHost) -> None:
    """It has all columns that any of them has; what a row's version lacks is null, and the file is still of this version."""
    hub, older, newer = host.hub(), ForeignNode(1), ForeignNode(2)
    own = host.sender()
    host.measure(own, rows=2)
    stamp = host.clock.wall_ns()
    short = TableForm(1, FORM.names[:4], FORM.dtypes[:4], FORM.prefix, FORM.nullable[:4])
    long = TableForm(9, (*FORM.names, "extra"), (*FORM.dtypes, "utf8"), FORM.prefix, (*FORM.nullable, True))
    host.hand_on(hub, older.send([(stamp, "w", 1, 1)], stamp, form=short))
    host.hand_on(hub, newer.send([(stamp, "w", 1, 1, None, True, "new")], stamp, form=long))
    statement = "select host, share, is_odd, extra from sample order by host, share nulls last"
    expected = [
        {"host": "node-1", "share": 1 / 7, "is_odd": True, "extra": None},
        {"host": "node-1", "share": None, "is_odd": True, "extra": None},
        {"host": "node-101", "share": None, "is_odd": None, "extra": None},
        {"host": "node-102", "share": None, "is_odd": True, "extra": "new"},
    ]
    assert ask(host.state, statement) == expected
    host.rotate()
    assert ask(host.state, statement) == expected
    (path,) = (host.state / "data" / "sample").glob("*/*.parquet")
    marks = pyarrow.parquet.ParquetFile(path).metadata.metadata
    assert (marks[b"schema_version"], marks[b"foreign_columns"]) == (b"3", b"extra")
    # As an agent reads it whose own version declares the table.
    found = choose([str(path)], wanted_of(SAMPLE, read_install(str(host.state)) or ""), owners_of(str(host.state / "data")))
    assert (found.files, found.left_out) == ([str(path)], [])


def test_a_table_of_newer_nodes_is_stored_and_found(host: HubHost) -> None:
    """By its own name, in spool and files, after the segment that declared its columns has gone too."""
    hub, node = host.hub(), ForeignNode(1)
    stamp = host.clock.wall_ns()
    form = TableForm(1, ("timestamp", "word"), ("int64", "utf8"), "whatever-", (False, True))
    host.hand_on(hub, node.send([(stamp, "a"), (stamp, "b")], stamp, "novelty", form))
    expected = [{"host": "node-101", "word": word} for word in "ab"]
    assert ask(host.state, "select host, word from novelty order by word") == expected
    host.rotate()
    assert ask(host.state, "select host, word from novelty order by word") == expected
    (path,) = (host.state / "data" / "novelty").glob("*/*.parquet")
    assert path.name.startswith("novelty-node-1-")


def test_nonsense_is_a_row_of_gap_and_never_damage(host: HubHost) -> None:
    """Names, columns, types, bytes and times that none can have: refused at the door or at the seal, with the hub as the worker."""
    hub, node = host.hub(), ForeignNode(1)
    stamp = host.clock.wall_ns()
    wrong = TableForm(3, FORM.names, ("int64", "int64", *FORM.dtypes[2:]), FORM.prefix)
    good = node.measure(stamp)
    host.hand_on(
        hub,
        good,
        node.send([(1,)], stamp, "../../evil"),
        node.send([(1,)], stamp, form=wrong),
        replace(node.measure(stamp), encoded=b"\x93\xc1\xc1\xc1"),
        replace(node.measure(stamp), stamp_wall_ns=stamp + 3 * DAY),
        node.send([("no time", "w", 1, 1, None, True)], stamp),
        replace(node.measure(stamp), origin=replace(good.origin, host="a\nb", seq=99)),
        node.measure(stamp),
    )
    report = host.rotate()
    # With the rows of table gap that the door has written.
    assert report["rows"] == 3 + 3 + 3
    assert not (host.state / "set-aside").exists() or not list((host.state / "set-aside").iterdir())
    found = ask(host.state, 'select reason, "table" as t, rows, worker, host from gap order by first_seq')
    assert [(row["reason"], row["t"], row["rows"]) for row in found] == [
        ("foreign_table", "../../evil", 1),
        ("foreign_columns", "sample", 1),
        ("bad_row", "sample", 3),
        ("bad_row", "sample", 3),
        ("bad_row", "sample", 1),
        ("foreign_origin", "sample", 3),
    ]
    assert {(row["worker"], row["host"]) for row in found} == {("hub", "node-1")}
    stats = host.stats()["foreign"]
    assert stats["refused"] == {"foreign_table": 1, "foreign_columns": 1, "foreign_origin": 1}
    # A batch that was refused is not sent again for ever, and what followed it is there.
    assert not hub.unacknowledged


def test_a_hub_and_its_writer_may_die_at_any_time(host: HubHost) -> None:
    """The next hub begins again, the next writer knows what it has, also of hosts that only the head of its segment tells."""
    nodes = [ForeignNode(number) for number in range(1, 6)]
    hub = host.hub()
    for turn in range(8):
        stamp = host.clock.wall_ns()
        host.hand_on(hub, *(node.measure(stamp) for node in nodes[: 1 + turn % 5]))
        if turn % 2:
            host.rotate()
            host.start()
        else:
            hub = host.hub(epoch=2 + turn)
        host.hand_on(hub, *(batch for node in nodes for batch in node.batches[-2:]))
    host.rotate()
    expected = sum(len(node.batches) for node in nodes)
    (row,) = ask(host.state, "select count(*) as n, count(distinct (install, number)) as batches from sample")
    assert row == {"n": 3 * expected, "batches": expected}
    assert not (host.state / "data" / "gap").exists()
    assert host.stats()["foreign"]["hosts"] == 5


def test_rows_of_this_host_are_told_from_those_of_others_of_its_name(host: HubHost) -> None:
    """Readers of one host's rows pass over the others, in the spool and in files; who wants all gets all."""
    own, hub = host.sender(), host.hub()
    twin = ForeignNode(1, host="node-1")
    for _ in range(2):
        host.measure(own, rows=2)
        host.hand_on(hub, twin.measure(host.clock.wall_ns()))
        alone, shared = StoredRows(str(host.state), SAMPLE), StoredRows(str(host.state), SAMPLE, all_hosts=True)
        for rows, workers in ((alone, {"process"}), (shared, {"process"})):
            found = rows.rows(EVERYTHING)
            assert len(found) == (2 * own.seq if rows is alone else 2 * own.seq + 3 * len(twin.batches))
            assert {row["worker"] for row in found} == workers
        with alone.held(EVERYTHING, ("number",)) as held:
            assert sum(len(batch) for batch in held.batches(EVERYTHING, ("number",))) == 2 * own.seq
        (part, *more) = [each for each in alone.scan(EVERYTHING, ("timestamp", "number"), ("worker", "process"), 100) if each]
        assert len(part) + sum(map(len, more)) == 2 * own.seq
        assert alone.values(EVERYTHING, "number") == set(range(1, own.seq + 1))
        host.rotate()


def test_the_newest_sealed_rows_are_this_hosts(host: HubHost) -> None:
    """Where `agentctl top` finds no open spool it looks for them, also in an earlier file."""
    own, hub = host.sender(), host.hub()
    gap = ForeignNode(1)
    own.lose(7)
    host.measure(own)
    host.rotate()
    row = (host.clock.wall_ns(), "w", "r", 1, None, 1, 1, 1, None, None, "buffer_full", None, None)
    host.hand_on(hub, gap.send([row], host.clock.wall_ns(), "gap", form_of(GAP)))
    host.rotate()
    assert len(ask(host.state, "select * from gap")) == 2
    assert [(row["worker"], row["host"]) for row in newest_sealed_rows(str(host.state), "gap")] == [("process", "node-1")]


def test_a_follower_passes_over_other_hosts_unless_it_wants_them(host: HubHost) -> None:
    """What it then gets is as it stood there: number, columns, host and installation."""
    own, hub = host.sender(), host.hub()
    node = ForeignNode(1)
    host.measure(own)
    host.hand_on(hub, node.measure(host.clock.wall_ns()))
    for tables in (None, ("sample",)):
        follower = SpoolFollower(str(host.state), tables)
        assert [batch.host for batch in follower.read(BEGINNING, 1 << 20)] == ["node-1"]
        follower.close()
        follower = SpoolFollower(str(host.state), tables, all_hosts=True)
        mine, theirs = follower.read(BEGINNING, 1 << 20)
        follower.close()
        assert (mine.host, mine.spool_host, mine.entry.worker) == ("node-1", "", "process")
        assert (theirs.host, theirs.spool_host, theirs.form, theirs.table) == (node.host, "node-1", FORM, "sample")
        assert theirs.identity == BatchIdentity(node.install, node.who.run, node.who.worker, 1, 1)


def test_a_finished_day_of_several_hosts_is_compacted(host: HubHost) -> None:
    """Into one file in the order of time, with the host of each row and the columns of all; the quota removes it like any other."""
    hub, nodes = host.hub(), [ForeignNode(1), ForeignNode(2)]
    own = host.sender()
    host.clock.advance(DAY - host.clock.wall_ns() % DAY)
    long = TableForm(9, (*FORM.names, "extra"), (*FORM.dtypes, "utf8"), FORM.prefix, (*FORM.nullable, True))
    for seal in range(3):
        host.measure(own, rows=2)
        stamp = host.clock.wall_ns()
        host.hand_on(hub, *(node.measure(stamp) for node in nodes[:seal]))
        if seal == 2:
            host.hand_on(hub, nodes[0].send([(stamp, "w", 1, 9, None, True, "new")], stamp, form=long))
        host.rotate()
        host.clock.advance(HOUR)
    host.clock.advance(DAY - host.clock.wall_ns() % DAY + MINUTE)
    host.measure(own)
    host.rotate()
    folder = sorted((host.state / "data" / "sample").iterdir())[0]

    def is_one_file() -> bool:
        host.clock.advance(50 * MS)
        return len(list(folder.iterdir())) == 1

    host.turn_until(is_one_file)
    (path,) = folder.iterdir()
    table = pyarrow.parquet.ParquetFile(path).read()
    rows = zip(table["host"].to_pylist(), table["install"].to_pylist(), table["extra"].to_pylist(), strict=True)
    assert Counter(rows) == {
        ("node-1", None, None): 6,
        ("node-101", nodes[0].install, None): 6,
        ("node-101", nodes[0].install, "new"): 1,
        ("node-102", nodes[1].install, None): 3,
    }
    times = table["timestamp"].to_pylist()
    assert times == sorted(times)
    marks = pyarrow.parquet.ParquetFile(path).metadata.metadata
    assert (marks[b"schema_version"], marks[b"foreign_columns"], marks[b"sources"]) == (b"3", b"extra", b"3")
    (row,) = ask(host.state, f"select count(*) as n, count(distinct host) as hosts from sample where timestamp <= {times[-1]}")
    assert row == {"n": 16, "hosts": 3}


def test_a_bucket_gets_the_rows_of_all_hosts_and_other_sinks_this_hosts(tmp_path: Path) -> None:
    """A sink of whole segments counts and sends what is in the files, below the name of the host that sealed them."""
    (state := tmp_path / "state").mkdir()
    host = HubHost(state, sinks={"central": {"kind": "object"}})
    own, hub, node = host.sender(), host.hub(), ForeignNode(1)
    host.measure(own, rows=2)
    host.hand_on(hub, node.measure(host.clock.wall_ns()), node.measure(host.clock.wall_ns()))
    host.rotate()
    (tmp_path / "bucket").mkdir()
    bucket = ObjectExportHost(state, f"file://{tmp_path}/bucket")
    assert {name: bucket.settle()[name] for name in ("produced", "delivered", "rejected", "pruned")} == {
        "produced": 8, "delivered": 8, "rejected": 0, "pruned": 0
    }  # fmt: skip
    bucket.kill()
    ((name, content),) = files_below(tmp_path / "bucket").items()
    assert name.startswith("sample/date=")
    assert "/host=node-1/sample-node-1-" in name
    assert sum(rows_in({name: content}).values()) == 8
    other = ExportHost(state, tables=("sample",))
    other.run_until(lambda: other.is_settled and other.ledger["delivered"] > 0, "this host's rows")
    assert other.ledger["produced"] == 2
    other.kill()
    host.close()
