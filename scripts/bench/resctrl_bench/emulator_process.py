"""The emulator as a process of the benchmark. As a program: one JSON document that says how.

It tells the benchmark what cannot be read from outside, where that asks for it:
`ids_log`: a file with what becomes of each monitoring id (taken, retired into limbo, free), with the instant;
`moves`: the truth also has `moved_at_ns`, when each thread was last moved.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from struct import Struct
from typing import TextIO

from msgspec import structs

from workers.resctrl.emulator import fuse_protocol
from workers.resctrl.emulator.emulation import Emulation
from workers.resctrl.emulator.fuse_name import NameRequests
from workers.resctrl.emulator.group import EmulatedGroup
from workers.resctrl.emulator.id_pool import MonitorIds, Tag
from workers.resctrl.emulator.ports import Caller
from workers.resctrl.emulator.profile import PROFILES
from workers.resctrl.emulator.scenario import parse_scenario
from workers.resctrl.emulator.server import Options, run
from workers.resctrl.emulator.task import TaskTable

# Longer than any measurement.
KEPT_SECONDS = 3600


class _Log:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def tell(self, what: str, tag: Tag) -> None:
        closid, rmid = tag
        self._file.write(f"{time.monotonic_ns()} {what} {closid}:{rmid}\n")


def _listen(log: _Log) -> None:
    """From now on every id that is taken, retired or freed is told."""
    allocate, retire, check_limbo = MonitorIds.allocate, MonitorIds.retire, MonitorIds.check_limbo

    def telling_allocate(self: MonitorIds, closid: int) -> int:
        rmid = allocate(self, closid)
        log.tell("taken", self.tag(closid, rmid))
        return rmid

    def telling_retire(self: MonitorIds, tag: Tag, domains: Iterable[int], now_ns: int) -> bool:
        is_free = retire(self, tag, domains, now_ns)
        log.tell("free" if is_free else "retired", tag)
        return is_free

    def telling_check(self: MonitorIds, now_ns: int, is_dirty: Callable[[Tag, int, int], bool]) -> list[Tag]:
        freed = check_limbo(self, now_ns, is_dirty)
        for tag in freed:
            log.tell("free", tag)
        return freed

    # setattr, because replacing a method is what is meant here.
    for name, told in (("allocate", telling_allocate), ("retire", telling_retire), ("check_limbo", telling_check)):
        setattr(MonitorIds, name, told)


def _keep_moves() -> None:
    """From now on the truth contains moves, too."""
    moved_at_ns: dict[int, int] = {}
    move, truth = TaskTable.move, Emulation.truth

    def keeping_move(self: TaskTable, thread_id: int, group: EmulatedGroup, now_ns: int) -> None:
        move(self, thread_id, group, now_ns)
        moved_at_ns[thread_id] = now_ns

    def telling_truth(self: Emulation, now_ns: int) -> dict[str, object]:
        return {**truth(self, now_ns), "moved_at_ns": moved_at_ns}

    for owner, name, told in ((TaskTable, "move", keeping_move), (Emulation, "truth", telling_truth)):
        setattr(owner, name, told)


def _let_absence_be_kept() -> None:
    """From now on the kernel may also believe that a name is not there, as it does on a real resctrl: pqos looks for each group
    below every control group, at each reading."""
    look_up = NameRequests.look_up
    # Node 0 is none; then a generation, how long that and the attributes hold, and no attributes. *Source:* fuse(4)
    absent = Struct("<QQQQII88x").pack(0, 0, KEPT_SECONDS, 0, 0, 0)

    def kept_look_up(self: NameRequests, unique: int, node: int, caller: Caller, body: bytes) -> bytes:
        try:
            return look_up(self, unique, node, caller, body)
        except FileNotFoundError:
            return fuse_protocol.reply(unique, absent)

    setattr(NameRequests, "look_up", kept_look_up)  # noqa: B010 - as above


def main() -> None:
    """Serve until SIGTERM."""
    order = json.loads(sys.argv[1])
    profile = PROFILES[order["profile"]]
    if order["cpus"]:
        profile = profile.with_cpus({int(cache): tuple(cpus) for cache, cpus in order["cpus"].items()})
    profile = structs.replace(profile, rmids=profile.rmids + order["more_ids"])
    options = Options(
        order["mount"],
        profile,
        parse_scenario(order["scenario"], "the benchmark"),
        control_path=order["control"],
        valid_ns=KEPT_SECONDS * 1_000_000_000 if order["are_names_kept"] else 0,
    )
    if order["are_names_kept"]:
        _let_absence_be_kept()
    if order["moves"]:
        _keep_moves()
    if not order["ids_log"]:
        run(options, _say)
        return
    # A line at a time: its reader needs whole lines, also of an emulator that was killed.
    with Path(order["ids_log"]).open("w", buffering=1) as file:
        _listen(_Log(file))
        run(options, _say)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
