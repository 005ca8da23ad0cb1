"""A real agent sends what it measures to a real broker and merges it into a lake, whose sketches agree with its rows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.agentctl_here import agentctl_here
from fakes.lake_rows import lake_state
from harness.agent_process import UNHURRIED, AgentProcess
from harness.sinks.kafka_broker import KafkaBroker
from harness.sinks.redis_server import RedisServer
from harness.waiting import wait_until

from agent.lake.mark_cache import MarkCache
from agent.lake.mark_form import lake_id

COMMITS_LEAST = 5


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """An empty one."""
    with KafkaBroker(tmp_path / "kafka") as started:
        yield started


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty one."""
    with RedisServer(tmp_path / "redis") as started:
        yield started


def test_an_agent_fills_a_lake_with_what_it_measures(broker: KafkaBroker, redis: RedisServer, tmp_path: Path) -> None:
    """Exporter and merger are killed on the way; every bucket of every window agrees, and the marks are in the cache."""
    lake = tmp_path / "lake"
    lake.mkdir()
    config = tmp_path / "agentd.toml"
    config.write_text(
        f'[sink."kafka"]\nkind = "kafka"\nbrokers = "{broker.address_text}"\npartitions = 2\ninterval = "200ms"\n'
        f'[merger]\nbrokers = "{broker.address_text}"\ninterval = "200ms"\n[lake]\nurl = "file://{lake}"\n'
        f'[marks]\nredis = "{redis.url}"\n'
    )
    flags = {**UNHURRIED, "--config": str(config), "--sampler-process-interval": "100ms"}
    with AgentProcess(tmp_path, flags=flags) as agent:
        wait_until(lambda: agent.stats("merger").get("rows"), "the first rows")
        wait_until(lambda: agent.call("status")["stats"]["sampler/process"], "the sampler is there")
        for victim in ("exporter/kafka", "merger"):
            agent.kill_worker(victim)
        wait_until(lambda: agent.stats("merger").get("commits", 0) > COMMITS_LEAST, "more commits")
        cache = MarkCache(redis.url, lake_id(f"file://{lake}"))
        host = next(iter(lake_state(lake).marks["process"]))
        before = cache.read("process", [host])
        assert before[host].low_ns <= lake_state(lake).marks["process"][host].low_ns
        cache.close()
        assert before[host].low_ns > 0
    # What the sampler wrote at its end is sent and merged by the next one.
    with AgentProcess(tmp_path, flags={**flags, "--sampler-process-enabled": "false"}):
        wait_until(lambda: "process_sketch" in lake_state(lake).marks, "the sketches of the end", pause_seconds=0.1)
        wait_until(lambda: " 0 windows" not in f" {verified(lake)[1]}", "all of the window", pause_seconds=0.5)
    code, output, errors = verified(lake)
    assert (code, errors) == (0, ""), output
    assert "of 1 host compared: none differs" in output


def verified(lake: Path) -> tuple[int, str, str]:
    """What `agentctl verify` says."""
    return agentctl_here(lake, "verify", "--lake", f"file://{lake}")
