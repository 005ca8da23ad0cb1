"""Scenarios as a person writes them, right and wrong."""

import pytest

from agent.cli.emulate import EXAMPLE_SCENARIO
from agent.model.errors import ConfigError
from workers.resctrl.emulator.scenario import Fault, Lock, Scenario, Traffic, Vanish, parse_action, parse_scenario

WHOLE = """
seed = 7
bytes_per_cpu_second = 1000
read_delay = "20us"

[[traffic]]
path = "mon_groups/pod_*"
bytes_per_second = 500
domains = { "1" = 9 }
local_fraction = 0.5

[[fault]]
operation = "mkdir"
path = "mon_groups/*"
errno = "EBUSY"
count = 3

[[fault]]
operation = "read"
path = "**/llc_occupancy"
answer = "Unavailable"
probability = 0.05
every = "10s"
lasts = "1s"

[[event]]
at = "5s"
repeat = "1m"
do = "vanish"
path = "mon_groups/pod_1"

[[event]]
at = "6s"
do = "fault"
errno = "EIO"
"""


def test_every_part_of_a_scenario_is_read() -> None:
    """Numbers, traffic, faults and timed events of one text come out as they stand there."""
    scenario = parse_scenario(WHOLE, "a.toml")
    assert (scenario.seed, scenario.bytes_per_cpu_second, scenario.read_delay_ns) == (7, 1000, 20_000)
    assert scenario.traffic[0].rates((0, 1)) == {0: 500, 1: 9}
    assert [fault.errno_number for fault in scenario.faults] == [16, 0]
    assert [(event.at_ns, event.every_ns, event.action) for event in scenario.events] == [
        (5 * 10**9, 60 * 10**9, Vanish(path="mon_groups/pod_1")),
        (6 * 10**9, 0, Fault(errno="EIO")),
    ]


def test_an_empty_scenario_is_one() -> None:
    """Nothing written means: values from CPU time, nothing goes wrong, a seed is drawn."""
    assert parse_scenario("", "a.toml") == Scenario()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed = ", "a.toml: not TOML: line 1, column 8"),
        ("sead = 1", "unknown field `sead`"),
        ('seed = "1"', "a.toml: seed: Expected `int | null`, got `str`"),
        ('read_delay = "20"', "`read_delay`: '20' is not a duration"),
        ('[[fault]]\npath = "**"', "fault 1: exactly one of `errno`, `answer` and `delay`"),
        ('[[fault]]\nerrno = "EIO"\n[[fault]]\nerrno = "EFOO"', "fault 2: `errno`: 'EFOO' is no name of an error"),
        ('[[fault]]\nerrno = "errorcode"', "is no name of an error"),
        ('[[fault]]\nerrno = "EIO"\nanswer = "x"', "exactly one of"),
        ('[[fault]]\nerrno = "EIO"\nprobability = 2', "fault 1 probability: Expected `float` <= 1.0"),
        ('[[fault]]\nerrno = "EIO"\nevery = "1s"', "`every` and `lasts` go together"),
        ('[[fault]]\nerrno = "EIO"\nuntil = "soon"', "`until`: 'soon' is not a duration"),
        ('[[fault]]\noperation = "mkdir"\nanswer = "Error"', "`answer` goes with operation `read` alone"),
        ('[[fault]]\noperation = "chmod"\nerrno = "EIO"', "fault 1 operation: Invalid enum value 'chmod'"),
        ("[[traffic]]\nbytes_per_second = 1", "traffic 1: Object missing required field `path`"),
        ('[[traffic]]\npath = "a"\ndomains = {first = 1}', "`domains` has numbers of domains as its keys"),
        ('[[event]]\nat = 5\ndo = "clear"', "event 1: `at` must be a duration"),
        ('[[event]]\nat = "x"\ndo = "clear"', "event 1: `at`: 'x' is not a duration"),
        ('[[event]]\nat = "5s"\ndo = "dance"', "event 1: do: Invalid value 'dance'"),
        ('[[event]]\nat = "5s"', "event 1: Object missing required field `do`"),
        ('[[event]]\ndo = "offline"\ndomain = -1', "event 1: domain: Expected `int` >= 0"),
        ('[[event]]\ndo = "lock"\nlasts = "1"', "`lasts`: '1' is not a duration"),
    ],
)
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    """A mistake is one sentence that names the file, the part and the key."""
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, "a.toml")
    assert sentence in caught.value.sentence
    assert caught.value.sentence.startswith("a.toml")


def test_the_scenario_in_the_help_is_one() -> None:
    """What `--help` shows can be copied into a file and used."""
    scenario = parse_scenario(EXAMPLE_SCENARIO, "help")
    assert (len(scenario.traffic), len(scenario.faults), len(scenario.events)) == (1, 1, 1)


def test_a_domain_that_is_not_there_is_named() -> None:
    """Traffic for a domain that the machine does not have is refused with those that it has."""
    with pytest.raises(ConfigError, match="no domain 9; it has 0, 16"):
        Traffic(path="*", domains={"9": 1}).rates((0, 16))


def test_an_action_is_known_by_its_word() -> None:
    """What comes over the control socket is parsed by the same rules."""
    assert parse_action({"do": "lock", "lasts": "2s"}, "control") == Lock(lasts="2s")
    with pytest.raises(ConfigError, match="control: Object contains unknown field `last`"):
        parse_action({"do": "lock", "lasts": "2s", "last": 1}, "control")
