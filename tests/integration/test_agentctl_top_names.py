"""Names in `agentctl top`: those of the running agent, those of stored rows without one, and those of the past."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.control_server import FakeControlServer
from fakes.listed_pod import pod_list, pod_row
from fakes.sealed_files import seal
from fakes.stored_data import FORMS, batch_of, head_of, process_row, tail_row, write_segment
from fakes.stored_names import CONTAINER_FORM, POD_FORM, container_name_row, pod_group_row
from fakes.stored_occupancy import OCCUPANCY, occupancy_row, occupancy_tick

S = 10**9
DAY = 86_400 * S
# Midnight of 2024-01-02, UTC.
MIDNIGHT = 1_704_153_600 * S

Top = Callable[..., str]

AGENT = pod_list(
    pod_row("uid-1", namespace="shop", name="web-0", labels={"app": "web"}, container_names={"c1": "nginx", "c2": "log"}),
    pod_row("uid-2", namespace="shop-test", name="db-0", labels={"app": "db"}, container_names={"c3": "postgres"}),
)
PROCESSES = [
    process_row(1, 11, pod="uid-1", container="c1"),
    process_row(1, 12, pod="uid-1", container="c2"),
    process_row(1, 21, pod="uid-2", container="c3"),
    process_row(1, 31, pod="uid-3", container="c4"),
    process_row(1, 41),
]


@pytest.fixture
def top(tmp_path: Path) -> Top:
    """What `agentctl top` prints over the folders of the test."""

    def call(*words: str) -> str:
        code, text, told = agentctl_here(tmp_path, "top", *words)
        assert (code, told) == (0, "")
        return text

    return call


@pytest.fixture
def spooled(tmp_path: Path) -> None:
    """One tick: three processes of two named pods, one of a pod without a name, one of no pod; a sum."""
    data = head_of("a") + batch_of("process", PROCESSES) + batch_of("process_tail", [tail_row(1, 7, pod="uid-2")])
    write_segment(tmp_path, "a", data)


def rows_of(text: str) -> dict[str, list[str]]:
    """The words of each process's line, by its pid."""
    lines = text.splitlines()
    title = next(index for index, line in enumerate(lines) if line.endswith("COMMAND"))
    return {words[0]: words for line in lines[title + 1 :] if (words := line.split())[0].isdigit()}


@pytest.mark.usefixtures("spooled")
def test_a_running_agent_gives_names_of_pods_and_containers(tmp_path: Path, top: Top) -> None:
    """A pod that no runtime reported has its uid, and its container no name."""
    with FakeControlServer(str(tmp_path), {"list-pods": AGENT}):
        text = top()
        document = json.loads(top("--json"))
    assert "POD/UNIT" in text
    assert "CONTAINER" in text
    named = {pid: words[2:4] for pid, words in rows_of(text).items()}
    assert named == {
        "11": ["shop/web-0", "nginx"],
        "12": ["shop/web-0", "log"],
        "21": ["shop-test/db-0", "postgres"],
        "31": ["uid-3", "-"],
        "41": ["-", "-"],
    }
    told = {process["pid"]: (process["pod_name"], process["container_name"]) for process in document["processes"]}
    assert (told[11], told[31]) == (("shop/web-0", "nginx"), (None, None))
    assert [tail["pod_name"] for tail in document["tail"]] == ["shop-test/db-0"]


@pytest.mark.usefixtures("spooled")
@pytest.mark.parametrize(
    ("kept", "pids"),
    [
        ("namespace:test", [21]),
        ("pod:web-0", [11, 12]),
        ("shop/", [11, 12]),
        ("container:log", [12]),
        ("nginx", [11]),
        ("label:app=web", [11, 12]),
        ("label:app", [11, 12, 21]),
        ("label:app=web container:nginx", [11]),
    ],
)
def test_a_filter_finds_names(kept: str, pids: list[int], tmp_path: Path, top: Top) -> None:
    """By a word in everything, or in one kind of name alone."""
    with FakeControlServer(str(tmp_path), {"list-pods": AGENT}):
        document: dict[str, Any] = json.loads(top("--json", "--filter", kept))
    assert sorted(process["pid"] for process in document["processes"]) == pids


