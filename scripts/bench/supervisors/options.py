"""What the command line can ask for."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

LINES = {
    "kill": "kill -9 of a child to its replacement running",
    "ready": "kill -9 of a worker to its replacement ready with 0, 1,000 and 10,000 rules",
    "sweep": "50 killed at once",
    "hang": "a hung child replaced",
    "backoff": "k-th delay against policy; starts of a child that ends at once",
    "idle": "50 children that do nothing: wake-ups, CPU, memory",
    "command": "the command that shows what runs",
    "death": "the supervisor itself killed",
    "growth": "what grows over many kills",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    only: tuple[str, ...] = tuple(LINES)
    samples: int = 200
    idle_seconds: float = 15.0
    loop_seconds: float = 20.0
    never_seconds: float = 10.0
    supervisor_kills: int = 50
    cycles: int = 1000
    # Until what goes on right after a start is over.
    settle_seconds: float = 3.0
    # gunicorn's workers look for their parent every half of its timeout, 15 s.
    orphan_seconds: float = 16.0
    # circus, runit's scanner and supervisord have looked by then.
    seen_seconds: float = 8.0
    # Fifty children below every setting of every rival, not only below its best.
    is_thorough: bool = True
    json_path: str = ""
    png_path: str = ""

    @property
    def sweeps(self) -> int:
        """Sweeps of fifty children: each gives fifty samples."""
        return max(2, self.samples // 20)

    @property
    def busy_samples(self) -> int:
        """Busy loops: each burns a processor for more than a second, and two at a time would not leave one."""
        return max(3, self.samples // 2)

    def to_json(self) -> str:
        """For the process that measures."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Options":
        """The options that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "only": tuple(fields["only"])})


# For anyone who changed something here.
QUICK = {
    "samples": 6, "idle_seconds": 1.0, "loop_seconds": 3.0, "never_seconds": 3.0, "supervisor_kills": 4, "cycles": 50,
    "settle_seconds": 0.5, "orphan_seconds": 6.0, "seen_seconds": 3.0, "is_thorough": False,
}  # fmt: skip


def parse(arguments: Sequence[str]) -> Options:
    """The options; ends the program when they make no sense."""
    lines = "\n".join(f"  {name:8} {about}" for name, about in LINES.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench/supervision",
        description="Measures supervision by evergauge beside s6, runit, systemd, supervisord, circus and gunicorn.",
        epilog=f"lines:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few samples, for a look: no figures to quote")
    parser.add_argument("--only", metavar="LINE,…", help="only these lines (see below)")
    parser.add_argument("--samples", type=int, help="samples of each cell (default 200)")
    parser.add_argument("--idle-seconds", type=float, help="how long each supervisor is watched when idle (default 15)")
    parser.add_argument("--supervisor-kills", type=int, help="how often evergauge's supervisor is killed (default 50)")
    parser.add_argument("--cycles", type=int, help="kills over which growth is watched (default 1000)")
    parser.add_argument("--json", dest="json_path", metavar="FILE", help="write everything there, every sample included")
    parser.add_argument("--png", dest="png_path", metavar="FILE", help="draw the distributions there")
    given = {name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None}
    quick, only = given.pop("quick"), given.pop("only", "")
    if only:
        given["only"] = tuple(only.split(","))
        unknown = sorted(set(given["only"]) - set(LINES))
        if unknown:
            parser.error(f"there is no line {', '.join(unknown)}")
    return Options(**{**(QUICK if quick else {}), **given})
