"""The rules see one sample, its host, and the minute before it."""

from fakes.calm_host import AT_NS, ended, sample

from agent.cli.problem_evidence import evidence_of
from agent.cli.top_sample import Sample
from agent.model.timebase import S


def test_only_the_minute_before_counts() -> None:
    """Neither older samples nor the sample itself nor later ones."""
    ages = {age: sample(at_wall_ns=AT_NS - age * S, ended=(ended(f"e{age}"),)) for age in (61, 60, 1, 0, -1)}
    evidence = evidence_of(ages[0], list(ages.values()))
    assert [one.at_wall_ns for one in evidence.before] == [AT_NS - 60 * S, AT_NS - S]
    assert [(at_ns, each.command) for at_ns, each in evidence.ended()] == [
        (AT_NS - 60 * S, "e60"),
        (AT_NS - S, "e1"),
        (AT_NS, "e0"),
    ]


def test_rows_that_sum_up_devices_are_left_out() -> None:
    """They have no name, and their sum is no device at its limit."""
    summed = evidence_of(sample(disks=[{"device": None, "devices": 9}], networks=[{"interface": None, "interfaces": 3}]))
    assert (summed.disks, summed.networks) == ((), ())


def test_rows_of_the_host_are_structs_and_may_be_missing() -> None:
    """Without them every figure is absent."""
    evidence = evidence_of(sample())
    assert (evidence.host.cores, evidence.disks[0].device, evidence.networks[1].interface) == (4, "vda", "eth0")
    bare = evidence_of(Sample(1, "h", (), ()))
    assert (bare.host.cores, bare.disks, bare.networks, bare.pod_names) == (None, (), (), {})
