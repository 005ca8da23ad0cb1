"""The screen of units: lines that add up, the tree, filters, names, any width and height."""

import pytest
from msgspec.structs import replace

from agent.cli.known_names import KnownNames
from agent.cli.top_heading import HistoryMoment
from agent.cli.top_state import TopState
from agent.cli.top_style import CRITICAL, WARNING, plain
from agent.cli.unit_render import UnitView, named_units, render_units, unit_name
from agent.cli.unit_sample import UnitLine, UnitReading, UnitSample
from agent.cli.width import display_width

S = 10**9
AT = 1_700_000_000 * S
NAMES = KnownNames(
    pods={"u1": "shop/web-0"},
    containers={"c1" * 32: "nginx"},
    labels={"u1": {"app": "web"}},
    containers_of={"u1": frozenset(["c1" * 32])},
)


def line(unit: str, cgroup: str, kind: str = "service", *, container: str | None = None, cpu: float = 0.1) -> UnitLine:
    return UnitLine(UnitReading(AT, unit, kind, cgroup, container, elapsed_ns=S, cpu_cores=cpu, memory_current_bytes=1 << 20))


POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podu1.slice"
LINES = (
    line("/kubepods.slice", "/kubepods.slice", "slice", cpu=2.0),
    UnitLine(replace(line("u1", POD, "pod", cpu=1.9).reading, pressure_cpu_some_ns=S // 3, cpu_throttled_ns=S // 5)),
    line("u1", f"{POD}/cri-c1.scope", "pod", container="c1" * 32, cpu=1.8),
    line("u1", f"{POD}/cri-c2.scope", "pod", container="d2" * 32, cpu=0.1),
    line("/system.slice/ssh.service", "/system.slice/ssh.service", cpu=0.2),
)
SAMPLE = UnitSample(AT, "node7", LINES)


def view(width: int | None = 80, height: int = 24, **state: object) -> UnitView:
    return UnitView(width, height, replace(TopState("cpu"), **state), AT + S, "", NAMES)


def texts(of: UnitView, sample: UnitSample = SAMPLE) -> list[str]:
    return [plain(each) for each in render_units(sample, of).lines]


def test_lines_add_up_to_the_host() -> None:
    """A unit that holds others has no line, containers are part of their pods."""
    head, status, titles, *rows = texts(view())
    assert head.startswith("node7   ")
    assert status == "2 units  CPU 2.10  MEM 2.0 MiB  1 throttled, 1 waiting  by cpu"
    assert titles.split()[:2] == ["UNIT", "CPU"]
    assert [row.split()[0] for row in rows] == ["shop/web-0", "ssh.service"]


def test_the_tree_has_all_of_them() -> None:
    """Slices, what lies in them, and containers below their pod; the heaviest first."""
    rows = texts(view(is_tree=True))[3:]
    names = [row[:30].rstrip() for row in rows]
    assert names[0].startswith("kubepods.slice")
    assert names[1].startswith("└ shop/web-0")
    assert names[2].startswith("  └ nginx")
    assert names[3].startswith("  └ d2d2d2d2d2d2")
    assert names[4].startswith("ssh.service")
    assert "` shop/web-0" in "\n".join(texts(replace(view(is_tree=True), has_letters=False)))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("namespace:shop", ["shop/web-0"]),
        ("pod:web", ["shop/web-0"]),
        ("container:nginx", ["shop/web-0"]),
        ("label:app=web", ["shop/web-0"]),
        ("kind:slice", ["kubepods.slice"]),
        ("kind:serv ssh", ["ssh.service"]),
        ("nobody", []),
    ],
)
def test_filters_keep_units(words: str, names: list[str]) -> None:
    """By names, labels and kinds; one that is asked for has its line, whatever it holds."""
    shown = texts(view(filter=words))
    assert [row.split()[0] for row in shown[3:]] == names
    assert shown[1].startswith(f"filter: {words} ({len(names)} found)")


def test_in_a_tree_a_filter_keeps_containers_of_their_own() -> None:
    """Whatever its pod is."""
    (row,) = texts(view(is_tree=True, filter="d2d2"))[3:]
    assert row.startswith("d2d2d2d2d2d2")


@pytest.mark.parametrize("width", [1, 20, 40, 80, 100, 160, 300])
@pytest.mark.parametrize("height", [1, 3, 10])
def test_every_size_fits(width: int, height: int) -> None:
    """No line is wider, no screen higher."""
    for is_tree in (False, True):
        shown = texts(view(width, height, is_tree=is_tree, offset=9))
        assert len(shown) <= height
        assert max(map(display_width, shown)) <= width


def test_a_wide_screen_has_kinds_and_models() -> None:
    """A narrow one has neither; the model stands where some unit serves one."""
    served = replace(SAMPLE, lines=(replace(LINES[1], model="org/llm-8b"), LINES[4]))
    assert "KIND" in texts(view(160), served)[2]
    assert texts(view(160), served)[3].endswith("org/llm-8b")
    assert "KIND" not in texts(view(80), served)[2]
    assert "MODEL" not in texts(view(160))[2]
    assert texts(view(None), served)[3].endswith("org/llm-8b")


def test_who_suffers_has_a_colour() -> None:
    """Throttling and pressure from a tenth of the time on, and every OOM kill."""
    screen = render_units(replace(SAMPLE, lines=(replace(LINES[1], oom_kills=1), LINES[4])), view(None))
    styles = {span.style for span in screen.lines[3]}
    assert {WARNING, CRITICAL} <= styles
    assert CRITICAL not in {span.style for span in screen.lines[4]}


def test_rows_may_be_a_minute_old_where_no_unit_does_anything() -> None:
    """Not before then is something wrong."""
    seen = {age: texts(replace(view(), now_wall_ns=AT + age * S))[0] for age in (60, 70)}
    assert "no new samples" not in seen[60]
    assert "data is 1 min old" in seen[60]
    assert "no new samples" in seen[70]


def test_what_is_chosen_is_told() -> None:
    """Pause, scrolling, typing, bad rows, and the keys of time while the past is shown."""
    told = texts(view(None, 4, is_paused=True, offset=1), replace(SAMPLE, bad_rows=2))[1]
    assert "paused" in told
    assert "from 2 on" in told
    assert "2 bad rows left out" in told
    typing = replace(view(None, is_typing=True, filter="zz"), has_keys=True)
    assert texts(typing)[1].startswith("filter: zz_ (0 found)")
    past = replace(view(None), has_keys=True, moment=HistoryMoment(AT, True), time_keys="(keys)")
    assert texts(past)[1].endswith("(keys)")
    assert "agent not running" in texts(replace(view(), trouble="agent not running"))[0]


def test_names_are_readable_and_never_empty() -> None:
    """What would steer a terminal is escaped; without a name the uid stands."""
    hostile = UnitReading(AT, "/x\x1b[2J.service", "service", "/x\x1b[2J.service")
    assert "\x1b" not in unit_name(hostile, NAMES)
    assert unit_name(UnitReading(AT, "u9", "pod", ""), NAMES) == "u9"
    assert unit_name(UnitReading(AT, "u1", "pod", POD, "e" * 64), NAMES) == "e" * 12


def test_the_document_has_names_and_all_columns() -> None:
    """Containers too; a filter chooses."""
    told = named_units(SAMPLE, view(None, 0))
    assert len(told) == len(LINES)
    assert told[1]["pod_name"] == "shop/web-0"
    assert [each["name"] for each in named_units(SAMPLE, view(None, 0, filter="kind:service"))] == ["ssh.service"]
