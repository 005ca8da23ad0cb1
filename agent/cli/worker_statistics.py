"""The statistics of workers as lines of `agentctl status`. A worker's statistics are its own: any field may be missing."""

from collections.abc import Mapping

from agent.cli.render import bytes_of, counted, number_of, seconds_of, text_of

Lines = list[tuple[str, str]]


def written_lines(stats: "Mapping[str, dict[str, object] | None]") -> Lines:
    """What the writer stored, and what each worker could not hand over."""
    writer = stats.get("writer") or {}
    lines: Lines = []
    if writer:
        stored = f"{counted(writer.get('rows'), 'row')} of {counted(writer.get('batches'), 'batch')} since the writer started"
        lines.append(("written", f"{stored}, {counted(writer.get('duplicates'), 'duplicate')}"))
        if number_of(writer.get("gap_rows")):
            # One row of table gap stands for any number of lost rows, which may be unknown.
            gaps = f"{counted(writer['gap_rows'], 'row')} in table gap since then"
            lines.append(("gaps", f'{gaps}: agentctl query "FROM gap"'))
        sealed = f"{counted(writer.get('sealed_rows'), 'row')} in {counted(writer.get('sealed_files'), 'file')}"
        waiting = f"{counted(writer.get('segments_waiting'), 'segment')} waiting"
        lines.append(("sealed", f"{sealed}; spool {bytes_of(writer.get('spool_bytes'))}, {waiting}"))
        lines += _foreign_lines(_object(writer, "foreign"))
        lines += _quota_lines(_object(writer, "quota"))
        lines += _compaction_lines(_object(writer, "compaction"))
    missed = _object(writer, "ticks_missed")
    for name, worker in sorted(stats.items()):
        if worker is not None:
            lines += _worker_lines(name, worker, missed.get(name))
    return lines


def _object(document: dict[str, object], key: str) -> dict[str, object]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _foreign_lines(foreign: dict[str, object]) -> Lines:
    if not foreign:
        return []
    stored = f"{counted(foreign.get('rows'), 'row')} of {counted(foreign.get('batches'), 'batch')} since the writer started"
    lines = [
        ("other hosts", f"{counted(foreign.get('hosts'), 'host')}; {stored}, {counted(foreign.get('duplicates'), 'duplicate')}")
    ]
    if number_of(foreign.get("refused_batches")):
        refused = f"{counted(foreign.get('refused_batches'), 'batch')} refused, last: {text_of(foreign.get('problem'))}"
        lines.append(("other hosts", refused))
    return lines


def _quota_lines(quota: dict[str, object]) -> Lines:
    if not quota:
        return []
    held = f"{bytes_of(quota.get('held_bytes'))} of {bytes_of(quota.get('limit_bytes'))}"
    removed = f"{counted(quota.get('removed_files'), 'old file')} ({bytes_of(quota.get('removed_bytes'))})"
    return [("quota", f"{held} after the last sealing; {removed} removed since the writer started")]


def _compaction_lines(compaction: dict[str, object]) -> Lines:
    if not compaction:
        return []
    if compaction.get("enabled") is False:
        return [("compacted", "nothing: writer.compaction is off")]
    rows = f"{counted(compaction.get('rows'), 'row')} of {counted(compaction.get('files'), 'file')}"
    lines = [("compacted", f"{counted(compaction.get('days'), 'day')} since the writer started, {rows}")]
    if problem := compaction.get("last_problem"):
        lines.append(("compacted", f"last problem: {text_of(problem)}"))
    return lines


def _worker_lines(name: str, worker: dict[str, object], missed_in_run: object) -> Lines:
    lines = []
    if "ticks" in worker:
        # The writer counts what is not stored over all starts of the sampler; the sampler's own count begins with each start.
        missed = f"{text_of(worker.get('ticks_missed'))} missed since it started"
        if missed_in_run is not None:
            missed = f"{text_of(missed_in_run)} missed in this run"
        told = f"{counted(worker.get('ticks'), 'tick')} since it started, {missed}"
        lines.append((text_of(name), told + _seen(worker)))
    if worker.get("emulated") is True:
        lines.append((text_of(name), "on an emulated resctrl: its values are no hardware's"))
    lines += _runtime_lines(name, _object(worker, "runtime"))
    lines += _sink_lines(name, worker)
    outbox = _object(worker, "outbox")
    if outbox:
        waiting = f"{counted(outbox.get('unacknowledged'), 'batch')} unacknowledged"
        lines.append((text_of(name), f"{waiting}, {counted(outbox.get('refused_rows'), 'row')} refused"))
    if worker.get("address"):
        lines.append((text_of(name), f"serves on {text_of(worker['address'])}"))
    return lines


def _sink_lines(name: str, worker: dict[str, object]) -> Lines:
    """How far behind a sink is; `agentctl list-exports` has the whole account."""
    ledger = _object(worker, "ledger")
    if not ledger:
        return []
    told = f"sink is {text_of(worker.get('state'))}, {counted(ledger.get('delivered'), 'row')} delivered"
    if number_of(ledger.get("pending")):
        waiting = f"{counted(ledger.get('pending'), 'row')} ({bytes_of(worker.get('lag_bytes'))})"
        told += f", {waiting} waiting for up to {seconds_of(worker.get('lag_seconds'))}"
    lost = [f"{counted(ledger[key], 'row')} {key}" for key in ("rejected", "pruned") if number_of(ledger.get(key))]
    return [(text_of(name), ", ".join([told, *lost]))]


def _runtime_lines(name: str, runtime: dict[str, object]) -> Lines:
    """Over which wire the container runtime reports its pods; nothing where there is none."""
    for wire, told in sorted(_object(runtime, "wires").items(), reverse=True):
        if isinstance(told, dict) and told.get("is_connected") is True:
            who = text_of(told.get("runtime") or "the container runtime")
            counts = f"{counted(runtime.get('pods'), 'pod')} with {counted(runtime.get('containers'), 'container')}"
            return [(text_of(name), f"{who} reports {counts} over {text_of(wire).upper()}")]
    return []


def _seen(worker: dict[str, object]) -> str:
    """How many processes a sampler sees, and of how many it could not learn everything."""
    if "processes" not in worker:
        return ""
    seen = f", {counted(worker['processes'], 'process')}"
    for key, what in (
        ("refused", "{} more refused"),
        ("unreadable", "{} unreadable so far"),
        ("readers_stuck", "{} without answer"),
    ):
        if number_of(worker.get(key)):
            seen += f", {what.format(text_of(worker[key]))}"
    return seen
