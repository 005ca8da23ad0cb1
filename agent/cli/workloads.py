"""The commands list-workloads, stop and forget."""

import time

from agent.cli.call import Call
from agent.cli.option import SWITCH, Argument, Command, Option
from agent.cli.render import ABSENT, TextColumn, bytes_of, seconds_of, text_of
from agent.cli.workload_order import duration_ns
from agent.model.control.workload import WorkloadChange, WorkloadList, WorkloadRow
from agent.model.errors import BusyError

COLUMNS = (
    TextColumn("NAME"),
    TextColumn("STATE"),
    TextColumn("PID", right=True),
    TextColumn("UPTIME", right=True),
    TextColumn("CPU TIME", right=True),
    TextColumn("MEMORY", right=True),
    TextColumn("LIMITS", yields=True),
    TextColumn("RESTARTS", right=True),
    TextColumn("RETRY", right=True),
    TextColumn("ENDED", yields=True),
    TextColumn("COMMAND", yields=True),
    TextColumn("PROBLEM", yields=True),
    TextColumn("FROM"),
    TextColumn("BORN"),
    TextColumn("OOM KILLS", right=True),
    TextColumn("PEAK", right=True),
    TextColumn("USER"),
    TextColumn("GPUS"),
    TextColumn("LABELS", yields=True),
    TextColumn("VARIABLES", yields=True),
    TextColumn("CGROUP", yields=True),
    TextColumn("OUTPUT", yields=True),
)
# The last of those that are shown without --wide.
_NARROW_LAST = 11
LOOK_SECONDS = 0.1
_MAX = "max"


def cells_of(row: WorkloadRow) -> tuple[str, ...]:
    """One line of the table."""
    ended = f"{text_of(row.ended_how)} at {text_of(row.ended)}" if row.ended_how else ABSENT
    return (
        text_of(row.name),
        text_of(row.state) + (" (changed)" if row.has_changed else ""),
        text_of(row.pid),
        seconds_of(row.uptime_seconds),
        seconds_of(row.cpu_seconds),
        bytes_of(row.memory_bytes),
        text_of(limits_of(row.in_force)),
        text_of(row.restarts) if row.restarts else ABSENT,
        seconds_of(row.backoff_seconds),
        ended,
        text_of(row.command),
        text_of(row.problem),
        text_of(row.source),
        text_of(row.birth) + (" (adopted)" if row.adopted else ""),
        text_of(row.oom_kills),
        bytes_of(row.memory_peak_bytes),
        text_of(row.user),
        text_of(",".join(row.gpus)),
        text_of(",".join(f"{key}={value}" for key, value in sorted(row.labels.items()))),
        text_of(",".join(row.environment)),
        text_of(row.cgroup),
        text_of(row.output),
    )


def limits_of(in_force: dict[str, str]) -> str:
    """The limits that the kernel holds, in few words: `cpu 200%, memory 4.0 GiB, pids 100`."""
    shown = []
    quota, _, period = in_force.get("cpu.max", _MAX).partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        shown.append(f"cpu {100 * int(quota) / int(period):g}%")
    if (weight := in_force.get("cpu.weight", "100")) != "100":
        shown.append(f"weight {weight}")
    for name, what in (("memory.max", "memory"), ("memory.high", "high")):
        if (text := in_force.get(name, _MAX)).isdigit():
            shown.append(f"{what} {bytes_of(int(text))}")
    if (pids := in_force.get("pids.max", _MAX)) != _MAX:
        shown.append(f"pids {pids}")
    if io := in_force.get("io.max", ""):
        shown.append("io " + "; ".join(" ".join(word for word in line.split() if "=max" not in word) for line in io.splitlines()))
    return ", ".join(shown)


def list_workloads(call: Call) -> int:
    """`agentctl list-workloads`."""
    answer = call.ask("list-workloads")
    if call.wants_json:
        call.show_json(answer)
        return 0
    listed = call.read(WorkloadList, answer)
    if not listed.workloads:
        call.show(["no workload runs, and none has run; `agentctl run NAME -- PROGRAM` starts one"])
    else:
        _show(call, [cells_of(row) for row in listed.workloads])
    if not listed.is_asked and listed.problem:
        call.warn(f"list-workloads: the keeper does not answer, what it knows is missing: {listed.problem}")
    elif listed.problem and call.has("--wide"):
        call.warn(f"list-workloads: not every limit can be set here: {listed.problem}")
    return 0


