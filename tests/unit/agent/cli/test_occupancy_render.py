"""Who holds the cache, as lines: each group once, nothing absent as zero, on any size of terminal."""

import re
from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.cli.known_names import KnownNames
from agent.cli.occupancy_render import (
    HEADER_LINES,
    LEVELS,
    LEVELS_ASCII,
    SORTS,
    OccupancyView,
    missing_of,
    offset_max,
    render,
    trend,
)
from agent.cli.occupancy_sample import Occupancy, PodReading, Unmeasured, groups_of
from agent.cli.width import display_width

MIB = 1 << 20
SIZE = 32 * MIB


def pod(
    uid: str,
    llc: int | None = MIB,
    *,
    total: float | None = 1e6,
    local: float | None = 5e5,
    group: str = "",
    name: str | None = None,
    containers: tuple[int | None, int | None] = (1, 1),
    absent: str | None = None,
    size: int | None = SIZE,
) -> PodReading:
    return PodReading(uid, "ns" if name else None, name, group or uid, llc, size, total, local, *containers, absent)


def sample_of(*pods: PodReading, damaged: int = 0) -> Occupancy:
    past = {reading.group: (reading.llc_bytes, reading.total_bytes_per_second) for reading in pods}
    return Occupancy(0, "node-1", pods, (past,), damaged)


@dataclass(frozen=True)
class Seen:
    """A screen and the view that it shows, with the usual values where a test says none."""

    width: int | None = 100
    height: int = 24
    sort: str = "llc"
    trouble: str = ""
    unmeasured: tuple[Unmeasured, ...] | None = ()
    has_letters: bool = True
    now_wall_ns: int = 0
    filter: str = ""
    offset: int = 0

    def view(self) -> OccupancyView:
        return OccupancyView(
            width=self.width,
            height=self.height,
            sort=self.sort,
            now_wall_ns=self.now_wall_ns,
            trouble=self.trouble,
            names=KnownNames({"u9": "shop/told"}),
            unmeasured=self.unmeasured,
            has_letters=self.has_letters,
            filter=self.filter,
            offset=self.offset,
        )

    def lines(self, sample: Occupancy) -> list[str]:
        return render(sample, self.view())

    def rows(self, sample: Occupancy) -> list[list[str]]:
        """The words of the lines below the titles."""
        return [line.split() for line in self.lines(sample)[HEADER_LINES:]]


GROUP_READINGS = st.lists(
    st.tuples(st.none() | st.integers(0, SIZE), st.none() | st.floats(0, 1e11), st.integers(1, 4)), min_size=1, max_size=40
)
UNMEASURED = st.none() | st.lists(st.builds(Unmeasured, pod=st.text(max_size=40), reason=st.text(max_size=40)), max_size=9).map(
    tuple
)


def sample_of_groups(groups: list[tuple[int | None, float | None, int]]) -> Occupancy:
    pods = [
        pod(f"p{index}-{member}", llc, total=total, group=f"g{index}", absent=None if llc is not None else "llc_occupancy:error")
        for index, (llc, total, members) in enumerate(groups)
        for member in range(members)
    ]
    return sample_of(*pods)


@given(GROUP_READINGS, UNMEASURED, st.sampled_from(SORTS), st.integers(40, 200), st.integers(6, 60), st.booleans())
def test_a_render_fits_its_screen(
    groups: list[tuple[int | None, float | None, int]],
    unmeasured: tuple[Unmeasured, ...] | None,
    sort: str,
    width: int,
    height: int,
    has_letters: bool,
) -> None:
    """No line is too long, none is too many, none holds a control character, and a poor terminal gets what it can print."""
    seen = Seen(width=width, height=height, sort=sort, unmeasured=unmeasured, has_letters=has_letters)
    lines = seen.lines(sample_of_groups(groups))
    assert len(lines) <= height
    assert all(display_width(line) <= width and line.isprintable() for line in lines)
    if unmeasured in ((), None) and not has_letters:
        assert all(line.isascii() for line in lines)


