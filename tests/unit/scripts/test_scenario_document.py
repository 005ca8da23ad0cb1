"""A scenario that is written wrongly: each error has line and column, what is wrong, and what may be meant."""

import sys
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import Scenario, parse_scenario
from scenarios.document import DefinitionError
from scenarios.running import short, with_members

DEFINITIONS = Path(__file__).parents[3] / "scripts/scenarios/definitions"
GOOD = """\
name: mine
about: A sentence.
workload: standard
duration: 20s
validators:
  - judge: cost
"""


def _parsed(text: str) -> Scenario:
    return parse_scenario(text, origin="f.yaml")


@pytest.mark.parametrize("path", sorted(DEFINITIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_scenario_of_the_project_fits_and_has_the_name_of_its_file(path: Path) -> None:
    """A file that does not fit would be found when somebody runs it."""
    assert path.stem == parse_scenario(path.read_text(), origin=path.name).name


def test_what_is_not_written_has_its_default() -> None:
    """A workload by its bare word has all its values, and a validator its limits and its goal."""
    found = _parsed(GOOD)
    assert (found.workload.values["processes"], found.configuration, found.goals) == (500, "standard", ("G-2",))
    assert found.validators[0].limits == {"cpu_percent": 2.0, "reference_percent": 2.9, "pss_mib": 100.0}


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("workload: standard", "workload: standart", "f.yaml:3:11: 'workload': there is no 'standart'; did you mean standard?"),
        ("duration:", "durration:", "f.yaml:4:1: the definition has no key 'durration'; did you mean duration"),
        ("duration: 20s", "duration: 20", "f.yaml:4:11: 'duration' must be a duration with its unit"),
        ("duration: 20s", "duration: 20s\nduration: 30s", "f.yaml:5:1: 'duration' stands twice"),
        ("duration: 20s", "duration: 0.1s", "f.yaml:4:11: 'duration' must be from 1s to 86400s"),
        ("duration: 20s\n", "", "f.yaml:1:1: the definition lacks 'duration'"),
        ("about: A sentence.", "about: no", "f.yaml:2:8: 'about' must be a text, and YAML reads no as a truth value"),
        ("about: A sentence.", "about: 1:30", "f.yaml:2:8: 'about' must be a text, and YAML reads 1:30 as a number"),
        ("about: A sentence.", "about:", "f.yaml:2:7: 'about' has no value"),
        ("about: A sentence.", "about: &a x", "f.yaml:2:8: anchors (&) and aliases (*) are refused"),
        ("about: A sentence.", "about: !!python/object:os.system x", "f.yaml:2:8: the tag tag:yaml.org,2002:python/object"),
        ("about: A sentence.", "about: [a", "f.yaml:3:9: is no YAML"),
        ("about: A sentence.", "about: {a: b}", "f.yaml:2:8: 'about' must be a text"),
        ("- judge: cost", "- judge: costs", "f.yaml:6:12: 'judge': there is no 'costs'; did you mean cost?"),
        ("- judge: cost", "- judge: cost\n    goal: G-12", "f.yaml:7:11: 'goal': there is no 'G-12'; did you mean"),
        ("- judge: cost", "- judge: cost\n    cpu_percent: much", "f.yaml:7:18: 'cpu_percent' must be a share in percent"),
        ("- judge: cost", "- judge: cost\n    cpu: 1", "f.yaml:7:5: item 1 of 'validators' has no key 'cpu'; did you mean"),
        ("- judge: cost", "- judge: events", "f.yaml:6:5: item 1 of 'validators' lacks 'expect'"),
        ("workload: standard", "workload: {name: standard, processes: 1.5}", "f.yaml:3:39: 'processes' must be a whole number"),
        ("workload: standard", "workload: {processes: 5}", "f.yaml:3:11: 'workload' lacks 'name'"),
        ("duration: 20s", "duration: 20s\nsink: yes", "f.yaml:5:7: 'sink' must be true or false, and not 'yes'"),
        ("duration: 20s", "duration: 20s\nsettings: {a.b: 1}", "f.yaml:5:11: settings are given to configuration custom"),
        ("duration: 20s", "duration: 20s\nfailures: [{at: 5s}]", "f.yaml:5:12: item 1 of 'failures' lacks 'do'"),
        (
            "duration: 20s",
            "duration: 20s\nfailures: [{at: 5s, do: fill_disk}]",
            "f.yaml:5:25: fill_disk needs a disk of the scenario's own",
        ),
        (
            "duration: 20s",
            "duration: 20s\nfailures: [{at: 30s, do: restart_agent}]",
            "f.yaml:5:17: 'at' must be from 0s to 20s",
        ),
        ("duration: 20s", "duration: 20s\ncommands: [{name: x, run: [y]}]", "'workload' has no place beside 'commands'"),
    ],
)
def test_an_error_names_the_place_and_the_near_word(old: str, new: str, error: str) -> None:
    """Line and column count from 1, as editors do."""
    assert old in GOOD
    with pytest.raises(DefinitionError) as caught:
        _parsed(GOOD.replace(old, new))
    assert error in str(caught.value)


