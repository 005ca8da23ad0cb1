"""kill -9 of a child: how long until its replacement runs (all), or holds its rules (evergauge)."""

from supervisors import circus, gunicorn, ours, runit, s6, supervisord, systemd
from supervisors.figures import Check, Row, Section, percentile
from supervisors.rival import Bench, Variant, running, starting
from supervisors.sequential_kills import Cell, measure, sequences_of

# So many that a child has lived for a second when its turn comes again.
CHILDREN = 16
CHILDREN_SIDE_BY_SIDE = 3
WORKERS = 8
RULES = (0, 1_000, 10_000)


def all_variants(bench: Bench) -> list[Variant]:
    """Every way to run every supervisor, evergauge first, those that are missing left out."""
    kinds = (ours, s6, runit, systemd, gunicorn, circus, supervisord)
    return [variant for kind in kinds for variant in kind.VARIANTS if variant.needs not in bench.toolchain.missing]


def running_again(bench: Bench) -> Section:
    """Death to the first instruction of the replacement, the same tiny child for all."""
    section = Section("kill", "kill -9 of a child to its replacement running (tiny C child)")
    variants = all_variants(bench)
    groups = [[variant] for variant in variants if not variant.is_slow] + [[variant for variant in variants if variant.is_slow]]
    rows: dict[str, Row] = {}
    for group in filter(None, groups):
        bench.say(f"kill: {'; '.join(variant.title for variant in group)}")
        rows |= _measure_group(bench, group)
    section.rows = [rows[variant.title] for variant in variants]
    own = rows["evergauge"].samples
    if own:
        section.checks = [
            Check("p50", percentile(own, 50), "ms", None, 2),
            Check("p99", percentile(own, 99), "ms", 10, 5),
        ]
    several = [f"{variant.title}: {variant.side_by_side}" for variant in variants if variant.side_by_side > 1]
    together = [variant.title for variant in variants if variant.is_slow]
    section.remarks = [
        "every kill at a random moment of a span of at least one polling period; children had lived for a second where that counts",
        f"independent supervisors side by side, one death at a time in each: {'; '.join(several)}",
        f"evergauge's take turns, so that never two die at a time; measured at the same time: {'; '.join(together) or 'none'}",
        "evergauge: one process waits in reserve and is replaced within 250 ms; without it as for deaths in quick succession",
    ]
    return section


def _measure_group(bench: Bench, variants: list[Variant]) -> dict[str, Row]:
    sequences, rivals, cells = [], [], []
    for variant in variants:
        cell = Cell(variant.title, bench.options.samples)
        count = CHILDREN_SIDE_BY_SIDE if variant.side_by_side > 1 else CHILDREN
        own = [variant.make(bench, count) for _ in range(variant.side_by_side)]
        rivals += own
        cells.append(cell)
        sequences += sequences_of(variant, own, cell)
    with starting(rivals) as problems:
        for sequence in sequences:
            sequence.cell.problem = sequence.cell.problem or problems.get(sequence.rival.label, "")
        measure(bench, [sequence for sequence in sequences if not sequence.cell.problem])
    return {cell.title: Row(cell.title, samples=cell.samples_ms, note=cell.problem) for cell in cells}


def ready_again(bench: Bench) -> Section:
    """Death to the replacement being up: it has taken the rules and acknowledged their digest."""
    section = Section("ready", "kill -9 of a worker to its replacement ready, rules acknowledged by digest")
    bench.say("ready: evergauge, three agents that take turns")
    agents = [ours.Agent(bench, WORKERS, is_own=True, rules=rules) for rules in RULES]
    cells = [Cell(f"evergauge, {rules:,} rules", bench.options.samples) for rules in RULES]
    with running(agents):
        measure(
            bench,
            [
                sequence
                for agent, cell in zip(agents, cells, strict=True)
                for sequence in sequences_of(ours.VARIANTS[0], [agent], cell)
            ],
        )
    unsynchronised = sum(agent.unsynchronised for agent in agents)
    section.rows = [Row(cell.title, samples=cell.samples_ms, note=cell.problem) for cell in cells]
    thousand, most = section.rows[1].samples, section.rows[2].samples
    section.checks = [
        Check("1,000 rules, p50", percentile(thousand, 50), "ms", None, 10),
        Check("1,000 rules, p99", percentile(thousand, 99), "ms", 100, 25),
        Check("10,000 rules, p50", percentile(most, 50), "ms", None, 35),
        Check("replacements without the rules in force", unsynchronised, "", 0, 0),
    ]
    section.remarks = ["no other supervisor here hands its children a state; Python workers with the agent's own loop"]
    return section