@given(GROUP_READINGS, st.sampled_from(SORTS), st.integers(6, 60), st.integers(0, 5))
def test_every_pod_has_a_line_or_is_counted_in_the_last(
    groups: list[tuple[int | None, float | None, int]], sort: str, height: int, missing: int
) -> None:
    """Lines and the last line's number are all pods, measured and not."""
    sample = sample_of_groups(groups)
    unmeasured = tuple(Unmeasured(f"m{index}", "capacity") for index in range(missing))
    lines = Seen(height=height, sort=sort, unmeasured=unmeasured).lines(sample)[HEADER_LINES:]
    others = re.match(r"… (\d+) other", lines[-1])
    shown = len(lines) if others is None else len(lines) - 1 + int(others[1])
    assert shown == len(sample.pods) + missing


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(1, 4)), min_size=1, max_size=30), st.integers(6, 60))
def test_the_column_sums_up_to_the_cache_however_pods_share_groups(groups: list[tuple[int, int]], height: int) -> None:
    """Each group counts once: on a line of its own, or in the last line."""
    sample = sample_of_groups([(llc, 0.0, members) for llc, members in groups])
    lines = Seen(height=height).lines(sample)
    held = [int(found[1]) for line in lines[HEADER_LINES:] if (found := re.search(r" (\d+) B ", line))]
    total = sum(llc for llc, _ in groups)
    last = re.match(r"….* ([\d.]+) KiB", lines[-1])
    if last is None:
        assert sum(held) == total
    else:
        assert sum(held) + float(last[1]) * 1024 == pytest.approx(total, abs=0.05 * 1024 + 1)


def test_a_line_says_who_holds_and_moves_how_much() -> None:
    """Name, bytes, share of the cache, bandwidth in all and local."""
    row = Seen().rows(sample_of(pod("u1", 8 * MIB, total=3 * MIB, local=2 * MIB, name="web")))[0]
    assert row == ["ns/web", "8.0", "MiB", "25.0", "3.0", "MiB/s", "2.0", "MiB/s", "█"]


def test_a_pod_without_labels_has_the_agents_name_or_its_uid() -> None:
    """As list-pods names it."""
    assert {row[0] for row in Seen().rows(sample_of(pod("u9"), pod("u8")))} == {"shop/told", "u8"}


@pytest.mark.parametrize(
    ("sort", "order"), [("llc", ["b", "c", "a", "d"]), ("bw", ["c", "a", "b", "d"]), ("name", ["a", "b", "c", "d"])]
)
def test_pods_stand_in_the_order_that_is_asked_for(sort: str, order: list[str]) -> None:
    """Most first, what is not known last; by name as names go."""
    sample = sample_of(pod("d", None, total=None), pod("a", 1, total=5.0), pod("b", 3, total=4.0), pod("c", 2, total=6.0))
    assert [row[0] for row in Seen(sort=sort).rows(sample)] == order


def test_pods_of_a_group_have_its_value_once() -> None:
    """The second pod points to the line above, wherever it stood in the sample; the header counts the group once."""
    sample = sample_of(pod("b", 4 * MIB, group="s"), pod("x", 2 * MIB), pod("a", 4 * MIB, group="s"))
    assert [row[:3] for row in Seen().rows(sample)] == [["a", "4.0", "MiB"], ["b", "=", "above"], ["x", "2.0", "MiB"]]
    assert "3 pods measured, 0 not   LLC 6.0 MiB of 32.0 MiB" in Seen().lines(sample)[1]


def test_a_group_cut_by_the_screen_is_not_counted_again() -> None:
    """The last line holds the values of groups without a line; the rest of a shown group adds pods and no bytes."""
    shared = [pod(f"a{index}", 4 * MIB, group="s") for index in range(4)]
    sample = sample_of(*shared, pod("x", 2 * MIB))
    assert Seen(height=HEADER_LINES + 3).rows(sample)[-1][:5] == ["…", "3", "others", "2.0", "MiB"]
    assert Seen(height=HEADER_LINES + 3).rows(sample_of(*shared))[-1] == ["…", "2", "others", "=", "above"]


def test_what_is_absent_is_a_dash_with_its_reason() -> None:
    """Never a zero; the reason is a word once where the dash shows what it is about."""
    absent = "mbm_total_rate:first_tick,mbm_local_rate:first_tick"
    assert Seen().rows(sample_of(pod("a", 1024, total=None, local=None, absent=absent)))[0] == [
        *("a", "1.0", "KiB", "0.0", "-", "-", "█"),
        "first_tick",
    ]
    unreadable = pod("a", None, total=None, local=None, absent="llc_occupancy:unavailable,mbm_total:error", size=None)
    assert Seen().rows(sample_of(unreadable))[0] == ["a", "-", "-", "-", "-", "unavailable,", "error"]


def test_a_value_that_is_not_whole_says_so() -> None:
    """A domain that gave nothing, containers that are not wholly in the group and events of later versions are told."""
    reading = pod("a", containers=(3, 1), absent="llc_occupancy:unavailable,llc_dirty:odd,new_event:word")
    told = "containers 1/3, part of LLC unavailable, part of LLC odd, new_event word"
    assert Seen(width=None).lines(sample_of(reading))[HEADER_LINES].endswith(told)


