"""The command fleet: what a hub knows of its nodes, their units, and the workers among them."""

import time
from collections.abc import Iterator, Sequence

from agent.cli.call import Call
from agent.cli.option import NUMBER, TEXT, WHOLE, Argument, Command, Option
from agent.cli.render import ABSENT, TextColumn, bytes_of, rate_of, seconds_of, text_of
from agent.model.control.fleet import FleetNodeRow, FleetNodes, FleetUnitRow, FleetUnits, FleetWorkers
from agent.model.errors import MisuseError

VIEWS = ("nodes", "units", "workers", "watch")
NODE_COLUMNS = (
    TextColumn("HOST"),
    TextColumn("STATE"),
    TextColumn("SILENT", right=True),
    TextColumn("CPU", right=True),
    TextColumn("OF", right=True),
    TextColumn("MEMORY FREE", right=True),
    TextColumn("OF", right=True),
    TextColumn("WAITS CPU", right=True),
    TextColumn("MEMORY", right=True),
    TextColumn("I/O", right=True),
    TextColumn("UNITS", right=True),
    TextColumn("WORKERS", right=True),
    TextColumn("GPUS", right=True),
    TextColumn("CLOCK", right=True),
    TextColumn("LOST", right=True),
    TextColumn("PROBLEM", yields=True),
)
UNIT_COLUMNS = (
    TextColumn("HOST"),
    TextColumn("KIND"),
    TextColumn("NAME", yields=True),
    TextColumn("CPU", right=True),
    TextColumn("MEMORY", right=True),
    TextColumn("WAITS CPU", right=True),
    TextColumn("MEMORY", right=True),
    TextColumn("I/O", right=True),
    TextColumn("CACHE", right=True),
    TextColumn("BANDWIDTH", right=True),
    TextColumn("MODEL", yields=True),
    TextColumn("AGE", right=True),
)
WORKER_COLUMNS = (
    TextColumn("HOST"),
    TextColumn("NAME", yields=True),
    TextColumn("MODEL", yields=True),
    TextColumn("STATE"),
    TextColumn("WAITING", right=True),
    TextColumn("RUNNING", right=True),
    TextColumn("KV CACHE", right=True),
    TextColumn("VRAM FREE", right=True),
    TextColumn("GPU", right=True),
    TextColumn("CPU", right=True),
    TextColumn("RESERVED", right=True),
    TextColumn("AGE", right=True),
)
# A clock that is off by less is not worth a person's time.
CLOCK_SECONDS = 1.0
WATCH_SECONDS = 1.0


def fleet(call: Call) -> int:
    """`agentctl fleet nodes|units|workers|watch`."""
    view = call.words[0]
    if view == "nodes":
        return _nodes(call)
    if view == "units":
        return _units(call)
    if view == "workers":
        return _workers(call)
    if view == "watch":
        return _watch(call)
    raise MisuseError(f"fleet {view}", "there is no such view", f"one of {', '.join(VIEWS)}")


def node_cells(row: FleetNodeRow) -> tuple[str, ...]:
    """One line of `fleet nodes`."""
    offset = row.clock_offset_seconds
    # Whose condition of which kind; its sentence is in --json, and in `agentctl diag` on the node.
    problems = [*([row.problem] if row.problem else []), *(" ".join(each.split(": ")[:2]) for each in row.conditions)]
    return (
        text_of(row.host),
        text_of(row.state),
        seconds_of(row.silent_seconds),
        _cores(row.cpu_cores),
        text_of(row.cpus),
        bytes_of(row.memory_available_bytes),
        bytes_of(row.memory_bytes),
        _percent(row.pressure_cpu),
        _percent(row.pressure_memory),
        _percent(row.pressure_io),
        text_of(row.units),
        text_of(row.workers),
        text_of(row.gpus),
        ABSENT if offset is None or abs(offset) < CLOCK_SECONDS else f"{offset:+.0f} s",
        text_of(row.lost),
        text_of("; ".join(problems)) or ABSENT,
    )


