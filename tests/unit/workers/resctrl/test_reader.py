"""The event files of one group: found by name, kept open, read once each, and followed when they come, go or are others."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.clock import FakeClock
from fakes.resctrl_folder import ResctrlFolder

from agent.model.absence import Absence
from agent.model.timebase import MS, S
from workers.framework.descriptor_pool import SPARE_DESCRIPTORS
from workers.resctrl.event_file import Domain, OpenFiles
from workers.resctrl.reader import LOOK_AGAIN_NS, SLOW_READS_MAX, DirectoryReader

GROUP = "mon_groups/pod_a"
DATA = f"{GROUP}/mon_data"


class SlowFolder(ResctrlFolder):
    """Reading takes as long as it is told."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        super().__init__(folder)
        self._clock = clock
        self.duration_ns: Callable[[], int] = lambda: 10_000

    def read_open(self, descriptor: int, bytes_max: int) -> bytes:
        content = super().read_open(descriptor, bytes_max)
        self._clock.advance(self.duration_ns())
        return content


class Story:
    """One group in a folder, and its reader, that scans once a second."""

    def __init__(self, tmp_path: Path, domains: tuple[int, ...] = (0, 1)) -> None:
        self.clock = FakeClock()
        self.folder = SlowFolder(tmp_path / "resctrl", self.clock)
        self.folder.make_group(GROUP, domains)
        self.files = OpenFiles(self.folder)
        self.slow = 0
        self.reader = DirectoryReader(GROUP, self.files, self.clock, self._on_slow)
        self._next_at_ns = self.clock.now_ns()

    def scan(self, after_ns: int = S) -> dict[str, list[int | Absence]]:
        """One scan; the values of each domain, by `L3/0`, nodes by `L3/0/1`."""
        self.clock.advance(max(0, self._next_at_ns - self.clock.now_ns()))
        self._next_at_ns += after_ns
        self.reader.scan(self.clock.now_ns())
        return {_name(domain): [file.value for file in domain.files] for domain in self.reader.domains}

    def rates(self) -> list[float | Absence]:
        """The rates of all counters."""
        return [file.rate for file in self.reader.files if file.counter is not None]

    def close(self) -> None:
        """Nothing stays open."""
        self.reader.close()
        assert (self.folder.descriptors, len(self.files)) == ({}, 0)

    def _on_slow(self) -> None:
        self.slow += 1


def _name(domain: Domain) -> str:
    return f"{domain.resource}/{domain.number}" + ("" if domain.sub is None else f"/{domain.sub}")


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_every_domain_is_read_over_descriptors_that_stay_open(story: Story) -> None:
    """After the first scan nothing is opened and nothing listed."""
    assert story.scan() == {"L3/0": [123, 1000, 600], "L3/1": [123, 1000, 600]}
    story.folder.calls.clear()
    story.folder.put(f"{DATA}/mon_L3_01", llc_occupancy=7)
    assert story.scan()["L3/1"] == [7, 1000, 600]
    assert [call for call, _path in story.folder.calls] == ["read_open"] * 6
    story.close()


def test_resources_domains_and_nodes_are_found_by_their_names(tmp_path: Path) -> None:
    """Zero-padded or not, with gaps, of a resource that nobody knew, with the nodes of a divided domain; and nothing else is."""
    story = Story(tmp_path, domains=())
    for name in (
        "mon_L3_7",
        "mon_L3_0012",
        "mon_MB_00",
        "mon_L3_7/mon_sub_L3_03",
        "mon_L3_7/other",
        "mon_L3_x",
        "mon_L3",
        "L3_00",
        "mon_sub_L3_01",
    ):
        story.folder.put(f"{DATA}/{name}", llc_occupancy=5)
    assert story.scan() == {"L3/12": [5], "L3/7": [5], "L3/7/3": [5], "MB/0": [5]}
    story.close()


def test_an_event_that_the_hardware_does_not_have_is_left_out(story: Story) -> None:
    """It is neither zero nor an error."""
    story.folder.remove(f"{DATA}/mon_L3_00/mbm_local_bytes")
    assert story.scan()["L3/0"] == [123, 1000]
    assert [[event is None for event in domain.events] for domain in story.reader.domains] == [[False, False, True], [False] * 3]
    story.close()


def test_rates_are_of_the_time_between_the_readings_themselves(story: Story) -> None:
    """Each file has its own: the sixth is read later than the first, and more so in a slow scan."""
    story.scan()
    for event in ("mbm_total_bytes", "mbm_local_bytes"):
        story.folder.put(f"{DATA}/mon_L3_01", **{event: 10**9})
    story.folder.duration_ns = lambda: 1 * MS
    story.scan()
    # The middle of the first readings: 5 µs into each of 10; of the second ones: 0.5 ms into each of 1 ms.
    elapsed_ns = S + (4 * MS + 500_000) - (4 * 10_000 + 5_000)
    assert story.rates()[2] == (10**9 - 1000) * S / elapsed_ns
    story.close()