def test_a_reason_of_every_group_stands_once_above() -> None:
    """Hardware without an event costs one line, not a word in each."""
    sample = sample_of(*(pod(uid, local=None, absent="mbm_local:unsupported,mbm_local_rate:unsupported") for uid in "abc"))
    lines = Seen().lines(sample)
    assert lines[2] == "by llc   LOCAL unsupported"
    assert not any("unsupported" in line for line in lines[HEADER_LINES - 1 :])


def test_pods_that_are_not_measured_are_counted_and_listed_with_reasons() -> None:
    """Those that the agent could give no group, and those whose group gave no value."""
    mute = pod("mute", None, total=None, local=None, absent="llc_occupancy:unavailable")
    unmeasured = (Unmeasured("k/dns", "ignored by a rule"), Unmeasured("b/job", "capacity"), Unmeasured("b/two", "capacity"))
    lines = Seen(unmeasured=unmeasured).lines(sample_of(pod("a"), mute))
    assert lines[1].startswith("1 pod measured, 4 not   ")
    assert lines[2] == "by llc   not measured: 2 capacity, 1 ignored by a rule, 1 unavailable"
    assert [line.split() for line in lines[-2:]] == [["b/job", *"----", "capacity"], ["b/two", *"----", "capacity"]]


def test_without_an_answer_of_the_agent_the_others_are_unknown() -> None:
    """They are not counted as none, and the first line says what ails the agent."""
    lines = Seen(unmeasured=None, trouble="agent not running", now_wall_ns=3 * 10**9).lines(sample_of(pod("a")))
    assert "agent not running: data is 3 s old" in lines[0]
    assert lines[1].startswith("1 pod measured, others unknown   ")
    assert "others unknown (agent lists none)" in Seen(unmeasured=None).lines(sample_of(pod("a")))[1]


def test_an_unknown_size_of_the_cache_makes_no_share() -> None:
    """The bytes are shown, the share is absent."""
    lines = Seen().lines(sample_of(pod("a", size=None)))
    assert "LLC 1.0 MiB   BW" in lines[1]
    assert lines[HEADER_LINES].split()[1:4] == ["1.0", "MiB", "-"]


def test_damage_is_told() -> None:
    """Batches that were left out stand above the table."""
    assert Seen().lines(sample_of(pod("a"), damaged=2))[2] == "by llc   2 damaged batches left out"
    bad = replace(sample_of(pod("a")), bad_rows=1)
    assert Seen().lines(bad)[2] == "by llc   1 bad row left out"


def test_a_narrow_screen_keeps_who_and_how_much_and_why() -> None:
    """Columns go one by one, LLC, BW and WHY never do; nothing is dropped for a reason that is not there."""
    reading = pod("3f1c2d7a-9a41-4a6e-8f0e-5d2b7c9e1a22", 30 * MIB, containers=(2, 1), name="web-7d9f8b6c5-x2k4z-and-more")
    titles = {width: Seen(width=width).lines(sample_of(reading))[HEADER_LINES - 1].split() for width in (130, 85, 70, 58)}
    assert titles[130] == ["POD", "LLC", "LLC%", "BW", "LOCAL", "LLC", "TREND", "WHY"]
    assert titles[85] == ["POD", "LLC", "LLC%", "BW", "LLC", "TREND", "WHY"]
    assert titles[70] == ["POD", "LLC", "LLC%", "BW", "WHY"]
    assert titles[58] == ["POD", "LLC", "BW", "WHY"]
    assert Seen(width=20).lines(sample_of(reading))[HEADER_LINES - 1].split()[0] == "POD"
    assert "WHY" not in Seen(width=130).lines(sample_of(pod("a")))[HEADER_LINES - 1]


def test_without_an_end_of_the_line_nothing_is_cut() -> None:
    """Names and reasons stand whole."""
    reading = pod("x" * 300, None, absent="llc_occupancy:" + "y" * 300)
    line = Seen(width=None, unmeasured=(Unmeasured("z" * 300, "w" * 300),)).lines(sample_of(reading))
    assert "…" not in "".join(line)
    assert ("x" * 300 in line[HEADER_LINES], line[HEADER_LINES].endswith("y" * 300)) == (True, True)


def test_a_trend_goes_from_none_to_the_most() -> None:
    """Linear from 0, so that a steady pod is a flat line; a hole is a hole, and nothing at all is the lowest."""
    assert trend([0, 1, 2, 3, 4, 5, 6, 7], LEVELS) == LEVELS
    assert trend([7, 0, None, 7], LEVELS_ASCII) == "@. @"
    assert trend([100, 101, 99], LEVELS) == "███"
    assert (trend([0.0, 0.0], LEVELS), trend([None], LEVELS), trend([], LEVELS)) == ("▁▁", " ", "")


