"""A section of the settings file that describes a workload."""

import tomllib
from typing import Any

import pytest

from agent.model.errors import ConfigError
from agent.model.workload_section import KEYS, WORKLOADS_MAX, checked_sections, order_of, section_document

WHOLE = """
command = ["python", "train.py"]
cpu = "200%"
cpu_weight = 50
memory = "4G"
memory_high = 1048576
pids = 100
io = ["/dev/sda:rbps=50M"]
gpu = [0, "GPU-1"]
restart = "on-failure"
env = { MODEL = "small \\"x\\"" }
labels = { team = "search" }
folder = "/srv"
user = "nobody"
grace = "5s"
killed_whole = false
without_limits = true
output = "1M"
"""


def test_every_key_has_its_place_in_the_order() -> None:
    """Limits are a part of their own."""
    section = tomllib.loads(WHOLE)
    assert set(section) == set(KEYS)
    assert order_of("train", section) == {
        "name": "train",
        "limits": {
            "cpu_cores": 2.0, "cpu_weight": 50, "memory_bytes": 4 << 30, "memory_high_bytes": 1 << 20, "pids": 100,
            "io": [{"device": "/dev/sda", "read_bytes_per_second": 50 << 20}],
        },
        "argv": ["python", "train.py"], "gpus": ["0", "GPU-1"], "restart": "on-failure", "env": {"MODEL": 'small "x"'},
        "labels": {"team": "search"}, "folder": "/srv", "user": "nobody", "grace_ns": 5_000_000_000, "is_killed_whole": False,
        "without_limits": True, "output_bytes_max": 1 << 20,
    }  # fmt: skip


def test_what_is_printed_is_read_back_as_it_was() -> None:
    """`agentd --check-config` prints a settings file."""
    section = tomllib.loads(WHOLE)
    printed = tomllib.loads("\n".join(section_document("a.b c", section)))
    assert printed == {"workload": {"a.b c": section}}


def test_one_value_may_stand_for_a_list() -> None:
    """A single disk, a single GPU."""
    found = order_of("a", {"command": ["x"], "io": "8:0:rbps=1", "gpu": 1})
    assert (found["gpus"], len(found["limits"]["io"])) == (["1"], 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("command", []), ("command", "ls"), ("command", [""]), ("command", [1]), ("cpu", "fast"), ("memory", "4GB"), ("pids", 0),
        ("io", ["sda"]), ("io", 7), ("gpu", [True]), ("restart", "sometimes"), ("env", {"A": 1}), ("env", "A=1"), ("labels", []),
        ("folder", 1), ("user", 0), ("grace", "10"), ("grace", 10), ("killed_whole", "yes"), ("without_limits", 1),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_the_name_of_its_key(key: str, value: object) -> None:
    """And with what is accepted."""
    with pytest.raises(ConfigError, match=rf"f: workload\.a\.{key}.*is not accepted.*write "):
        order_of("a", {"command": ["x"], key: value}, origin="f")


def test_unknown_keys_missing_commands_and_no_sections_are_refused() -> None:
    """Each with a sentence."""
    for table, words in (
        ({"a": {"comand": ["x"]}}, "there is no such key"),
        ({"a": {"cpu": 1}}, r"command.*it is missing"),
        ({"a": 7}, "this is no section"),
        (7, "this is no section"),
        ({str(number): {} for number in range(WORKLOADS_MAX + 1)}, "are the most"),
    ):
        with pytest.raises(ConfigError, match=words):
            checked_sections(table, origin="f")


def test_good_sections_stay_as_they_were_written() -> None:
    """They are read again by who starts the workload."""
    table: dict[str, Any] = {"a": {"command": ["x"], "cpu": "50%"}}
    assert checked_sections(table, origin="f") == table
