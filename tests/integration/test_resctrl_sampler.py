"""What the occupancy collector promises, told over a tree of plain files: one story for each promise."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from fakes.bus import RecordingBus
from fakes.occupancy_story import NewStory, OccupancyStory, occupancy_stories
from harness.waiting import wait_until

from agent.clock import SystemClock
from agent.config import (
    NRI_SOCKET,
    RESCTRL_HEALTH_INTERVAL,
    RESCTRL_MOUNT,
    RESCTRL_RETRY_INTERVAL,
    Config,
    parse_config,
)
from agent.launch import Launch
from agent.model.errors import ConfigError
from agent.model.message import Identity, Note
from agent.model.tables import GAP
from agent.model.timebase import HOUR, MINUTE, MS, S
from agent.setting import Setting
from agent.store.record import Record, parse_head, parse_records
from workers import registry
from workers.framework.sampler_work import SamplerWork
from workers.resctrl.row import OCCUPANCY
from workers.runtime.context import ProcessContext
from workers.runtime.data_peer import SocketDataPeer
from workers.runtime.outbox import SocketOutbox
from workers.runtime.worker_main import registered_maker
from workers.samplers.resctrl import CAPACITY, INTERVAL
from workers.writer.work import WriterWork

VANISHED = "llc_occupancy:vanished,mbm_total:vanished,mbm_local:vanished"


@pytest.fixture
def new_story(tmp_path: Path) -> Iterator[NewStory]:
    """Makes stories with these settings, not yet started."""
    with occupancy_stories(tmp_path) as make:
        yield make


@pytest.fixture
def story(new_story: NewStory) -> OccupancyStory:
    """A sampler with the settings that it has by itself."""
    story = new_story()
    story.start()
    return story


@pytest.mark.runbook("Cache and memory bandwidth")
def test_readiness_waits_for_the_mount_names_cause_and_remedy_and_is_lost_with_it(new_story: NewStory) -> None:
    """Not ready before it is there, ready while it is, not ready when it is gone again, each told once."""
    story = new_story(enabled="true")
    story.folder.mount = None
    story.start()
    story.make_pod("a")
    for mount in (None, 1, 1, None, None, 2):
        story.folder.mount = mount
        story.tick()
    assert [(held.active, held.blocks_ready) for held in story.bus.conditions] == [(True, True), (False, False)] * 2
    assert all("no resctrl is mounted here" in held.detail for held in story.bus.conditions if held.active)
    assert all("mount -t resctrl" in held.detail for held in story.bus.conditions if held.active)


def test_labels_bind_late(story: OccupancyStory) -> None:
    """Before anybody knows its name a pod is measured without; rows after that carry it, and the values go on."""
    path = f"{story.folder.root}/{story.make_pod('a')}"
    (before,) = story.tick()
    story.assign("a", path, namespace="shop", name="till-0")
    (after,) = story.tick()
    assert [(row["pod_namespace"], row["pod_name"], row["llc_occupancy_bytes"]) for row in (before, after)] == [
        (None, None, 246),
        ("shop", "till-0", 246),
    ]
    assert after["absent"] is None


def test_domains_are_added_up_and_one_that_disappears_leaves_the_sum_of_the_rest(story: OccupancyStory) -> None:
    """123 and 456 are 579; without the second it is 123, marked only at the tick that met the hole."""
    path = story.make_pod("a")
    story.folder.put(f"{path}/mon_data/mon_L3_01", llc_occupancy=456)
    assert [row["llc_occupancy_bytes"] for row in story.tick()] == [579]
    assert [row["llc_occupancy_bytes"] for row in story.domain_rows] == [123, 456]
    story.folder.remove(f"{path}/mon_data/mon_L3_01")
    for marked in (VANISHED, None):
        (row,) = story.tick()
        assert (row["llc_occupancy_bytes"], row["absent"]) == (123, marked)


BAD_VALUES = {
    "Unavailable": "unavailable",
    "Error": "error",
    "Unassigned": "unassigned",
    "many": "malformed",
    "-5": "malformed",
    "12 34": "malformed",
    b"17": "malformed",
    b"": "malformed",
    b"\xff\0\n": "malformed",
}


@pytest.mark.parametrize(("word", "reason"), BAD_VALUES.items())
def test_a_bad_value_is_marked_and_hides_nothing(story: OccupancyStory, word: str | bytes, reason: str) -> None:
    """The good domain and the other pod stand; where no domain is good there is no zero; the next good value counts at once."""
    for uid in "ab":
        story.make_pod(uid)
    story.tick()
    for domain, left in ((0, 123), (1, None)):
        story.folder.put(f"mon_groups/pod_a/mon_data/mon_L3_{domain:02d}", llc_occupancy=word)
        bad, good = story.tick()
        assert (bad["llc_occupancy_bytes"], bad["absent"]) == (left, f"llc_occupancy:{reason}")
        assert (good["llc_occupancy_bytes"], good["absent"]) == (246, None)
        assert [row["absent"] for row in story.domain_rows] == [f"llc_occupancy:{reason}"] * (domain + 1) + [None] * (3 - domain)
    for domain in (0, 1):
        story.folder.put(f"mon_groups/pod_a/mon_data/mon_L3_{domain:02d}", llc_occupancy=50)
    assert [(row["llc_occupancy_bytes"], row["absent"]) for row in story.tick()] == [(100, None), (246, None)]


def test_after_its_removal_a_pod_has_no_row_and_the_others_go_on(story: OccupancyStory) -> None:
    """Its group may be gone before the assignment, which gives one row that says so, or after it, which gives none."""
    for uid in "abc":
        story.make_pod(uid)
    story.tick()
    story.folder.remove("mon_groups/pod_a")
    story.remove_pod("c")
    seen = [[(row["pod_uid"], row["llc_occupancy_bytes"], row["absent"]) for row in story.tick()] for _ in range(3)]
    alive = ("b", 246, None)
    assert seen == [[("a", None, VANISHED), alive], [alive], [alive]]
    # Somebody made it again: it is measured again, without a word of the control plane.
    story.folder.make_group("mon_groups/pod_a")
    assert {row["pod_uid"]: row["llc_occupancy_bytes"] for row in story.tick()} == {"a": 246, "b": 246}
    story.remove_pod("a")
    assert [row["pod_uid"] for row in story.tick()] == ["b"]


class Consumer:
    """A writer over a real socket, and a sampler of real time whose outbox holds one tick."""

    def __init__(self, tmp_path: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.state = tmp_path / "state"
        self.state.mkdir()
        self.clock = SystemClock()
        path = str(tmp_path / "data.sock")
        self.peer = SocketDataPeer(self.context, path)
        self.outbox = SocketOutbox(self.context, path, Identity("r", "sampler/resctrl", 1), bytes_max=1 << 20, ticks_max=1)
        self.writer = WriterWork(
            clock=self.clock,
            peer=self.peer,
            bus=RecordingBus(),
            config=Config({}),
            catalogue=registry.tables(),
            identity=Identity("r", "writer", 1),
            state_dir=str(self.state),
            host="node-1",
            agent_version="0",
            segment_ids=lambda: "0" * 8,
        )
        self.writer.on_start(self.clock.now_ns())
        self.sampler = OccupancyStory(tmp_path, clock=self.clock, outbox=self.outbox, interval=50 * MS)
        self.sampler.make_pod("a")
        self.sampler.start()
        # The longest that a tick has waited for anything but a processor.
        self.waited_ns_most = 0

    def turn(self, *, is_stalled: bool = False) -> None:
        """One turn of both."""
        time.sleep(0.001)
        if not is_stalled:
            self.writer.on_data(self.clock.now_ns())
        self.outbox.pump()
        now_ns = self.clock.now_ns()
        deadline_ns = self.sampler.work.next_deadline_ns()
        if deadline_ns is not None and deadline_ns <= now_ns:
            before = self.clock.reading()
            self.sampler.work.on_timer(now_ns)
            after = self.clock.reading()
            ran_ns = after.cpu_ns - before.cpu_ns + (after.run_delay_ns or 0) - (before.run_delay_ns or 0)
            self.waited_ns_most = max(self.waited_ns_most, after.now_ns - before.now_ns - ran_ns)

    def turn_until(self, condition: Callable[[], bool], what: str) -> None:
        """Turn until something holds."""

        def holds() -> bool:
            self.turn()
            return condition()

        wait_until(holds, what)

    def stats(self) -> dict[str, Any]:
        """What the sampler says of itself."""
        document = self.sampler.work.on_ask("stats", 0)
        assert document is not None
        return document

    def notes(self) -> list[Note]:
        """The warnings about batches that were refused."""
        return [note for note in self.sampler.bus.notes if note.kind == "batches_dropped"]

    def stored(self, table: str) -> list[list[Any]]:
        """The rows of a table in the spool."""
        rows: list[list[Any]] = []
        for path in (self.state / "spool").iterdir():
            data = path.read_bytes()
            for item in parse_records(data, parse_head(data)[1]):
                if isinstance(item, Record) and item.entry.table == table:
                    rows += msgspec.msgpack.decode(item.rows)
        return rows

    def close(self) -> None:
        """Give everything back."""
        self.sampler.work.on_stop(self.clock.now_ns(), for_good=True)
        self.writer.close()
        self.outbox.close()
        self.peer.close()
        self.context.term()


@pytest.fixture
def consumer(tmp_path: Path) -> Iterator[Consumer]:
    consumer = Consumer(tmp_path)
    yield consumer
    consumer.close()


def test_a_stalled_consumer_never_stops_the_sampling_and_every_lost_batch_is_told(consumer: Consumer) -> None:
    """Fewer batches arrive than there were ticks; a warning a second says how many are missing, a metric too, and table `gap`."""
    consumer.turn_until(lambda: bool(consumer.stored(OCCUPANCY.name)), "the first tick is stored")
    before, told = consumer.stats(), len(consumer.notes())
    began_ns = consumer.clock.now_ns()
    # Where the first batch is refused late, for want of a processor, so is the second warning a second after it.
    while consumer.clock.now_ns() - began_ns < 1500 * MS or len(consumer.notes()) < told + 2:
        consumer.turn(is_stalled=True)
    stalled_ns = consumer.clock.now_ns() - began_ns
    notes = consumer.notes()[told:]
    # Ticks that went by in the last turn are counted in the next one.
    consumer.turn(is_stalled=True)
    # On a machine with other things to do a tick may take long; what it must not do is wait for the consumer.
    assert consumer.waited_ns_most < 1000 * MS
    after = consumer.stats()
    assert sum(after[key] - before[key] for key in ("ticks", "ticks_missed")) >= stalled_ns // (50 * MS) - 2
    assert 2 <= len(notes) <= 1 + stalled_ns / S
    assert all(note.severity == "warning" for note in notes)
    refused = consumer.outbox.stats()["refused_batches"]
    assert refused is not None
    assert 0 < sum(int(note.fields["batches"] or 0) for note in notes) <= refused

    def gaps() -> list[dict[str, Any]]:
        """Without those about ticks alone, which tell how busy this machine was."""
        rows = [dict(zip(GAP.column_names, row, strict=True)) for row in consumer.stored(GAP.name)]
        return [row for row in rows if row["first_seq"] is not None]

    def is_all_told() -> bool:
        # While this machine is slow, more is refused.
        return bool(0 < sum(gap["rows"] for gap in gaps()) == consumer.outbox.stats()["refused_rows"])

    consumer.turn_until(is_all_told, "the hole is stored, with as many rows as were refused")
    consumer.turn_until(lambda: len(consumer.stored(OCCUPANCY.name)) >= 3, "good ticks follow")
    assert {(gap["worker"], gap["reason"]) for gap in gaps()} == {("sampler/resctrl", "buffer_full")}
    arrived = len(consumer.stored(OCCUPANCY.name))
    assert arrived < consumer.stats()["ticks"] - refused // 2 + 2


ENVIRONMENT: list[tuple[str, Setting[int] | Setting[str], int | str, str, int | str]] = [
    ("RESCTRL_SAMPLING_INTERVAL", INTERVAL, 1 * S, "250ms", 250 * MS),
    ("RESCTRL_RETRY_INTERVAL", RESCTRL_RETRY_INTERVAL, 10 * S, "2m", 2 * MINUTE),
    ("RESCTRL_HEALTH_INTERVAL", RESCTRL_HEALTH_INTERVAL, 60 * S, "1h", HOUR),
    ("RESCTRL_CHANNEL_CAPACITY", CAPACITY, 256, "1", 1),
    ("RESCTRL_MOUNT", RESCTRL_MOUNT, "/sys/fs/resctrl", "/mnt/resctrl", "/mnt/resctrl"),
    ("NRI_SOCKET_PATH", NRI_SOCKET, "/var/run/nri/nri.sock", "/run/nri.sock", "/run/nri.sock"),
]


@pytest.mark.parametrize(("name", "setting", "default", "text", "value"), ENVIRONMENT)
def test_settings_are_known_by_the_names_that_other_collectors_use(
    name: str, setting: Setting[Any], default: int | str, text: str, value: int | str
) -> None:
    """With the same defaults; the file is overruled by the environment, and that by a flag."""
    settings = registry.settings()
    assert setting in settings
    assert parse_config(settings).of(setting) == default
    document = f"{setting.key} = {8 if default == 256 else repr('3s' if isinstance(default, int) else '/else')}"
    assert parse_config(settings, document=document, environment={name: text}).of(setting) == value
    flags = {setting.key: setting.show(default)}
    assert parse_config(settings, document=document, environment={name: text}, flags=flags).of(setting) == default


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("RESCTRL_SAMPLING_INTERVAL", "1"),
        ("RESCTRL_SAMPLING_INTERVAL", "0s"),
        ("RESCTRL_RETRY_INTERVAL", "soon"),
        ("RESCTRL_HEALTH_INTERVAL", "-1s"),
        ("RESCTRL_CHANNEL_CAPACITY", "0"),
        ("RESCTRL_CHANNEL_CAPACITY", "65537"),
        ("RESCTRL_CHANNEL_CAPACITY", "many"),
    ],
)
def test_a_bad_setting_is_an_error_that_names_variable_value_and_what_is_accepted(name: str, text: str) -> None:
    """It is not passed over in silence, and no default takes its place."""
    with pytest.raises(ConfigError) as refused:
        parse_config(registry.settings(), environment={name: text})
    sentence = refused.value.sentence
    setting = next(setting for known, setting, *_rest in ENVIRONMENT if known == name)
    assert name in sentence
    assert repr(text) in sentence
    assert setting.accepted in sentence


def test_the_capacity_that_is_set_is_the_one_in_use(tmp_path: Path) -> None:
    """Nobody takes anything from this outbox: it holds as many ticks as the setting says."""
    config = Config({"sampler.resctrl.channel_capacity": 2, "resctrl.mount": str(tmp_path / "nothing")})
    launch = Launch(Identity("r", "sampler/resctrl", 1), "sampler", "", str(tmp_path / "data.sock"), "", "node-1", "0", config)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ports = ProcessContext(launch, context, SystemClock(), RecordingBus())  # type: ignore[arg-type]  # it says nothing here
    work = registered_maker(launch)(ports)
    assert isinstance(work, SamplerWork)
    outbox = ports.made_outboxes[""]
    assert outbox is not None
    row = (1, None, None, "a", "/g", *[None] * (len(OCCUPANCY.columns) - 5))
    assert [outbox.offer(OCCUPANCY, [row], stamp) for stamp in (1, 1, 2, 2, 3, 3)] == [True] * 4 + [False] * 2
    outbox.close()
    context.term()


def test_the_interval_that_is_set_is_the_one_in_use(new_story: NewStory) -> None:
    """Four ticks a second, on the grid of the first."""
    story = new_story(interval=250 * MS)
    story.start()
    story.make_pod("a")
    began_ns = story.clock.now_ns()
    deadlines = []
    for _ in range(4):
        deadline_ns = story.work.next_deadline_ns()
        assert deadline_ns is not None
        deadlines.append(deadline_ns - began_ns)
        story.tick(max(0, deadline_ns - story.clock.now_ns()))
    assert deadlines == [0, 250 * MS, 500 * MS, 750 * MS]