def unit_cells(row: FleetUnitRow) -> tuple[str, ...]:
    """One line of `fleet units`."""
    return (
        text_of(row.host),
        text_of(row.kind),
        text_of(f"{row.namespace}/{row.name}" if row.namespace else row.name),
        _cores(row.cpu_cores),
        bytes_of(row.memory_bytes),
        _percent(row.pressure_cpu),
        _percent(row.pressure_memory),
        _percent(row.pressure_io),
        bytes_of(row.cache_bytes),
        rate_of(row.memory_bandwidth_bytes_per_second),
        text_of(row.model or row.served_model),
        seconds_of(row.age_seconds),
    )


def worker_cells(row: FleetUnitRow) -> tuple[str, ...]:
    """One line of `fleet workers`."""
    return (
        text_of(row.host),
        text_of(f"{row.namespace}/{row.name}" if row.namespace else row.name),
        text_of(row.model or row.served_model),
        text_of(row.state),
        text_of(row.waiting),
        text_of(row.running),
        _percent(row.kv_cache),
        bytes_of(row.vram_free_bytes),
        _percent(row.gpu_busy),
        _cores(row.cpu_cores),
        text_of(row.reserved) if row.reserved else ABSENT,
        seconds_of(row.age_seconds),
    )


def _nodes(call: Call) -> int:
    answer = call.ask("fleet-nodes")
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(FleetNodes, answer)
    if not found.nodes:
        call.show(["no node has joined this hub; `agentctl hub invite` prints what a node needs for it"])
    else:
        call.show([_summary(found)])
        _show(call, NODE_COLUMNS, [node_cells(row) for row in found.nodes])
    if found.suspicion:
        call.warn(found.suspicion)
    return 0


def _units(call: Call) -> int:
    arguments = _given(call, {"--node": "node", "--kind": "kind"}, {"--limit": "limit"})
    answer = call.ask("fleet-units", arguments)
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(FleetUnits, answer)
    _show(call, UNIT_COLUMNS, [unit_cells(row) for row in found.units])
    _tell_rest(call, found.found - len(found.units), found.excluded)
    return 0


def _workers(call: Call) -> int:
    texts = {"--model": "model", "--lora": "lora", "--state": "state", "--max-age": "max_age", "--order": "order", "--node": "node"}
    arguments = _given(call, texts, {"--limit": "limit"})
    if (free := call.text("--min-free-vram")) is not None:
        from agent.setting import Size

        try:
            arguments["min_free_vram"] = Size("min-free-vram", 0, 0, 1 << 50, "").parse(free)
        except ValueError as cause:
            raise MisuseError("--min-free-vram", f"{free} is no size", "such as 8GiB") from cause
    answer = call.ask("fleet-workers", arguments)
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(FleetWorkers, answer)
    if found.workers:
        _show(call, WORKER_COLUMNS, [worker_cells(row) for row in found.workers])
    else:
        call.show(["no worker fits"])
    _tell_rest(call, found.found - len(found.workers), found.excluded)
    if found.suspicion:
        call.warn(found.suspicion)
    return 0


def _watch(call: Call) -> int:
    """What changes, a line each, until Ctrl-C or for `--for`."""
    end = time.monotonic() + call.number("--for", float("inf"))
    before: dict[str, FleetNodeRow] | None = None
    while True:
        call.deadline = time.monotonic() + call.timeout_seconds
        found = call.read(FleetNodes, call.ask("fleet-nodes"))
        now = {row.node: row for row in found.nodes}
        lines = [_summary(found)] if before is None else list(_changes(before, now))
        call.show(f"{found.as_of}  {line}" for line in lines)
        call.output.flush()
        before = now
        if time.monotonic() >= end:
            return 0
        time.sleep(WATCH_SECONDS)