BROKEN = """\
name: broken
about: A sentence.
workload: none
programs:
  - {kind: collector, way: proxy}
  - {kind: collector, name: far, way: lossy}
  - {kind: files}
duration: 40s
short: 10s
failures:
  - {at: 5s, do: delay, by: 1s, lasts: 10s}
  - {at: 20s, do: restart, program: far, lasts: 2s}
validators:
  - judge: delivery
"""


def test_a_failure_of_programs_happens_to_those_that_it_can_happen_to() -> None:
    """A proxy delays, so only what is behind one is delayed; any program can be started again."""
    found = _parsed(BROKEN)
    assert [each.name for each in found.programs] == ["collector", "far", "files"]
    assert [each.programs for each in found.failures] == [("collector",), ("far",)]


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("kind: files", "kind: file", "f.yaml:7:12: 'kind': there is no 'file'; did you mean files?"),
        ("{kind: files}", "{name: x}", "f.yaml:7:5: item 3 of 'programs' lacks 'kind'"),
        ("name: far, ", "", "f.yaml:6:5: there are two programs 'collector': give one of them a 'name'"),
        ("name: far", "name: Far away", "f.yaml:6:29: 'name' must be at most 32 small letters"),
        ("way: proxy", "way: direct", "f.yaml:11:18: delay needs a program with `way: proxy` under 'programs'"),
        ("program: far", "program: fur", "f.yaml:12:37: restart cannot happen to 'fur'; did you mean far?"),
        ("by: 1s", "by: 1s, program: far", "f.yaml:11:42: delay cannot happen to 'far'; known: collector"),
        ("duration: 40s\nshort: 10s", "duration: 40s\nshort: 50s", "f.yaml:9:8: 'short' must be from 1s to 40s"),
    ],
)
def test_what_cannot_happen_to_a_program_is_said(old: str, new: str, error: str) -> None:
    """Before anything is started."""
    assert old in BROKEN
    with pytest.raises(DefinitionError) as caught:
        _parsed(BROKEN.replace(old, new))
    assert error in str(caught.value)


def test_the_short_form_keeps_each_failure_in_its_place() -> None:
    """A quarter of the time, a quarter of each failure of a program; without a short form all stays as it is."""
    found = short(_parsed(BROKEN))
    assert (found.duration_seconds, [each.at_seconds for each in found.failures]) == (10, [1.25, 5])
    assert [each.kind.values["lasts"] for each in found.failures] == [2.5, 0.5]
    assert short(_parsed(GOOD)) == _parsed(GOOD)


def test_a_group_has_only_the_names_of_others() -> None:
    """It is run by running those, each once."""
    found = _parsed("name: all\nabout: A sentence.\nscenarios: [failover, network_latency]\n")
    assert (found.scenarios, found.goals) == (("failover", "network_latency"), ())
    with pytest.raises(DefinitionError, match="the definition lacks 'duration'"):
        _parsed("name: all\nabout: A sentence.\nscenarios: [failover]\nworkload: none\n")


def test_each_member_of_the_integration_report_exists_and_has_a_short_form() -> None:
    """One that does not exist would be found when somebody waits for the report."""
    members = with_members(["integration"])
    asked = {"dualwrite", "nrdb_write", "query_router_fallback", "failover", "failover_exports"}
    assert {each.name for each in members} == asked | {"network_latency", "network_partition", "sketch_merger_restart"}
    # A router reads whole minutes, of which these need some.
    routed = {each.name for each in members if any(program.kind.name == "router" for program in each.programs)}
    assert routed == {"query_router_fallback", "sketch_merger_restart"}
    assert [each.name for each in members if each.programs and not 0 < each.short_seconds <= 80] == sorted(routed)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "f.yaml:1:1: is empty"),
        ("- a", "f.yaml:1:1: the definition must be a mapping"),
        ("a: b\n---\nc: d\n", "a second document begins here"),
        ("x: " + "[" * 100 + "]" * 100, "is nested more than 16 deep"),
        ("x: " + "y" * 70_000, "a definition has at most 65536"),
        ("a: &a [x]\nb: [*a, *a]\n", "f.yaml:1:4: anchors"),
        ("a: \x00", "f.yaml:1:1: is no YAML"),
        ("a:\tb: c", "is no YAML"),
    ],
)
def test_what_is_no_scenario_at_all_is_refused_with_a_sentence(text: str, error: str) -> None:
    """Also what would grow beyond what was written, or recurse."""
    with pytest.raises(DefinitionError) as caught:
        _parsed(text)
    assert error in str(caught.value)


def test_every_prefix_of_a_scenario_is_either_good_or_refused() -> None:
    """A file that was cut while it was written gives a sentence, and never a traceback."""
    text = (DEFINITIONS / "key_explosion.yaml").read_text()
    for length in range(len(text)):
        with suppress(DefinitionError):
            _parsed(text[:length])
