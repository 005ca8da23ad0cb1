"""A sampler's declaration is all that its worker is made of."""

from fakes.new_kind import MADE_UP

from agent.config import Config
from agent.setting import Whole
from workers.framework.sampler import SAMPLER_KIND, NoRules, Probe, Sample, Sampler, SamplerContext, enabled_setting, sampler_worker
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
