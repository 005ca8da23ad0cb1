"""What a soak judges by the hour: slopes with their errors, what is too short to say, losses, and the report that shows them."""

import json
import os
import random
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from harness.proc import own_descriptors

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from soaking.endurance import (
    BLOCKS,
    MIB,
    Moment,
    ProcessMoment,
    Terms,
    TimedPoint,
    judge_folder,
    judge_losses,
    judge_moments,
    slope_per_hour,
)
from soaking.endurance_report import KEPT_MOMENTS_MAX, markdown, moment_rows, picture, write_report

HOUR, MINUTE = 3600.0, 60.0
TERMS = Terms(quota_bytes=1 << 30)
Process = Callable[[float], ProcessMoment]


def steady(
    at: float, *, rss_mib: float = 40, descriptors: float = 30, threads: float = 4, cpu: float = 0.6, pid: int = 7
) -> ProcessMoment:
    """A process with these figures; `cpu` in seconds per minute."""
    rss = int(rss_mib * MIB)
    return ProcessMoment(pid, rss, rss // 2, int(descriptors), int(threads), at / MINUTE * cpu)


def moments(
    process: Process, *, hours: float = 1, every: float = 10, spool: Callable[[float], float] = lambda _at: 2
) -> list[Moment]:
    """One process, looked at for so long; `spool` in MiB."""
    times = [every * number for number in range(int(hours * HOUR / every) + 1)]
    return [Moment(at, {"writer": process(at)}, int((50 + spool(at)) * MIB), int(spool(at) * MIB)) for at in times]


def bad(found: list[Moment], terms: Terms = TERMS) -> list[str]:
    """The names of the verdicts that are bad."""
    return [each.name for each in judge_moments(found, terms) if each.is_good is False]


def unsaid(found: list[Moment], terms: Terms = TERMS) -> list[str]:
    """The names of the verdicts that nothing is said in."""
    return [each.name for each in judge_moments(found, terms) if each.is_good is None]


def test_a_file_of_a_living_process_is_no_descriptor_of_ones_own_once() -> None:
    """A second of the same file is, and so is one that outlives its process."""
    with subprocess.Popen(["sleep", "60"]) as other, ExitStack() as files:
        before = own_descriptors(os.getpid())
        paths = [f"/proc/{other.pid}/stat", f"/proc/{other.pid}/io", f"/proc/{other.pid}/stat", "/proc/stat"]
        counts = []
        for path in paths:
            files.enter_context(open(path))
            counts.append(own_descriptors(os.getpid()) - before)
        other.kill()
        other.wait()
        counts.append(own_descriptors(os.getpid()) - before)
    assert counts == [0, 0, 1, 2, 4]


def test_an_hour_in_which_nothing_grows_is_good_in_every_verdict() -> None:
    """With noise, and with a warm-up that gains 20 MiB, which is left out."""
    chance = random.Random(1)
    found = moments(lambda at: steady(at, rss_mib=60 - 20 * max(0.0, 1 - at / 500) + chance.uniform(-0.3, 0.3)))
    assert (bad(found), unsaid(found)) == ([], [])


@pytest.mark.parametrize(
    ("process", "names"),
    [
        (lambda at: steady(at, rss_mib=40 + 1.5 * at / HOUR), ["RSS of writer by the hour"]),
        (lambda at: steady(at, rss_mib=40 + 10 * at / HOUR), ["RSS of writer by the hour", "PSS of the whole agent by the hour"]),
        (lambda at: steady(at, descriptors=30 + at // MINUTE), ["descriptors of writer by the hour"]),
        (lambda at: steady(at, threads=4 + at // 900), ["threads of writer by the hour"]),
        (lambda at: steady(at, cpu=0.6 + 0.5 * at / HOUR), ["CPU of writer by the hour"]),
    ],
    ids=["memory", "more memory", "descriptors", "threads", "cpu"],
)
def test_what_grows_by_the_hour_fails_just_there(process: Process, names: list[str]) -> None:
    """A leak of each kind, a little above its limit, over noiseless figures."""
    assert bad(moments(process)) == names


def test_a_leak_is_found_in_noise_and_noise_alone_is_none() -> None:
    """Four mebibytes an hour under a megabyte of noise that lasts for minutes; a limit that noise hides is not said."""
    chance = random.Random(2)
    noise = [chance.gauss(0, 1) for _ in range(100)]
    found = moments(lambda at: steady(at, rss_mib=40 + 4 * at / HOUR + noise[int(at // 120)]))
    assert "RSS of writer by the hour" in bad(found)
    found = moments(lambda at: steady(at, rss_mib=60 + 20 * noise[int(at // 120)]))
    assert bad(found) == []
    assert "RSS of writer by the hour" in unsaid(found)


def test_a_short_run_is_too_short_to_say() -> None:
    """Five minutes of a leak say nothing, and the sentence names what is needed."""
    found = judge_moments(moments(lambda at: steady(at, rss_mib=40 + 100 * at / HOUR), hours=1 / 12), TERMS)
    assert {each.is_good for each in found if "by the hour" in each.name} == {None}
    assert found[0].found == "too short to say: 0 s after the warm-up, 1200 are needed"


def test_terms_make_a_short_run_judgeable() -> None:
    """With a warm-up and a least time of its own."""
    found = moments(lambda at: steady(at, rss_mib=40 + 100 * at / HOUR), hours=1 / 12)
    assert "RSS of writer by the hour" in bad(found, Terms(60, 120, 1 << 30))


def test_a_long_run_is_judged_four_times_as_strictly() -> None:
    """Half a mebibyte an hour passes in one hour and fails in eight."""

    def growing(at: float) -> ProcessMoment:
        return steady(at, rss_mib=40 + 0.5 * at / HOUR)

    assert bad(moments(growing)) == []
    assert bad(moments(growing, hours=8, every=60)) == ["RSS of writer by the hour"]


def test_each_successor_has_a_level_and_a_warm_up_of_its_own() -> None:
    """A worker that is replaced by a larger one has not grown; one whose lives are shorter than the warm-up is not judged."""
    found = moments(lambda at: steady(at, rss_mib=40 if at < HOUR else 55, pid=1 if at < HOUR else 2), hours=2)
    assert bad(found) == []
    lives = moments(lambda at: steady(at, rss_mib=40 + at / 100, pid=int(at // 300)))
    verdict = next(each for each in judge_moments(lives, TERMS) if each.name.startswith("RSS"))
    assert verdict.is_good is None


def test_a_slope_is_that_of_block_means() -> None:
    """Exactly linear figures have their slope and no error; a point alone has none."""
    points = [TimedPoint(1, 10.0 * number, 3 * number / 360) for number in range(400)]
    slope = slope_per_hour(points, warm_up_seconds=0)
    assert slope is not None
    assert slope.per_hour == pytest.approx(3)
    assert slope.error == pytest.approx(0, abs=1e-9)
    assert BLOCKS == 20
    assert slope_per_hour(points[:1], warm_up_seconds=0) is None
    few = slope_per_hour(points[:3], warm_up_seconds=0)
    assert few is not None
    assert few.error == float("inf")


def test_the_spool_may_not_grow_and_the_folder_stays_within_its_quota() -> None:
    """A spool that is never sealed grows; a folder a tenth above its quota is too large."""
    assert "spool by the hour" in bad(moments(steady, spool=lambda at: 2 + 10 * at / HOUR))
    found = moments(steady)
    assert judge_folder(found, Terms(quota_bytes=60 * MIB)).is_good is True
    assert judge_folder(found, Terms(quota_bytes=40 * MIB)).is_good is False
    assert judge_folder([], TERMS).is_good is None


def test_losses_of_the_host_are_told_and_those_of_the_agent_judged() -> None:
    """Ticks that a busy host took are no fault; more than one in a thousand of our own are, and so is any other gap."""
    ticks, rows = judge_losses({"starved": 5}, {"starved": 40}, 14400, TERMS)
    assert (ticks.is_good, rows.is_good) == (True, True)
    assert "by the host: starved 40" in ticks.found
    ticks, _ = judge_losses({"overrun": 9}, {"overrun": 60}, 14400, TERMS)
    assert ticks.is_good is False
    _, rows = judge_losses({"buffer_full": 1}, {}, 14400, TERMS)
    assert (rows.is_good, rows.found) == (False, "buffer_full 1")
    assert [each.is_good for each in judge_losses({"worker_died": 3}, {"worker_died": 7}, 100, Terms(kills=5))] == [None, None]
    assert [each.is_good for each in judge_losses({}, {}, 0, TERMS)] == [None]


def test_the_report_has_the_verdicts_the_slopes_and_a_picture_of_each_figure(tmp_path: Path) -> None:
    """Markdown with the bad verdicts first; a well-formed SVG with a curve for each process; JSON that is not endless."""
    found = moments(lambda at: steady(at, descriptors=30 + at // MINUTE), hours=3)
    verdicts = judge_moments(found, TERMS)
    report = {
        "version": "1",
        "host": {"kernel": "6", "python": "3", "processors": 2, "load_average": [1]},
        "seconds": 3 * HOUR,
        "kills": {"sum": 0},
        "verdicts": [{"name": each.name, "is_good": each.is_good, "found": each.found} for each in verdicts],
    }
    write_report(tmp_path / "new", report, found, 600)
    text = (tmp_path / "new" / "report.md").read_text()
    assert text == markdown(report, found, 600)
    assert text.index("**FAILS** | descriptors of writer by the hour") < text.index("| holds |")
    assert "| writer | +0.00 ± 0.00 |" in text
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == report
    root = ElementTree.fromstring((tmp_path / "new" / "soak.svg").read_text())
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 6
    assert len(moment_rows(found)) <= KEPT_MOMENTS_MAX < len(found)
    assert ElementTree.fromstring(picture([])) is not None
