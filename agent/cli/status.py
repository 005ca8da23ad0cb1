"""The commands about the whole agent: status, diag, rotate."""

from agent.cli.call import Call
from agent.cli.option import WHOLE, Command, Option
from agent.cli.render import TextColumn, bytes_of, counted, number_of, pairs, seconds_of, text_of
from agent.cli.workers import worker_table
from agent.model.control import ROTATE_DEADLINE_SECONDS
from agent.model.errors import MisuseError

# One screen: what happened before stands in `agentctl diag`.
EVENTS_ON_SCREEN = 5
DEATHS_ON_SCREEN = 5
EVENTS_DEFAULT = 50

EVENT_COLUMNS = (
    TextColumn("AT"),
    TextColumn("SEVERITY"),
    TextColumn("WORKER"),
    TextColumn("EVENT"),
    TextColumn("FIELDS", yields=True),
)
DEATH_COLUMNS = (
    TextColumn("AT"),
    TextColumn("WORKER"),
    TextColumn("EPOCH", right=True),
    TextColumn("EXIT"),
    TextColumn("UPTIME", right=True),
    TextColumn("LAST WORDS", yields=True),
)


def instant_of(value: object) -> str:
    """A unix time in nanoseconds as UTC; text stays as it is."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        from agent.model.timebase import iso_utc

        return iso_utc(value)
    return text_of(value)


def fields_of(value: object) -> str:
    """Fields of an event as `name=value` words."""
    if not isinstance(value, dict):
        return text_of(value)
    return text_of(" ".join(f"{name}={text_of(item)}" for name, item in value.items()))


def status(call: Call) -> int:
    """`agentctl status`."""
    result = call.ask("status")
    if call.wants_json:
        call.show_json(result)
        return 0
    call.show(pairs(_summary(result)))
    call.show([""])
    worker_table(call, call.rows_of(result, "workers"))
    _show_written(call, _object(result, "stats"))
    if conditions := _objects(result, "conditions"):
        call.show(["", "conditions:"])
        columns = (TextColumn("WORKER"), TextColumn("CONDITION"), TextColumn("READY"), TextColumn("DETAIL", yields=True))
        call.show_table(columns, map(_condition_cells, conditions))
    deaths = _objects(result, "deaths")[-DEATHS_ON_SCREEN:]
    if deaths:
        call.show(["", "last deaths:"])
        call.show_table(DEATH_COLUMNS, map(_death_cells, deaths))
    events = _objects(result, "diag")[-EVENTS_ON_SCREEN:]
    if events:
        call.show(["", "last events:"])
        call.show_table(EVENT_COLUMNS, map(_event_cells, events))
    return 0


def diag(call: Call) -> int:
    """`agentctl diag`."""
    limit = call.whole("--limit", EVENTS_DEFAULT)
    if limit < 0:
        raise MisuseError("--limit", f"{limit} is not accepted", "write 0 or more")
    result = call.ask("diag", {"limit": limit})
    if call.wants_json:
        call.show_json(result)
        return 0
    events = call.rows_of(result, "events")
    if events:
        call.show_table(EVENT_COLUMNS, map(_event_cells, events))
    elif limit:
        call.show(["no events"])
    for death in _objects(result, "deaths"):
        _show_death(call, death)
    if number_of(result.get("hidden")):
        call.show([f"… {counted(result['hidden'], 'more event')} not shown"])
    return 0


def _show_death(call: Call, death: dict[str, object]) -> None:
    """One death with all its last words: of a hung worker these are its stacks."""
    why = f" ({text_of(death['reason'])})" if death.get("reason") else ""
    head = f"{instant_of(death.get('at'))} {text_of(death.get('worker'))} epoch {text_of(death.get('epoch'))} ended with "
    call.show(["", f"{head}{text_of(death.get('exit'))}{why} after {seconds_of(death.get('uptime_seconds'))}"])
    words = death.get("last_words")
    call.show([f"    {text_of(word)}" for word in words] if isinstance(words, list) else [])


def rotate(call: Call) -> int:
    """`agentctl rotate`."""
    result = call.ask("rotate")
    if call.wants_json:
        call.show_json(result)
        return 0
    files = call.rows_of(result, "files")
    if not files:
        call.show(["nothing to seal"])
        return 0
    columns = (TextColumn("TABLE"), TextColumn("ROWS", right=True), TextColumn("FILE"))
    call.show_table(columns, ((text_of(row.get("table")), text_of(row.get("rows")), text_of(row.get("path"))) for row in files))
    call.show([f"sealed {counted(result.get('rows'), 'row')} in {counted(len(files), 'file')}"])
    return 0


def _object(document: dict[str, object], key: str) -> dict[str, object]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _objects(document: dict[str, object], key: str) -> list[dict[str, object]]:
    found = document.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _summary(result: dict[str, object]) -> list[tuple[str, str]]:
    rules = _object(result, "rules")
    reasons = result.get("reasons")
    why = ", ".join(map(text_of, reasons)) if isinstance(reasons, list) and reasons else ""
    revision = f"revision {text_of(rules.get('revision'))}"
    ready = "yes" if result.get("ready") is True else "no"
    return [
        ("ready", f"{ready}: {why}" if why else ready),
        ("agent", f"version {text_of(result.get('version'))} on {text_of(result.get('host'))}, pid {text_of(result.get('pid'))}"),
        ("uptime", f"{seconds_of(result.get('uptime_seconds'))}, run {text_of(result.get('run'))}"),
        ("folders", f"state {text_of(result.get('state_dir'))}, runtime {text_of(result.get('runtime_dir'))}"),
        ("rules", ", ".join((counted(rules.get("rules"), "rule"), counted(rules.get("pods"), "pod"), revision))),
    ]


def _show_written(call: Call, stats: dict[str, object]) -> None:
    """What the writer stored, and what each worker could not hand over."""
    writer = _object(stats, "writer")
    lines: list[tuple[str, str]] = []
    if writer:
        stored = f"{counted(writer.get('rows'), 'row')} of {counted(writer.get('batches'), 'batch')} since the writer started"
        lines.append(("written", f"{stored}, {counted(writer.get('duplicates'), 'duplicate')}"))
        if number_of(writer.get("gap_rows")):
            # A row of table gap tells of any number of rows, which may be unknown.
            gaps = f"{counted(writer['gap_rows'], 'row')} in table gap since then"
            lines.append(("gaps", f'{gaps}: agentctl query "FROM gap"'))
        sealed = f"{counted(writer.get('sealed_rows'), 'row')} in {counted(writer.get('sealed_files'), 'file')}"
        waiting = f"{counted(writer.get('segments_waiting'), 'segment')} waiting"
        lines.append(("sealed", f"{sealed}; spool {bytes_of(writer.get('spool_bytes'))}, {waiting}"))
        lines += _quota_lines(_object(writer, "quota"))
    missed = _object(writer, "ticks_missed")
    for name, worker in sorted(stats.items()):
        if isinstance(worker, dict):
            lines += _worker_lines(name, worker, missed.get(name))
    if lines:
        call.show(["", *pairs(lines)])


def _quota_lines(quota: dict[str, object]) -> list[tuple[str, str]]:
    if not quota:
        return []
    held = f"{bytes_of(quota.get('held_bytes'))} of {bytes_of(quota.get('limit_bytes'))}"
    removed = f"{counted(quota.get('removed_files'), 'old file')} ({bytes_of(quota.get('removed_bytes'))})"
    return [("quota", f"{held} after the last sealing; {removed} removed since the writer started")]


def _worker_lines(name: str, worker: dict[str, object], missed_in_run: object) -> list[tuple[str, str]]:
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
    outbox = _object(worker, "outbox")
    if outbox:
        waiting = f"{counted(outbox.get('unacknowledged'), 'batch')} unacknowledged"
        lines.append((text_of(name), f"{waiting}, {counted(outbox.get('refused_rows'), 'row')} refused"))
    if worker.get("address"):
        lines.append((text_of(name), f"serves on {text_of(worker['address'])}"))
    return lines


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


def _condition_cells(row: dict[str, object]) -> tuple[str, ...]:
    blocks = "blocked" if row.get("blocks_ready") else "kept"
    return text_of(row.get("worker")), text_of(row.get("kind")), blocks, text_of(row.get("detail"))


def _death_cells(row: dict[str, object]) -> tuple[str, ...]:
    words = row.get("last_words")
    last = text_of(" / ".join(map(text_of, words))) if isinstance(words, list) and words else text_of(None)
    return (
        instant_of(row.get("at")),
        text_of(row.get("worker")),
        text_of(row.get("epoch")),
        text_of(row.get("exit")),
        seconds_of(row.get("uptime_seconds")),
        last,
    )


def _event_cells(row: dict[str, object]) -> tuple[str, ...]:
    return (
        instant_of(row.get("at")),
        text_of(row.get("severity")),
        text_of(row.get("worker")),
        text_of(row.get("kind")),
        fields_of(row.get("fields")),
    )


COMMANDS = (
    Command(
        "status",
        status,
        about="one screen: ready or not and why, workers, rules, data written, gaps in it, last events",
        examples=("agentctl status", "agentctl status --json | jq .ready"),
    ),
    Command(
        "diag",
        diag,
        about="the last diagnostic events",
        options=(Option("--limit", "N", f"at most so many events (default {EVENTS_DEFAULT})", kind=WHOLE),),
        examples=("agentctl diag --limit 10",),
    ),
    Command(
        "rotate",
        rotate,
        about="seal the open spool into Parquet files now",
        examples=("agentctl rotate",),
        timeout_seconds=ROTATE_DEADLINE_SECONDS,
    ),
)
