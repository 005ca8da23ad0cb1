"""What differs between two readings of the settings."""

from agent.config import GATEWAY_PORT, HEARTBEAT_INTERVAL, LOG_LEVEL, SETTINGS, Config
from agent.limit_setting import CPU_LIMIT
from agent.settings_difference import SettingDifference, differences

READERS = {"gateway": frozenset({GATEWAY_PORT.key}), "workloads": frozenset({"workload"}), "exporter/a": frozenset({"sink.a"})}


def compare(before: Config, after: Config) -> list[SettingDifference]:
    """With the settings of the agent itself."""
    return differences(SETTINGS, READERS, before, after)


def test_the_same_settings_do_not_differ() -> None:
    """A default that is written down is the same setting."""
    assert compare(Config({}), Config({GATEWAY_PORT.key: GATEWAY_PORT.default})) == []


def test_each_difference_says_who_reads_it_and_whether_it_is_followed_at_once() -> None:
    """One for the supervisor, one for a worker, one for nobody but a start."""
    found = compare(
        Config({}), Config({GATEWAY_PORT.key: 1, LOG_LEVEL.key: "debug", HEARTBEAT_INTERVAL.key: 10**9, CPU_LIMIT.key: 500})
    )
    assert {each.key: (each.before, each.after, each.workers, each.is_live) for each in found} == {
        "gateway.port": ("9464", "1", ("gateway",), False),
        "log.level": ("info", "debug", (), True),
        "supervisor.heartbeat_interval": ("250ms", "1s", (), False),
        "supervisor.cpu_limit": ("auto", "0.5%", (), True),
    }


def test_settings_of_one_worker_are_compared_too() -> None:
    """A time of supervision, a limit; also when they are taken away."""
    after = Config({"worker.gateway.hang_timeout": 3 * 10**9})
    (given,) = compare(Config({}), after)
    assert given == SettingDifference("worker.gateway.hang_timeout", "(as all workers)", "3s", (), is_live=True)
    (taken,) = compare(after, Config({}))
    assert (taken.before, taken.after) == ("3s", "(as all workers)")


def test_sections_are_named_and_not_shown() -> None:
    """A sink's values may be secrets."""
    secret = {"kind": "otlp", "token": "hunter2"}
    before = Config({}, {"w": {"command": ["a"]}}, {"a": {"kind": "file"}, "b": secret})
    after = Config({}, {"w": {"command": ["b"]}, "v": {}}, {"a": {"kind": "file"}, "c": secret})
    found = compare(before, after)
    assert [(each.key, each.before, each.after, each.workers) for each in found] == [
        ("workload.v", "(none)", "a section", ("workloads",)),
        ("workload.w", "a section", "another section", ("workloads",)),
        ("sink.b", "a section", "(none)", ()),
        ("sink.c", "(none)", "a section", ()),
    ]
    assert "hunter2" not in repr(found)
