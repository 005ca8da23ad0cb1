"""A scenario that is written wrongly: each error has line and column, what is wrong, and what may be meant."""

import sys
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts/bench"))
sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from scenarios.definition import Scenario, parse_scenario
from scenarios.document import DefinitionError

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
