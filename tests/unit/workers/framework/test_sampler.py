"""A sampler's declaration is all that its worker is made of."""

from fakes.new_kind import MADE_UP
from msgspec.structs import replace

from agent.config import Config
from agent.setting import Whole
from workers.framework.sampler import (
    SAMPLER_KIND,
    NoRules,
    Probe,
    Sample,
    Sampler,
    SamplerContext,
    enabled_setting,
    sampler_worker,
    sampler_workers,
)
from workers.framework.sampler import interval_setting as interval


class EmptyProbe(NoRules):
    """Finds nothing."""

    def check(self) -> None:
        """All is well."""

    def sample(self, now_ns: int, wall_ns: int) -> Sample:
        """Nothing."""
        return ()

    def stats(self) -> dict[str, object]:
        """Nothing."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


def _open(_context: SamplerContext) -> Probe:
    return EmptyProbe()


CAPACITY = Whole("sampler.empty.capacity", 3, 1, 9, "ticks")
SAMPLER = Sampler(
    name="empty",
    about="nothing",
    tables=(MADE_UP,),
    files=("/proc/nothing",),
    is_enabled=enabled_setting("empty"),
    interval=interval("empty"),
    further_settings=(),
    open=_open,
    capacity=CAPACITY,
)


def test_its_worker_has_its_name_tables_and_settings() -> None:
    """The kind is that of all samplers, and all count their ticks."""
    worker = sampler_worker(SAMPLER)
    assert (worker.name, worker.kind, worker.tables) == ("sampler/empty", SAMPLER_KIND, (MADE_UP,))
    assert worker.settings == (SAMPLER.is_enabled, SAMPLER.interval, CAPACITY)
    assert [statistic.name for statistic in worker.statistics] == ["evergauge_sampler_ticks_total"]


def test_its_switch_decides_whether_its_worker_runs() -> None:
    """On by default."""
    worker = sampler_worker(SAMPLER)
    assert worker.is_wanted(Config({}))
    assert not worker.is_wanted(Config({"sampler.empty.enabled": False}))


def test_a_probe_without_rules_is_never_behind() -> None:
    """It follows none, and all of its work is done in its ticks."""
    probe = EmptyProbe()
    probe.catch_up(1)
    assert not probe.is_behind()
    probe.on_readable(3, 1)
    assert probe.interests() == ()


def _shared(name: str, *capabilities: str) -> Sampler:
    return replace(
        SAMPLER, name=name, is_enabled=enabled_setting(name), interval=interval(name), process="both", capabilities=capabilities
    )


def test_samplers_of_one_process_are_one_worker_with_the_tables_and_settings_of_all() -> None:
    """Those that name no process have one of their own."""
    first, second = _shared("first", "a", "b"), _shared("second", "b", "c")
    alone, both = sampler_workers([SAMPLER, first, second])
    assert (alone.name, alone.members) == ("sampler/empty", ())
    assert (both.name, both.kind) == ("sampler/both", SAMPLER_KIND)
    assert [member.name for member in both.members] == ["sampler/first", "sampler/second"]
    assert both.tables == (MADE_UP, MADE_UP)
    assert both.settings == first.settings + second.settings


def test_a_process_runs_those_that_are_wanted_and_keeps_what_these_need() -> None:
    """With one of them switched off the other runs alone; without any there is no process."""
    (both,) = sampler_workers([_shared("first", "a", "b"), _shared("second", "b", "c")])
    first_off = {"sampler.first.enabled": False}
    for values, names, kept in (({}, ["first", "second"], ("a", "b", "c")), (first_off, ["second"], ("b", "c"))):
        config = Config(dict(values))
        assert both.is_wanted(config)
        assert [member.name for member in both.wanted_members(config)] == [f"sampler/{name}" for name in names]
        assert both.kept_capabilities(config) == kept
    assert not both.is_wanted(Config({**first_off, "sampler.second.enabled": False}))
