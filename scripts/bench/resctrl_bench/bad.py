"""Bad reads, drawn again for every tick: what is good must be kept, what is bad must say why, and no rate may be impossible."""

import random
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

from resctrl_bench.agent import Agent, agent
from resctrl_bench.bench import Bench, group_path
from resctrl_bench.emulator import Emulator, emulator
from resctrl_bench.figures import Figure, Section
from resctrl_bench.rates import Declared, declare, scenario
from resctrl_bench.verdict import EVENTS, Draw, Key, Verdict, judge

START_SECONDS = 60.0
INTERVAL_SECONDS = 1.0
# A scan is over by then, and the next one far enough away for all faults to be in place.
DRAW_AT_SECONDS = 0.55
READY_BY_SECONDS = 0.95
DOMAINS = (0, 1)
# What stands in a file, or with which errno it cannot be read, and the reason that must be stored.
KINDS: tuple[tuple[dict[str, str], str], ...] = (
    ({"answer": "Unavailable"}, "unavailable"),
    ({"answer": "Error"}, "error"),
    ({"answer": "Unassigned"}, "unassigned"),
    ({"answer": "garbage"}, "malformed"),
    ({"answer": "empty"}, "malformed"),
    ({"answer": "-1"}, "malformed"),
    ({"errno": "EIO"}, "error"),
    ({"errno": "EACCES"}, "no_permission"),
)
# Counters that wrap after 4 GiB: with a few hundred MiB a second several times in a minute.
WRAP_BITS = 32
BYTES_MOST = 1 << 30
# A domain is away for a sixth of the time.
AWAY_FROM, AWAY_UNTIL = 1 / 6, 2 / 6
# It is looked for every other second; from then on it counts as good again.
RETURN_TICKS = 4
RESETS_A_TICK = 2


def measure(bench: Bench) -> Section:
    """First bad reads, resets and a domain that goes and comes; then bad reads and counters that wrap.

    Not both at once: where a counter started again close below the end of its width, nobody can tell that from a wrap.
    """
    options = bench.options
    generator = random.Random(options.seed)
    draws: list[Draw] = []
    with bench.pods([1] * options.bad_groups) as (_pods, made):
        declared = declare(made, options.seed, most=BYTES_MOST)
        with (
            emulator(bench.place, bench.new_name("bad"), scenario=scenario(declared)) as emulated,
            agent(bench.place, emulated.mount, bench.new_name("agent")) as running,
        ):
            running.wait_for_whole(options.bad_groups, seconds=START_SECONDS)
            running.wait_for_readers(options.bad_groups, seconds=START_SECONDS)
            running.wait_for_ticks(options.settle_ticks, seconds=START_SECONDS)
            course = _Course(bench, running, emulated, declared, generator)
            for number in range(round(options.bad_seconds)):
                draws.append(course.draw(number, round(options.bad_seconds)))
            course.end(draws)
            domains = running.query("SELECT * FROM occupancy_domain WHERE sub_domain IS NULL")
            pods = running.query("SELECT * FROM occupancy")
    by_path = {f"{emulated.mount}/{group_path(uid)}": each for uid, each in declared.items()}
    return _section(bench, judge(draws, domains, pods, by_path), draws)


