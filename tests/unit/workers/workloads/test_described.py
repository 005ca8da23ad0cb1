"""Workloads of the settings file."""

import pytest

from agent.config import Config
from agent.model.errors import ConfigError
from workers.workloads.described import check_described, specs_of
from workers.workloads.worker import WORKER


def test_each_section_becomes_a_spec_by_its_name() -> None:
    """Checked as an order of a client is."""
    config = Config({}, {"web": {"command": ["serve"], "memory": "64M"}})
    assert specs_of(config)["web"].limits.memory_bytes == 64 << 20
    WORKER.check(config, "f")
    WORKER.check(Config({}), "f")


def test_what_could_never_start_is_refused_at_the_start_of_the_agent() -> None:
    """With the section's name."""
    for name, section in (("a/b", {"command": ["x"]}), ("a", {"command": ["x"], "memory": 1})):
        with pytest.raises(ConfigError, match=r"f: workload\."):
            check_described(Config({}, {name: section}), "f")
