"""A child that hangs: stopped, or in a loop that holds the interpreter. How long until a new one is ready (or runs)."""

import os
import signal
from collections.abc import Sequence

from supervisors import gunicorn, ours, systemd
from supervisors.figures import Check, Row, Section
from supervisors.kill import all_variants
from supervisors.rival import Bench, Rival, starting
from supervisors.sequential_kills import Cell, KillSequence, measure

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
    sequences = _sequences(bench)
    cells = list({sequence.cell.title: sequence.cell for sequence in sequences}.values())
    blind = [(variant.title, variant.make(bench, 1)) for variant in all_variants(bench) if _has_no_eye_for_it(variant.title)]
    bench.say(f"hang: {'; '.join(cell.title for cell in cells)}; and {len(blind)} that never notice")
    with starting([*(sequence.rival for sequence in sequences), *(rival for _, rival in blind)]) as problems:
        for sequence in sequences:
            sequence.cell.problem = sequence.cell.problem or problems.get(sequence.rival.label, "")
        stopped = {title: _stop_one(rival) for title, rival in blind if rival.label not in problems}
        bench.starts.rest(bench.options.never_seconds)
        notes = {title: _outcome_of(bench, rival, stopped[title]) for title, rival in blind if title in stopped}
        measure(bench, [sequence for sequence in sequences if not sequence.cell.problem])
    section.rows = [Row(cell.title, samples=cell.samples_ms, note=cell.problem) for cell in cells]
    section.rows += [Row(title, note=note) for title, note in notes.items()]
    section.checks = [
        Check(f"{cell.title}, longest", max(cell.samples_ms), "ms", 3000, 1500) for cell in cells[:2] if cell.samples_ms
    ]
    section.remarks = [
        "evergauge at its defaults (250 ms beats, hang timeout 1 s); the busy loops keep a processor busy beside all the others",
        "that a busy worker is not killed for a hung one is checked by the tests and the soak",
    ]
    return section


def _sequences(bench: Bench) -> list[KillSequence]:
    samples = bench.options.samples
    stopped = Cell("evergauge, SIGSTOP", samples, signal.SIGSTOP)
    busy = Cell("evergauge, busy loop", bench.options.busy_samples, signal.SIGUSR1)
    # One processor is left for those who must notice.
    loops = max(1, (os.cpu_count() or 1) - 1)
    cells = [stopped] * AGENTS + [busy] * min(loops, AGENTS)
    sequences = [KillSequence(cell, ours.Agent(bench, WORKERS, is_own=True), OUR_PAUSE) for cell in cells]
    if "systemd" not in bench.toolchain.missing:
        cell = Cell(f"systemd, WatchdogSec={SYSTEMD_SECONDS}, SIGSTOP", samples, signal.SIGSTOP)
        sequences += _side_by_side(cell, [systemd.watched(bench, WORKERS, seconds=SYSTEMD_SECONDS) for _ in range(4)], OUR_PAUSE)
    if "gunicorn" not in bench.toolchain.missing:
        cell = Cell(f"gunicorn, --timeout {GUNICORN_SECONDS}, SIGSTOP", samples, signal.SIGSTOP)
        rivals = [gunicorn.Gunicorn(bench, 1, timeout=GUNICORN_SECONDS) for _ in range(16)]
        sequences += _side_by_side(cell, rivals, GUNICORN_PAUSE)
    return sequences


def _side_by_side(cell: Cell, rivals: Sequence[Rival], pause_seconds: tuple[float, float]) -> list[KillSequence]:
    return [KillSequence(cell, rival, pause_seconds) for rival in rivals]


def _has_no_eye_for_it(title: str) -> bool:
    """Those without any means against a child that hangs (circus has a plugin that children must speak to over UDP)."""
    return title.startswith(("s6, child", "runit", "circus", "supervisord"))


def _stop_one(rival: Rival) -> int:
    pid = next(iter(rival.living))
    os.kill(pid, signal.SIGSTOP)
    return pid


def _outcome_of(bench: Bench, rival: Rival, stopped: int) -> str:
    others = [pid for pid in rival.living if pid != stopped]
    return "replaced" if others else f"not replaced within {bench.options.never_seconds:g} s"