class _Course:
    """What goes wrong, from tick to tick."""

    def __init__(
        self, bench: Bench, running: Agent, emulated: Emulator, declared: Mapping[str, Declared], generator: random.Random
    ) -> None:
        self._bench = bench
        self._emulated = emulated
        self._random = generator
        self._paths = [group_path(uid) for uid in declared]
        self._keys: list[Key] = [(path, domain, event) for path in self._paths for domain in DOMAINS for event in EVENTS]
        self._phase = running.query("SELECT max(start_timestamp) AS at FROM occupancy")[0]["at"] / 1e9
        self._is_away = False
        self._returned = -RETURN_TICKS

    def draw(self, number: int, of: int) -> Draw:
        """Wait until the scan of this second is over; then change what is bad."""
        if number % 10 == 0:
            self._bench.say(f"bad: tick {number} of {of}")
        time.sleep((self._phase + DRAW_AT_SECONDS - time.time()) % INTERVAL_SECONDS)
        drawn = Draw(mount=str(self._emulated.mount), from_ns=0, changed_at_ns=time.time_ns())
        self._emulated.ask(do="clear")
        resets = self._change_hardware(number, of, drawn)
        for key in self._keys:
            path, domain, event = key
            if path not in resets and self._random.random() < self._bench.options.bad_percent / 100:
                fault, reason = self._random.choice(KINDS)
                file = f"{path}/mon_data/mon_L3_{domain:02d}/{event}"
                self._emulated.ask(do="fault", operation="read", path=file, **fault)
                drawn.bad[key] = reason
        # When that took until the next scan, nobody knows what that one saw.
        in_time = (time.time() - self._phase) % INTERVAL_SECONDS < READY_BY_SECONDS
        drawn.from_ns = time.time_ns() if in_time else 0
        return drawn

    def end(self, draws: Sequence[Draw]) -> None:
        """The last draw was for a scan that is still to come."""
        time.sleep(INTERVAL_SECONDS)
        for earlier, later in pairwise(draws):
            earlier.until_ns = later.changed_at_ns
        draws[-1].until_ns = time.time_ns()

    def _change_hardware(self, number: int, of: int, drawn: Draw) -> list[str]:
        """Wraps, resets, domains; gives the groups whose counters started again."""
        is_away = of * AWAY_FROM <= number < of * AWAY_UNTIL
        if is_away != self._is_away:
            self._emulated.ask(do="offline" if is_away else "online", domain=DOMAINS[-1])
            self._is_away = is_away
            self._returned = number
        if is_away:
            drawn.away.add(DOMAINS[-1])
        elif number < self._returned + RETURN_TICKS:
            drawn.returning.add(DOMAINS[-1])
        if number == of // 2:
            self._emulated.ask(do="wrap", bits=WRAP_BITS)
            # The width is another one from here on: what was counted so far is shown by its lower bits.
            drawn.is_shortened = True
        if number >= of // 2:
            return []
        resets = self._random.sample(self._paths, min(RESETS_A_TICK, len(self._paths)))
        for place, path in enumerate(resets):
            is_unread = place % 2 == 1
            self._emulated.ask(do="reset", path=path, unread=is_unread)
            drawn.reset += [path]
            if is_unread:
                drawn.unread.add(path)
        return resets


def _section(bench: Bench, verdict: Verdict, draws: Sequence[Draw]) -> Section:
    options = bench.options
    return Section(
        "bad",
        f"{options.bad_groups} groups, {verdict.ticks} ticks of which it is known what was bad; {options.bad_percent:g} % bad "
        "reads, resets, a domain that goes and comes, wraps at 32 bits",
        [
            Figure("good values", verdict.good),
            Figure("good values kept", _percent(verdict.good_kept, verdict.good), "%", 100, at_least=True),
            Figure("bad reads", verdict.bad),
            Figure("bad reads stored with their reason", _percent(verdict.bad_with_reason, verdict.bad), "%", 100, at_least=True),
            Figure("bad reads stored as a number", verdict.bad_with_number, "", 0),
            Figure("pod rows that are not the sum of their good domains", verdict.wrong_sums, "", 0),
            Figure("rates", verdict.rates),
            Figure("rates that are negative or more than was declared", len(verdict.impossible), "", 0),
            Figure("rates absent without a reason", verdict.rates_without_reason, "", 0),
            Figure("counters seen to wrap", verdict.wraps),
            Figure("resets of counters", sum(len(draw.reset) for draw in draws)),
            Figure("ticks with a domain away", verdict.ticks_away),
        ],
        remarks=[
            "bad: Unavailable, Error, Unassigned, garbage, nothing, a negative number, EIO, EACCES",
            f"more than was declared: by {verdict.tolerance_percent:g} % and beyond",
        ],
        further={
            "absent": dict(verdict.reasons),
            "lost": verdict.lost,
            "impossible": verdict.impossible,
            "ticks_not_judged": len(draws) - verdict.ticks,
        },
    )


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
