"""Findings as people and programs read them: ranked, named, in plain sentences."""

from datetime import UTC

from agent.cli.known_names import KnownNames
from agent.cli.neighbour_document import document_of
from agent.cli.neighbour_episode import Symptom
from agent.cli.neighbour_name import UnitNames
from agent.cli.neighbour_ranking import findings_of
from agent.cli.neighbour_text import Looked, amount_of, looked_lines, sentence_of, table_rows
from agent.cli.neighbour_unit import JudgedUnit
from agent.cli.neighbour_verdict import Innocence, NoisyNeighbour, Verdict

VICTIM, NOISY = "u-web", "/system.slice/noisy.service"
UNITS = {VICTIM: JudgedUnit(VICTIM, "pod", "/kubepods/u-web"), NOISY: JudgedUnit(NOISY, "service", NOISY)}
NAMES = UnitNames(KnownNames(pods={VICTIM: "shop/web"}, labels={VICTIM: {"app": "web"}}), UNITS)
CULPRIT = NoisyNeighbour(NOISY, "cpu_cores", 0.1, 2.0, 0.88, 0, 42, 0.9, 0.016)
GUILTY = Verdict(VICTIM, Symptom.CPU, 1_700_000_000, 1_700_000_042, 0.03, 0.41, (CULPRIT,))
AGAIN = Verdict(VICTIM, Symptom.CPU, 1_700_000_500, 1_700_000_510, 0.03, 0.2, (), Innocence.OWN_LIMIT)
ALONE = Verdict(NOISY, Symptom.IO, 1_700_000_100, 1_700_000_900, 0.0, 0.9, (), Innocence.NOTHING_ROSE)


def test_a_sentence_says_who_did_what_from_when_on() -> None:
    """With the figures before and during, and the part."""
    (found,) = findings_of([GUILTY])
    assert sentence_of(found, NAMES.name, UTC) == (
        "shop/web waited for a CPU 41% of the time (before: 3%) for 42 s from 2023-11-14 22:13:20: noisy.service went in CPU from "
        "0.10 to 2.00 cores, beginning in the same second, 88% of all that rose."
    )


def test_several_times_are_counted() -> None:
    """The worst with a culprit is told, and in how many one is named."""
    (found,) = findings_of([AGAIN, GUILTY])
    assert (found.worst, found.seconds, found.innocence) == (GUILTY, 52, Innocence.OWN_LIMIT)
    assert "It suffered 1 further time; a neighbour is named in 1 of 2." in sentence_of(found, NAMES.name, UTC)
    (unnamed,) = findings_of([AGAIN, AGAIN])
    assert sentence_of(unnamed, NAMES.name, UTC).endswith("at fault. It suffered 1 further time.")


def test_every_innocence_is_a_sentence() -> None:
    """No culprit seen, and why; a shared limit and a lag are told with a culprit."""
    for reason in Innocence:
        for symptom in Symptom:
            (found,) = findings_of([Verdict(VICTIM, symptom, 0, 9, None, 0.5, (), reason)])
            assert "no culprit seen; " in sentence_of(found, NAMES.name, UTC)
    early = NoisyNeighbour(NOISY, "memory_current_bytes", 0, 1 << 30, 0.9, 12, 42, 0.9, 0.016)
    (found,) = findings_of([Verdict(VICTIM, Symptom.MEMORY, 0, 9, 0.0, 0.5, (early,), limit="/a.slice")])
    assert "from 0 B to 1.0 GiB, beginning 12 s before" in sentence_of(found, NAMES.name, UTC)
    assert "below the memory limit of a.slice" in sentence_of(found, NAMES.name, UTC)
    late = NoisyNeighbour(NOISY, "llc_occupancy_bytes", 1 << 20, 2 << 20, 0.9, -2, 42, 0.9, 0.016)
    (found,) = findings_of([Verdict(VICTIM, Symptom.CACHE, 0, 9, 0.0, 0.5, (late,))])
    assert "lacked 50% of the last-level cache that it usually holds (before: 0%)" in sentence_of(found, NAMES.name, UTC)
    assert "from 1.0 to 2.0 MiB, beginning 2 s after" in sentence_of(found, NAMES.name, UTC)


def test_the_named_come_first_then_the_largest_loss() -> None:
    """A line for each victim and culprit; nobody stands with the reason."""
    findings = findings_of([ALONE, GUILTY])
    assert [found.unit for found in findings] == [VICTIM, NOISY]
    assert table_rows(findings, NAMES.name, UTC) == [
        ("shop/web", "cpu", "22:13:20", "42 s", "3% to 41%", "noisy.service", "88%", "0.10 to 2.00 cores"),
        ("noisy.service", "io", "22:15:00", "13 min 20 s", "0% to 90%", "nobody: nothing rose", "-", "-"),
    ]
    both = Verdict(VICTIM, Symptom.CPU, 0, 9, None, 0.5, (CULPRIT, NoisyNeighbour("/b", "cpu_cores", 0, 1, 0.2, 0, 4, 0.9, 0.016)))
    assert [row[5] for row in table_rows(findings_of([both]), NAMES.name, UTC)] == ["noisy.service", "/b"]


def test_amounts_have_units() -> None:
    """Those of their columns."""
    assert amount_of("io_operations_per_second", 30.4) == "30/s"
    assert amount_of("io_bytes_per_second", 2048) == "2.0 KiB/s"
    assert amount_of("mbm_total_bytes_per_second", 2048) == "2.0 KiB/s"


def test_what_was_looked_at_is_told() -> None:
    """Also what was not looked into."""
    looked = Looked(1_700_000_000, 1_700_003_600, 3_590, 200, 3, unjudged=1)
    first, second = looked_lines(looked, findings_of([GUILTY]), UTC)
    assert first.startswith(
        "looked at 200 units from 2023-11-14 22:13:20 to 2023-11-14 23:13:20 (1 h, 3590 s with rows): 3 episodes of 1 unit"
    )
    assert second.startswith("1 smaller episode not looked into")


def test_the_document_has_everything() -> None:
    """Names beside uids, evidence with its columns and seconds."""
    document = document_of(Looked(0, 9, 9, 2, 2), findings_of([GUILTY, AGAIN]), NAMES)
    victims = document["victims"]
    assert isinstance(victims, list)
    (victim,) = victims
    assert (victim["name"], victim["no_culprit_because"]) == ("shop/web", "own_limit")
    assert victim["culprits"][0]["episodes"] == 1
    assert victim["episodes"][0]["culprits"][0]["column"] == "cpu_cores"


def test_hostile_names_are_readable() -> None:
    """What would steer a terminal is escaped; a unit may be asked for by name, uid and path."""
    evil = JudgedUnit("/a/\x1b[2J.service", "service", "/a/\x1b[2J.service")
    names = UnitNames(KnownNames(), {evil.uid: evil})
    assert "\x1b" not in names.name(evil.uid)
    assert NAMES.all_of(UNITS[VICTIM]) == {VICTIM, "/kubepods/u-web", "shop/web"}
    target = NAMES.target_of(UNITS[VICTIM])
    assert (target.pod, target.kind, dict(target.labels)) == ("shop/web", "pod", {"app": "web"})
    assert NAMES.name("unknown") == "unknown"


def test_nothing_is_said_of_what_was_not_left_out() -> None:
    """One line alone."""
    assert len(looked_lines(Looked(1_700_000_000, 1_700_000_060, 60, 2, 0), [], UTC)) == 1