def test_a_slow_reading_is_taken_once_more_and_a_few_times_a_scan_only(story: Story) -> None:
    """Where it stalled the second tells when; where all are slow the scan is not doubled, and says each time that it goes on."""
    durations = iter([10_000, 50 * MS, *[10_000] * 5])
    story.folder.duration_ns = lambda: next(durations)
    story.scan()
    assert (story.slow, next(durations, None)) == (1, None)
    story.folder.duration_ns = lambda: 5 * MS
    story.folder.calls.clear()
    story.scan()
    assert (len(story.folder.calls), story.slow) == (6 + SLOW_READS_MAX, 7)
    story.close()


@pytest.mark.parametrize(
    ("word", "reason"), [("Unavailable", Absence.UNAVAILABLE), ("soon", Absence.MALFORMED), (b"", Absence.MALFORMED)]
)
def test_a_word_hides_no_other_value_and_the_next_number_counts_at_once(story: Story, word: str | bytes, reason: Absence) -> None:
    """The rate after it is over the whole time since the last number."""
    story.scan()
    story.folder.put(f"{DATA}/mon_L3_00", mbm_total_bytes=word)
    assert story.scan() == {"L3/0": [123, reason, 600], "L3/1": [123, 1000, 600]}
    assert story.rates() == [reason, 0.0, 0.0, 0.0]
    story.folder.put(f"{DATA}/mon_L3_00", mbm_total_bytes=5000)
    assert story.scan()["L3/0"] == [123, 5000, 600]
    assert story.rates()[0] == 2000.0
    story.close()


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.EIO, Absence.ERROR), (errno.EACCES, Absence.NO_PERMISSION), (errno.EBADMSG, Absence.UNREADABLE)]
)
def test_a_file_that_cannot_be_read_keeps_its_descriptor_and_its_counter(story: Story, code: int, reason: Absence) -> None:
    """Nothing is listed for it; when it can be read again the rate is over the real time."""
    story.scan()
    story.folder.fail(f"{DATA}/mon_L3_00/mbm_total_bytes", code)
    story.folder.calls.clear()
    assert story.scan()["L3/0"] == [123, reason, 600]
    assert story.reader.failed == 1
    assert {call for call, _path in story.folder.calls} == {"read_open"}
    story.folder.fail(f"{DATA}/mon_L3_00/mbm_total_bytes", None)
    story.folder.put(f"{DATA}/mon_L3_00", mbm_total_bytes=3000)
    story.scan()
    assert (story.rates()[0], story.reader.failed) == (1000.0, 0)
    story.close()


def test_a_file_that_may_not_be_opened_is_tried_again_at_each_scan_and_then_kept(story: Story) -> None:
    """As soon as the permission is there."""
    path = f"{DATA}/mon_L3_00/llc_occupancy"
    story.folder.fail(path, errno.EACCES)
    assert story.scan()["L3/0"] == [Absence.NO_PERMISSION, 1000, 600]
    story.folder.fail(path, None)
    assert story.scan()["L3/0"] == [123, 1000, 600]
    assert len(story.files) == 6
    story.close()


def test_a_domain_that_disappears_is_absent_once_and_then_gone(story: Story) -> None:
    """The scan that meets the hole says so; the other domain goes on with its counters."""
    story.scan()
    story.folder.remove(f"{DATA}/mon_L3_00")
    assert story.scan() == {"L3/0": [Absence.VANISHED] * 3, "L3/1": [123, 1000, 600]}
    assert story.scan() == {"L3/1": [123, 1000, 600]}
    assert story.rates() == [0.0, 0.0]
    assert len(story.files) == 3
    story.close()


def test_a_domain_that_comes_is_found_by_the_next_look(story: Story) -> None:
    """Its counters begin then."""
    story.scan()
    story.folder.make_group(GROUP, (5,), llc_occupancy=9)
    story.reader.look(story.clock.now_ns())
    assert story.scan()["L3/5"] == [9, 1000, 600]
    assert story.rates() == [0.0, 0.0, 0.0, 0.0, Absence.FIRST_TICK, Absence.FIRST_TICK]
    story.close()


def test_a_look_that_finds_nothing_new_changes_nothing(story: Story) -> None:
    """Neither descriptors nor counters."""
    story.scan()
    before = (list(story.reader.files), story.reader.layout, dict(story.folder.descriptors))
    assert story.reader.look(story.clock.now_ns()) == []
    assert (list(story.reader.files), story.reader.layout, dict(story.folder.descriptors)) == before
    story.close()


def test_a_group_made_anew_is_read_in_the_same_scan_and_its_counters_begin(story: Story) -> None:
    """What its name had counted before was another group's."""
    story.scan()
    story.folder.remove(GROUP)
    story.folder.make_group(GROUP, llc_occupancy=64, mbm_total_bytes=10**6, mbm_local_bytes=10**6)
    assert story.scan() == {"L3/0": [64, 10**6, 10**6], "L3/1": [64, 10**6, 10**6]}
    assert (story.rates(), story.reader.failed) == ([Absence.FIRST_TICK] * 4, 0)
    story.scan()
    assert story.rates() == [0.0] * 4
    assert len(story.folder.descriptors) == 6
    story.close()


