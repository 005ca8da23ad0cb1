"""agentctl neighbours over stored rows: sealed files and open spool, names, filters, bounds, and what is told without any."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.neighbour_story import BEGIN_S, noisy_node
from fakes.stored_data import batch_of, head_of, write_segment
from fakes.stored_names import POD_FORM, pod_group_row
from fakes.stored_occupancy import OCCUPANCY, occupancy_row
from fakes.stored_units import UNIT_FORM, store_window, unit_row

from agent.cli.neighbour_unit import BANDWIDTH, LLC

S = 10**9
BOUNDS = ("--since", "2024-01-01T00:00Z", "--until", "2024-01-01T00:10Z")
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Run `agentctl neighbours` over the folder of the test."""

    def call(*words: str) -> tuple[int, str, str]:
        return agentctl_here(tmp_path, "neighbours", *words)

    return call


def named(document: str) -> set[tuple[str, str, str]]:
    victims = json.loads(document)["victims"]
    return {(victim["unit"], victim["symptom"], culprit["unit"]) for victim in victims for culprit in victim["culprits"]}


def test_the_culprit_is_found_in_files_and_spool(tmp_path: Path, ask: Ask) -> None:
    """The episode may begin in sealed files and end in the spool: the answer is that of the columns themselves."""
    window, victim, culprit = noisy_node(3, "io")
    store_window(tmp_path, window, spooled_from=300)
    code, text, told = ask(*BOUNDS)
    assert (code, told) == (0, "")
    assert f"{victim} waited for I/O" in " ".join(text.split())
    assert "of all that rose" in " ".join(text.split())
    assert "looked at" in text
    code, document, told = ask(*BOUNDS, "--json")
    assert (code, told) == (0, "")
    assert named(document) == {(victim, "io", culprit)}
    assert json.loads(document)["looked"]["since_s"] == BEGIN_S


@pytest.mark.runbook("Neighbours")
def test_victims_are_chosen_by_name_kind_and_time(tmp_path: Path, ask: Ask) -> None:
    """By the names of pods as they are stored; another time has no such episode."""
    window, victim, culprit = noisy_node(3, "io")
    store_window(tmp_path, window)
    row = pod_group_row(BEGIN_S * S, victim, "shop/web", labels={"app": "web"})
    names = batch_of("pod_group", [row], stamp_wall_ns=BEGIN_S * S)
    write_segment(tmp_path, "c", head_of("c", {"pod_group": POD_FORM}) + names)
    for words in (
        ("--unit", "shop/web"),
        ("--unit", victim),
        ("--filter", "namespace:shop kind:serv"),
        ("--filter", "label:app=web"),
    ):
        code, text, _ = ask(*BOUNDS, *words)
        assert code == 0
        assert "shop/web waited for I/O" in " ".join(text.split()), words
        assert culprit.removesuffix(".service") in text
    for words in (("--unit", "nobody"), ("--filter", "kind:pod"), ("--filter", "namespace:bank")):
        assert "no culprit seen" in ask(*BOUNDS, *words)[1]
    (found,) = json.loads(ask(*BOUNDS, "--json", "--unit", "shop/web")[1])["victims"]
    at = found["episodes"][0]["since_s"]
    assert (victim, "io", culprit) in named(ask("--at", f"{iso(at)}", "--json")[1])
    early = ("--since", iso(BEGIN_S), "--until", iso(at - 30), "--json")
    assert (victim, "io", culprit) not in named(ask(*early)[1])


def iso(at_s: int) -> str:
    from agent.model.timebase import iso_utc

    return iso_utc(at_s * S)[:19] + "Z"


def test_cache_comes_from_the_table_of_cache(tmp_path: Path, ask: Ask) -> None:
    """Joined by the unit's identity."""
    window, victim, culprit = noisy_node(4, "cache")
    store_window(tmp_path, window)
    rows = [
        occupancy_row(
            (window.begin_s + second) * S, unit.unit.uid, llc=int(unit.columns[LLC][second]), total=unit.columns[BANDWIDTH][second]
        )
        for second in range(window.seconds)
        for unit in window.units
        if unit.columns[LLC][second] == unit.columns[LLC][second]
    ]
    write_segment(tmp_path, "c", head_of("c", {"occupancy": OCCUPANCY}) + batch_of("occupancy", rows, stamp_wall_ns=BEGIN_S * S))
    assert (victim, "cache", culprit) in named(ask(*BOUNDS, "--json")[1])


@pytest.mark.runbook("Unit sampler")
def test_idle_units_have_rows_seldom(tmp_path: Path, ask: Ask) -> None:
    """A row that covers a minute is no burst, and no episode."""
    rows = [unit_row((BEGIN_S + at) * S, "/idle.service", elapsed_ns=60 * S, cpu_cores=0.0, cpu_ns=0) for at in range(60, 600, 60)]
    rows += [unit_row((BEGIN_S + at) * S, "/busy.service", cpu_cores=0.5, cpu_ns=S // 2) for at in range(600)]
    data = head_of("a", {"unit": UNIT_FORM}) + batch_of("unit", rows, stamp_wall_ns=BEGIN_S * S)
    write_segment(tmp_path, "a", data)
    code, text, told = ask(*BOUNDS)
    assert (code, told) == (0, "")
    assert "no culprit seen" in text
    assert "looked at 2 units" in text


@pytest.mark.runbook("Neighbours")
def test_without_rows_the_way_to_some_is_told(tmp_path: Path, ask: Ask) -> None:
    """An agent without a sampler of units, and a folder that no agent had."""
    assert ask()[0] == 69
    (tmp_path / "data").mkdir()
    code, text, told = ask()
    assert (code, text, told.count("\n")) == (69, "", 1)
    assert "list-workers" in told


@pytest.mark.parametrize(
    "words",
    [("--at", "03:12", "--since", "1h"), ("--since", "now", "--until", "1h"), ("--victims", "0"), ("--since", "tomorrow")],
)
def test_what_cannot_be_asked_is_told(words: tuple[str, ...], ask: Ask) -> None:
    """Misuse ends with 64 and one sentence."""
    code, text, told = ask(*words)
    assert (code, text, told.count("\n")) == (64, "", 1)


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path, ask: Ask) -> None:
    """A cgroup may be called anything."""
    name = "/\x1b[2Jevil\n.service"
    rows = [
        unit_row((BEGIN_S + at) * S, name, pressure_cpu_some_ns=S // 2 if 100 <= at < 150 else 0, cpu_cores=0.1, cpu_ns=S // 10)
        for at in range(300)
    ]
    write_segment(tmp_path, "a", head_of("a", {"unit": UNIT_FORM}) + batch_of("unit", rows, stamp_wall_ns=BEGIN_S * S))
    for words in ((), ("--json",)):
        code, text, _ = ask(*BOUNDS, *words)
        assert code == 0
        assert "\x1b" not in text
        assert "evil" in text
