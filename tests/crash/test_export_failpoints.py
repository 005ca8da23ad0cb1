"""Every named failpoint of exports is killed somewhere; here those of a cursor and of what a sink builds on."""

from collections import Counter
from pathlib import Path

import pytest
from fakes.counting_export import counting_export
from fakes.export_host import SpoolFolder
from fakes.failpoints import ROOT, arm, failpoints

POINTS = ("cursor.before_write", "cursor.written", "snapshot.written", "snapshot.named")
ELSEWHERE = ("integration/test_kept_segments.py", "integration/test_object_sink.py", "integration/test_kafka_sink.py")
KILLS = 4


def test_every_point_is_killed_somewhere() -> None:
    """A new one is in one of these files."""
    texts = [(ROOT / "tests" / path).read_text() for path in ELSEWHERE]
    prefixes = ("cursor.", "snapshot.", "kept.", "keeping.", "object.", "kafka.")
    named = {point for point in failpoints() if point.startswith(prefixes)}
    assert {point for point in named if point not in POINTS and not any(f'"{point}"' in text for text in texts)} == set()


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_exporter_goes_on_with_its_totals(point: str, tmp_path: Path) -> None:
    """Killed at the same moment of four lives: nothing is lost, a delivery is repeated once at most, and the totals are right."""
    (points := tmp_path / "points").mkdir()
    (state := tmp_path / "state").mkdir()
    log = tmp_path / "log"
    spool = SpoolFolder(state)
    for _ in range(KILLS):
        spool.append(3)
        arm(points, point, "kill")
        assert counting_export(state, log, points).returncode == -9
    spool.append(3)
    done = counting_export(state, log, points)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == spool.rows
    times = Counter(map(int, log.read_text().split()))
    assert sorted(times) == list(range(1, spool.seq + 1))
    # A life repeats what the one before it had sent and not kept.
    assert max(times.values()) <= (1 + KILLS if point == "cursor.before_write" else 2)
