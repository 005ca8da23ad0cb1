"""A child that hangs: stopped, or in a loop that holds the interpreter. How long until a new one is ready (or runs)."""

import os
import signal
from collections.abc import Sequence

from supervisors import gunicorn, ours, systemd
from supervisors.figures import Check, Row, Section
from supervisors.kill import all_variants
from supervisors.lanes import Cell, Lane, measure
from supervisors.rival import Bench, Rival, starting

AGENTS = 8
WORKERS = 3
GUNICORN_SECONDS = 5
SYSTEMD_SECONDS = 1
# The agent looks four times a second, gunicorn once.
OUR_PAUSE = (0.02, 0.27)
GUNICORN_PAUSE = (0.02, 1.02)


def replaced(bench: Bench) -> Section:
    """All at the same time: nearly everything here is waiting."""
    section = Section("hang", "a hung child until its replacement is ready (evergauge) or runs (the others)")
    lanes = _lanes(bench)
    cells = list({lane.cell.title: lane.cell for lane in lanes}.values())
    blind = [(variant.title, variant.make(bench, 1)) for variant in all_variants(bench) if _has_no_eye_for_it(variant.title)]
    bench.say(f"hang: {'; '.join(cell.title for cell in cells)}; and {len(blind)} that never notice")
    with starting([*(lane.rival for lane in lanes), *(rival for _, rival in blind)]) as problems:
        for lane in lanes:
            lane.cell.problem = lane.cell.problem or problems.get(lane.rival.label, "")
        stopped = {title: _stop_one(rival) for title, rival in blind if rival.label not in problems}
        bench.births.rest(bench.options.never_seconds)
        notes = {title: _fate(bench, rival, stopped[title]) for title, rival in blind if title in stopped}
        measure(bench, [lane for lane in lanes if not lane.cell.problem])
    section.rows = [Row(cell.title, samples=cell.samples_ms, note=cell.problem) for cell in cells]
    section.rows += [Row(title, note=note) for title, note in notes.items()]
    section.checks = [
        Check(f"{cell.title}, longest", max(cell.samples_ms), "ms", 3000, 1500) for cell in cells[:2] if cell.samples_ms
    ]
    section.remarks = [
        "evergauge at its defaults (250 ms beats, 1 s of patience); the busy loops keep a processor busy beside all the others",
        "that a busy worker is not killed for a hung one is the affair of the tests and the soak",
    ]
    return section


def _lanes(bench: Bench) -> list[Lane]:
    samples = bench.options.samples
    stopped = Cell("evergauge, SIGSTOP", samples, signal.SIGSTOP)
    busy = Cell("evergauge, busy loop", bench.options.busy_samples, signal.SIGUSR1)
    # One processor is left for those who must notice.
    loops = max(1, (os.cpu_count() or 1) - 1)
    cells = [stopped] * AGENTS + [busy] * min(loops, AGENTS)
    lanes = [Lane(cell, ours.Agent(bench, WORKERS, is_own=True), OUR_PAUSE) for cell in cells]
    if "systemd" not in bench.kit.missing:
        cell = Cell(f"systemd, WatchdogSec={SYSTEMD_SECONDS}, SIGSTOP", samples, signal.SIGSTOP)
        lanes += _side_by_side(cell, [systemd.watched(bench, WORKERS, seconds=SYSTEMD_SECONDS) for _ in range(4)], OUR_PAUSE)
    if "gunicorn" not in bench.kit.missing:
        cell = Cell(f"gunicorn, --timeout {GUNICORN_SECONDS}, SIGSTOP", samples, signal.SIGSTOP)
        rivals = [gunicorn.Gunicorn(bench, 1, timeout=GUNICORN_SECONDS) for _ in range(16)]
        lanes += _side_by_side(cell, rivals, GUNICORN_PAUSE)
    return lanes


def _side_by_side(cell: Cell, rivals: Sequence[Rival], pause_seconds: tuple[float, float]) -> list[Lane]:
    return [Lane(cell, rival, pause_seconds) for rival in rivals]


def _has_no_eye_for_it(title: str) -> bool:
    """Those without any means against a child that hangs (circus has a plugin that children must speak to over UDP)."""
    return title.startswith(("s6, child", "runit", "circus", "supervisord"))


def _stop_one(rival: Rival) -> int:
    pid = next(iter(rival.living))
    os.kill(pid, signal.SIGSTOP)
    return pid


def _fate(bench: Bench, rival: Rival, stopped: int) -> str:
    others = [pid for pid in rival.living if pid != stopped]
    return "replaced" if others else f"not replaced within {bench.options.never_seconds:g} s"