def _changes(before: dict[str, FleetNodeRow], now: dict[str, FleetNodeRow]) -> Iterator[str]:
    for node, row in now.items():
        old = before.get(node)
        host = text_of(row.host)
        if old is None:
            yield f"{host} has joined: {row.state}"
            continue
        if old.state != row.state:
            yield f"{host} is {row.state}, before {old.state}"
        if old.run != row.run and row.run:
            yield f"{host} runs another life of its agent, {row.run}"
        if old.problem != row.problem and row.problem:
            yield f"{host}: {text_of(row.problem)}"
        if old.workers != row.workers and None not in (old.workers, row.workers):
            yield f"{host} has {row.workers} workers, before {old.workers}"
    for node in before.keys() - now.keys():
        yield f"{text_of(before[node].host)} was taken out"


def _summary(found: FleetNodes) -> str:
    states = ", ".join(f"{count} {state}" for state, count in sorted(found.states.items(), key=lambda each: -each[1]))
    return f"hub {text_of(found.hub)}: {len(found.nodes)} nodes: {states}"


def _show(call: Call, columns: Sequence[TextColumn], rows: Sequence[tuple[str, ...]]) -> None:
    """The table without the columns in which nothing stands."""
    kept = [place for place in range(len(columns)) if place < 2 or any(row[place] != ABSENT for row in rows)]
    call.show_table([columns[place] for place in kept], [tuple(row[place] for place in kept) for row in rows])


def _tell_rest(call: Call, more: int, excluded: dict[str, int]) -> None:
    told = [f"{more} more"] if more > 0 else []
    if excluded:
        told.append("left out: " + ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in sorted(excluded.items())))
    if told:
        call.warn("; ".join(told))


def _given(call: Call, texts: dict[str, str], wholes: dict[str, str]) -> dict[str, object]:
    found: dict[str, object] = {name: value for option, name in texts.items() if (value := call.text(option)) is not None}
    return found | {name: call.whole(option, 0) for option, name in wholes.items() if call.has(option)}


def _cores(cores: float | None) -> str:
    return ABSENT if cores is None else f"{cores:.2f}"


def _percent(share: float | None) -> str:
    return ABSENT if share is None else f"{100 * share:.1f} %"


COMMANDS = (
    Command(
        "fleet",
        fleet,
        about="what this hub knows of its nodes, their units, and the workers among them",
        arguments=(Argument("VIEW", "nodes, units, workers or watch"),),
        options=(
            Option("--node", "NODE", "of units and workers: those of one node, by its host name or id", kind=TEXT),
            Option("--kind", "KIND", "of units: pod, service, scope, slice or workload", kind=TEXT),
            Option("--model", "MODEL", "of workers: those that serve it, by any of its names", kind=TEXT),
            Option("--lora", "NAME", "of workers: those that serve this adapter", kind=TEXT),
            Option("--state", "STATE", "of workers: idle, busy or unknown, by the engine's own word", kind=TEXT),
            Option("--min-free-vram", "SIZE", "of workers: so much free memory on one of its GPUs, such as 8GiB", kind=TEXT),
            Option("--max-age", "AGE", "of workers: numbers that are no older, such as 500ms or 5s", kind=TEXT),
            Option("--order", "ORDER", "of workers: load (the least first), vram (the most first) or random2", kind=TEXT),
            Option("--limit", "N", "of units and workers: so many rows", kind=WHOLE),
            Option("--for", "SECONDS", "of watch: end after so long", kind=NUMBER),
        ),
        details="STATE of a node: fresh, late (three beats are missing), stale (it has left scheduling), gone (it left on\n"
        "purpose), never_seen. WAITS: the share of the time in which something waited. A worker is a unit that serves a model,\n"
        "or a workload; its state is unknown where its engine says nothing. Numbers are a second old at best: they serve\n"
        "placement and people, not the routing of single requests.",
        examples=(
            "agentctl fleet nodes",
            "agentctl fleet workers --model meta-llama/Llama-3.1-8B-Instruct --order load --max-age 3s --json",
            "agentctl fleet watch",
        ),
    ),
)