def _show(call: Call, rows: list[tuple[str, ...]]) -> None:
    is_wide = call.has("--wide")
    last = len(COLUMNS) - 1 if is_wide else _NARROW_LAST
    kept = [index for index in range(last + 1) if index < 2 or any(row[index] != ABSENT for row in rows)]
    columns, cells = [COLUMNS[index] for index in kept], [[row[index] for index in kept] for row in rows]
    if is_wide:
        from agent.cli.render import table

        call.show(table(columns, cells))
    else:
        call.show_table(columns, cells)


def stop(call: Call) -> int:
    """`agentctl stop NAME`: asks for it, then waits until nothing of it runs."""
    name, grace = call.words[0], call.text("--grace")
    arguments: dict[str, object] = {"name": name}
    if grace is not None:
        arguments["grace_ns"] = duration_ns("--grace", grace)
    answer = call.ask("stop-workload", arguments)
    change = call.read(WorkloadChange, answer)
    row = None if call.has("--no-wait") or change.state != "stopping" else _ended(call, name)
    if call.wants_json:
        call.show_json(answer if row is None else {**answer, "state": row.state, "pid": None, "ended_how": row.ended_how})
    elif row is None:
        call.show([f"{text_of(name)} is {text_of(change.state)}"])
    else:
        call.show([f"{text_of(name)} has ended: {text_of(row.ended_how)}"])
    return 0


def _ended(call: Call, name: str) -> WorkloadRow:
    """Its row once it has ended. *Raises:* BusyError where that takes longer than this command may."""
    while True:
        listed = call.read(WorkloadList, call.ask("list-workloads"))
        row = next((each for each in listed.workloads if each.name == name), None)
        if row is not None and row.pid is None:
            return row
        if call.seconds_left() <= LOOK_SECONDS:
            raise BusyError(
                "stop", f"{name} has not ended within {call.timeout_seconds:g} s", "it is on the way; list-workloads shows it"
            )
        time.sleep(LOOK_SECONDS)


def forget(call: Call) -> int:
    """`agentctl forget NAME`."""
    answer = call.ask("forget-workload", {"name": call.words[0]})
    if call.wants_json:
        call.show_json(answer)
    else:
        call.show([f"{text_of(call.words[0])} is forgotten, its output removed"])
    return 0


_NAME = Argument("NAME", "the workload, as list-workloads names it")

COMMANDS = (
    Command(
        "list-workloads",
        list_workloads,
        about="the programs that the agent runs: state, limits in force, use, restarts, ends",
        details="STATE: running, stopping, ended, backoff (it starts again in RETRY), or waiting (not started yet: PROBLEM).\n"
        "(changed): the settings file describes it otherwise than it runs. LIMITS are those that the kernel holds.\n"
        "BORN: clone_into_cgroup (in its cgroup), stub (moved there before its first instruction) or no_cgroup (no limits);\n"
        "(adopted): found running by a keeper that did not start it. Secrets in commands and labels are masked.",
        options=(
            Option("--wide", "", "also birth, user, GPUs, labels, names of variables, cgroup, output; nothing is cut", kind=SWITCH),
        ),
        examples=("agentctl list-workloads", "agentctl list-workloads --json | jq '.workloads[] | select(.oom_kills > 0)'"),
    ),
    Command(
        "stop",
        stop,
        about="end a workload: SIGTERM, after its grace SIGKILL for all its processes; it is not started again",
        arguments=(_NAME,),
        options=(
            Option("--grace", "TIME", "how long to wait after SIGTERM, instead of its own grace"),
            Option("--no-wait", "", "do not wait for its end", kind=SWITCH),
        ),
        examples=("agentctl stop train", "agentctl stop web --grace 1m"),
        timeout_seconds=60.0,
    ),
    Command(
        "forget",
        forget,
        about="remove the record and the output of a workload that has ended",
        arguments=(_NAME,),
        examples=("agentctl forget train",),
        timeout_seconds=35.0,
    ),
)