def test_what_could_not_be_read_is_counted_once_when_others_are_opened_anew_in_the_same_scan(story: Story) -> None:
    """One file fails, another one was made again: that one is read, the first is still missing."""
    story.scan()
    story.folder.fail(f"{DATA}/mon_L3_00/llc_occupancy", errno.EIO)
    story.folder.remove(f"{DATA}/mon_L3_01/llc_occupancy")
    story.folder.put(f"{DATA}/mon_L3_01", llc_occupancy=5)
    assert story.scan() == {"L3/0": [Absence.ERROR, 1000, 600], "L3/1": [5, 1000, 600]}
    assert story.reader.failed == 1
    story.close()


def test_a_group_that_is_gone_is_looked_for_at_every_scan(story: Story) -> None:
    """It holds no descriptor meanwhile, and is read at once when it is there again."""
    story.scan()
    story.folder.remove(GROUP)
    for _ in range(2):
        assert story.scan() == {}
        assert (story.reader.problem, story.reader.is_open, story.folder.descriptors) == (Absence.VANISHED, False, {})
    story.folder.make_group(GROUP)
    assert story.scan() == {"L3/0": [123, 1000, 600], "L3/1": [123, 1000, 600]}
    assert (story.reader.problem, story.reader.is_open) == (None, True)
    story.close()


def test_a_domain_that_stays_listed_and_unreadable_is_looked_for_now_and_then(story: Story) -> None:
    """Not at every scan: a look costs more than all readings of the group."""
    story.scan()
    story.folder.fail(f"{DATA}/mon_L3_00/llc_occupancy", errno.ENOENT)
    looks = []
    for _ in range(6):
        story.folder.calls.clear()
        assert story.scan()["L3/0"] == [Absence.VANISHED, 1000, 600]
        looks.append(("list_directories", DATA) in story.folder.calls)
    assert LOOK_AGAIN_NS == 2 * S
    assert looks == [True, False, True, False, True, False]
    story.folder.fail(f"{DATA}/mon_L3_00/llc_occupancy", None)
    story.scan()
    assert story.scan()["L3/0"][0] == 123
    story.close()


def test_a_group_that_may_not_be_listed_says_so_and_one_that_is_open_goes_on(story: Story) -> None:
    """Permission is needed for looking, not for reading what is open."""
    story.folder.fail(DATA, errno.EACCES)
    assert story.scan() == {}
    assert (story.reader.problem, story.reader.is_open) == (Absence.NO_PERMISSION, False)
    story.folder.fail(DATA, None)
    story.scan()
    story.folder.fail(DATA, errno.EACCES)
    story.reader.look(story.clock.now_ns())
    assert story.scan()["L3/0"] == [123, 1000, 600]
    assert story.reader.problem is None
    story.close()


@pytest.mark.parametrize("descriptors_max", range(1, 8))
def test_where_no_more_files_may_be_open_the_rest_is_opened_at_each_reading(story: Story, descriptors_max: int) -> None:
    """Every value is there anyway, with its rate, and room is left for others."""
    for number in range(4):
        story.folder.make_group(f"mon_groups/pod_{number}")
    story.folder.descriptors_max = descriptors_max
    story.scan()
    story.folder.put(f"{DATA}/mon_L3_01", llc_occupancy=5, mbm_total_bytes=3000)
    assert story.scan() == {"L3/0": [123, 1000, 600], "L3/1": [5, 3000, 600]}
    assert story.rates() == pytest.approx([0.0, 0.0, 2000.0, 0.0], rel=1e-3)
    assert len(story.files) == len(story.folder.descriptors) < min(6, descriptors_max) or descriptors_max >= 6
    story.close()


def test_room_is_made_for_what_must_be_opened_besides(tmp_path: Path) -> None:
    """Some are given back when even a listing finds no descriptor, and no more are kept from then on."""
    story = Story(tmp_path, domains=tuple(range(20)))
    story.scan()
    listing = story.folder.list_directories
    is_full = True

    def list_directories(path: str) -> list[str]:
        if is_full and len(story.folder.descriptors) == 60:
            raise OSError(errno.EMFILE, "")
        return listing(path)

    story.folder.list_directories = list_directories  # type: ignore[method-assign]
    story.reader.look(story.clock.now_ns())
    assert len(story.files) == 60 - SPARE_DESCRIPTORS
    assert all(values == [123, 1000, 600] for values in story.scan().values())
    assert len(story.files) == 60 - SPARE_DESCRIPTORS
    story.close()


def test_a_second_scan_of_the_same_tick_reads_nothing(story: Story) -> None:
    """Two groups may name one directory: its second rate would be of no time at all."""
    story.scan()
    story.folder.calls.clear()
    story.reader.scan(story.reader.looked_at_ns)
    assert story.folder.calls == []
    story.close()