def _story(begin: int) -> bytes:
    """Two ticks, and the names in the same segment."""
    forms = {**FORMS, "pod_group": POD_FORM, "container_name": CONTAINER_FORM}
    data = head_of("0000000900000000", forms)
    data += batch_of("pod_group", [pod_group_row(begin, "uid-1", "shop/web-0", labels={"app": "web"})], stamp_wall_ns=begin)
    data += batch_of("container_name", [container_name_row(begin, "c1", "nginx", "uid-1")], stamp_wall_ns=begin)
    for at in (begin + S, begin + 2 * S):
        data += batch_of("process", [process_row(at, 11, pod="uid-1", container="c1")], stamp_wall_ns=at)
        data += batch_of("process_tail", [tail_row(at, 7)], stamp_wall_ns=at)
    return data


def test_without_an_agent_names_are_those_of_stored_rows(tmp_path: Path, top: Top) -> None:
    """The screen says that no agent runs, and is as readable as before it ended; the filter works as well."""
    write_segment(tmp_path, "0000000900000000", _story(MIDNIGHT))
    text = top()
    assert "agent not running" in text
    assert rows_of(text)["11"][2:4] == ["shop/web-0", "nginx"]
    assert [process["pid"] for process in json.loads(top("--json", "--filter", "label:app=web"))["processes"]] == [11]


def test_the_past_has_the_names_of_then(tmp_path: Path, top: Top) -> None:
    """A pod that runs since long before has rows of the day itself; the agent of today knows neither it nor its container."""
    began = MIDNIGHT - 40 * DAY
    seal(tmp_path, "process", 1, [process_row(MIDNIGHT + 7 * S, 11, pod="uid-old", container="c-old")])
    pods = [pod_group_row(at, "uid-old", "shop/old-0", since=began, labels={"app": "web"}) for at in (began, MIDNIGHT)]
    seal(tmp_path, "pod_group", 2, pods[:1], form=POD_FORM)
    seal(tmp_path, "pod_group", 3, pods[1:], form=POD_FORM)
    seal(tmp_path, "container_name", 4, [container_name_row(MIDNIGHT, "c-old", "nginx", "uid-old")], form=CONTAINER_FORM)
    at = ("--at", "2024-01-02T00:00:08Z")
    with FakeControlServer(str(tmp_path), {"list-pods": AGENT}):
        assert rows_of(top(*at))["11"][2:4] == ["shop/old-0", "nginx"]
        found = [json.loads(top(*at, "--json", "--filter", kept))["processes"] for kept in ("label:app=web", "label:app=db")]
    assert [len(processes) for processes in found] == [1, 0]


def test_occupancy_is_filtered_by_the_same_words(tmp_path: Path, top: Top) -> None:
    """Pods by namespace, container and label, as the agent gives them."""
    rows = [occupancy_row(1, "uid-1", name="shop/web-0"), occupancy_row(1, "uid-2", name="shop-test/db-0")]
    write_segment(tmp_path, "a", head_of("a", {"occupancy": OCCUPANCY}) + occupancy_tick(1, rows))
    with FakeControlServer(str(tmp_path), {"list-pods": AGENT}):
        for kept, shown in (
            ("namespace:test", "db-0"),
            ("container:log", "web-0"),
            ("label:app=db", "db-0"),
            ("pod:web", "web-0"),
            ("postgres", "db-0"),
        ):
            text = top("--occupancy", "--filter", kept)
            assert [name in text for name in ("web-0", "db-0")] == [shown == "web-0", shown == "db-0"], kept


HOSTILE = ("\x1b[2Jx", "web\u202etxt", "负载均衡器" * 20, "n" * 100_000, "a\nb")


@pytest.mark.usefixtures("spooled")
@pytest.mark.parametrize("name", HOSTILE, ids=["escape", "bidi", "wide", "long", "newline"])
def test_names_that_deceive_stay_readable(name: str, tmp_path: Path, top: Top) -> None:
    """Names of pods, containers and labels print nothing that a terminal obeys."""
    pods = pod_list(pod_row("uid-1", namespace=name, name=name, labels={name: name}, container_names={"c1": name}))
    with FakeControlServer(str(tmp_path), {"list-pods": pods}):
        lines = top().splitlines()
    assert all(letter.isprintable() for line in lines for letter in line)
    assert sum(line.split()[:1] == ["11"] for line in lines) == 1