def test_the_trend_is_of_what_is_sorted_by() -> None:
    """By bandwidth the spikes are seen, else the cache; the newest tick is the last letter."""
    past: tuple[dict[str, tuple[int, float]], ...] = ({"a": (1, 0.0)}, {}, {"a": (0, 7.0)})
    sample = Occupancy(0, "h", (pod("a", 0, total=7.0),), past)
    assert Seen().lines(sample)[HEADER_LINES - 1 :][1].endswith("█ ▁")
    by_bandwidth = Seen(sort="bw").lines(sample)[HEADER_LINES - 1 :]
    assert by_bandwidth[0].endswith("BW TREND")
    assert by_bandwidth[1].endswith("▁ █")


def test_a_narrow_trend_is_of_the_newest_ticks() -> None:
    """Where a wide one has thirty letters, a narrow one has the last ten of them."""
    sample = Occupancy(0, "h", (pod("a"),), tuple({"a": (7 if at == 25 else 0, 0.0)} for at in range(30)))
    assert Seen(width=80).lines(sample)[-1].split()[-1] == "▁" * 5 + "█" + "▁" * 4
    assert Seen(width=None).lines(sample)[-1].split()[-1] == "▁" * 25 + "█" + "▁" * 4


def test_letters_that_the_terminal_has_not_are_replaced() -> None:
    """Trend and ellipsis are plain ASCII of the same width."""
    rows = Seen(has_letters=False, height=HEADER_LINES + 2).lines(sample_of(*(pod(uid) for uid in "abc")))
    assert rows[-1].startswith("~ 2 others ")
    assert rows[-2].endswith("@")


def test_reasons_are_read_item_by_item() -> None:
    """Column `absent` holds events with their reasons; a control character in one is escaped."""
    assert [(item.event, item.column, item.reason) for item in missing_of("mbm_local_rate:a,\x1b:b")] == [
        ("mbm_local_rate", "LOCAL", "a"),
        ("\\x1b", "", "b"),
    ]
    assert missing_of(None) == []


def test_groups_keep_the_order_of_their_first_pods() -> None:
    """What has the same value stands by name, whatever the order of the rows."""
    sample = sample_of(pod("b"), pod("a"))
    assert list(groups_of(sample.pods)) == ["b", "a"]
    assert [row[0] for row in Seen().rows(sample)] == ["a", "b"]


def test_numbers_of_an_emulated_resctrl_are_told_in_the_first_line() -> None:
    """Nobody takes them for this machine's."""
    real, emulated = pod("a"), msgspec.structs.replace(pod("b"), emulated=True)
    assert Seen().lines(sample_of(real))[0].startswith("node-1   ")
    assert Seen().lines(sample_of(real, emulated))[0].startswith("node-1 (emulated resctrl)   ")


def test_a_filter_keeps_groups_by_the_names_of_their_pods() -> None:
    """What it leaves out, and what is scrolled past, is in the last line; the sums above do not change."""
    sample = sample_of(pod("u1", 4 * MIB, name="web"), pod("u2", 2 * MIB, name="db"), pod("u3", MIB, name="web-2"))
    seen = Seen(filter="WEB", unmeasured=(Unmeasured("ns/web-3", "capacity"), Unmeasured("x", "capacity")))
    assert [row[0] for row in seen.rows(sample)] == ["ns/web", "ns/web-2", "ns/web-3", "…"]
    assert seen.rows(sample)[-1][1:5] == ["2", "others", "2.0", "MiB"]
    assert "LLC 7.0 MiB" in seen.lines(sample)[1]
    assert "filter: WEB" in seen.lines(sample)[2]
    assert offset_max(sample, seen.view()) == 1
    scrolled = Seen(filter="web", offset=1, unmeasured=())
    assert [row[0] for row in scrolled.rows(sample)] == ["ns/web-2", "…"]


@given(GROUP_READINGS, st.integers(0, 60), st.sampled_from(["", "1", "p2", "none"]), st.integers(6, 30))
def test_scrolled_and_filtered_every_pod_is_still_counted(
    groups: list[tuple[int | None, float | None, int]], offset: int, words: str, height: int
) -> None:
    """Lines and the last line's number are all pods."""
    sample = sample_of_groups(groups)
    lines = Seen(height=height, offset=offset, filter=words, unmeasured=()).lines(sample)[HEADER_LINES:]
    others = re.match(r"… (\d+) other", lines[-1])
    assert (len(lines) if others is None else len(lines) - 1 + int(others[1])) == len(sample.pods)
