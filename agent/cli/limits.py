"""The commands about what workers may use: list-limits, set-limit."""

from agent.cli.call import Call
from agent.cli.option import SWITCH, WHOLE, Argument, Command, Option
from agent.cli.render import ABSENT, TextColumn, bytes_of, text_of
from agent.model.control.limit import LimitList, LimitOutcome, LimitRow
from agent.model.errors import MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.setting import Percent, Size

COLUMNS = (
    TextColumn("WORKER"),
    TextColumn("LEVEL"),
    TextColumn("LEAVES OUT", yields=True),
    TextColumn("BREAKER"),
    TextColumn("CPU", right=True),
    TextColumn("MAY", right=True),
    TextColumn("MEMORY", right=True),
    TextColumn("MAY", right=True),
    TextColumn("FILES", right=True),
    TextColumn("MAY", right=True),
    TextColumn("QUEUE", right=True),
    TextColumn("MAY", right=True),
    TextColumn("SET BY"),
)


def _cells(row: LimitRow) -> tuple[str, ...]:
    over = set(row.over)
    level = f"{row.level} of {row.levels}" if row.levels else ABSENT
    breaker = row.breaker if row.tried_in_seconds is None else f"{row.breaker}, tried in {row.tried_in_seconds:.0f} s"
    return (
        text_of(row.name),
        level,
        text_of("everything" if row.step == "off" else ", ".join(row.left_out)) or ABSENT,
        text_of(breaker),
        _used(_share(row.cpu_percent), "cpu" in over),
        _share(row.cpu_limit_percent),
        _used(bytes_of(row.memory_bytes), "memory" in over),
        bytes_of(row.memory_limit_bytes),
        _used(text_of(row.descriptors), "descriptors" in over),
        text_of(row.descriptor_limit),
        _used(bytes_of(row.queue_bytes), "queue" in over),
        bytes_of(row.queue_limit_bytes),
        "operator" if row.is_changed else "settings",
    )


def _share(percent: float | None) -> str:
    return ABSENT if percent is None else f"{percent:.3g} %"


def _used(text: str, is_over: bool) -> str:
    return f"{text}!" if is_over else text


def list_limits(call: Call) -> int:
    """`agentctl list-limits`."""
    answer = call.ask("list-limits")
    if call.wants_json:
        call.show_json(answer)
        return 0
    found = call.read(LimitList, answer)
    call.show_table(COLUMNS, map(_cells, found.limits))
    if not found.is_enabled:
        call.show(["", "supervisor.governor is false: everything is measured, and nothing is slowed"])
    return 0


def set_limit(call: Call) -> int:
    """`agentctl set-limit WORKER`. *Raises:* EvergaugeError."""
    arguments: dict[str, object] = {"name": call.words[0]}
    # Imported here: no other command reads such values.
    from agent.setting import Percent, Size

    for option, kind in (("--cpu", Percent("cpu", 0, 0, 102_400_000, "")), ("--memory", Size("memory", 0, 0, 1 << 62, "")),
                         ("--queue", Size("queue", 0, 0, 1 << 62, ""))):  # fmt: skip
        if (text := call.text(option)) is not None:
            arguments[option[2:]] = _value(option, kind, text)
    if call.text("--descriptors") is not None:
        arguments["descriptors"] = call.whole("--descriptors", 0)
    if call.has("--reset"):
        arguments["reset"] = True
    if len(arguments) == 1:
        raise MisuseError("set-limit", "no limit is named", "name one of --cpu, --memory, --descriptors, --queue, or --reset")
    answer = call.ask("set-limit", arguments)
    if call.wants_json:
        call.show_json(answer)
        return 0
    change = call.read(LimitOutcome, answer)
    row = change.limit
    limits = (
        ("cpu", _share(row.cpu_limit_percent)),
        ("memory", bytes_of(row.memory_limit_bytes)),
        ("descriptors", text_of(row.descriptor_limit)),
        ("queue", bytes_of(row.queue_limit_bytes)),
    )
    shown = ", ".join(f"{name} {'no limit' if value == ABSENT else value}" for name, value in limits)
    call.show([f"{text_of(row.name)}: {shown}{'' if change.changed else ' (as before)'}"])
    return 0


def _value(option: str, kind: "Percent | Size", text: str) -> int:
    try:
        value = kind.parse(text)
    except ValueError as cause:
        accepted = "a percentage of one core such as 0.5%, or 0 for no limit" if option == "--cpu" else "a size such as 64MiB, or 0"
        raise MisuseError(option, f"{text!r} is not accepted", f"write {accepted}") from cause
    if value < 0:
        raise MisuseError(option, f"{text!r} is not accepted", "`--reset` gives the worker the limits of the settings again")
    return value


COMMANDS = (
    Command(
        "list-limits",
        list_limits,
        about="what each worker may use, what it uses, and what it leaves out because of that",
        details="CPU is of one core over the last ten seconds; an exclamation mark: over its limit. MEMORY is resident memory,\n"
        "QUEUE what the writer has not taken. A worker over its limit leaves out one thing more, some seconds apart,\n"
        "and at last is switched off (breaker open) and tried again. It is restored step by step once it has been quiet.\n"
        "docs/governance.md has the steps of each worker.",
        examples=("agentctl list-limits", "agentctl list-limits --json | jq '.limits[] | select(.level > 0)'"),
    ),
    Command(
        "set-limit",
        set_limit,
        about="change what a worker may use, at once and for good",
        details="The other limits of the worker stay. What is set here holds for later starts of the agent too, before what the\n"
        "settings say, until --reset. 0: no limit.",
        arguments=(Argument("WORKER", "the worker, as list-workers names it"),),
        options=(
            Option("--cpu", "PERCENT", "processor time, of one core, such as 0.5%"),
            Option("--memory", "SIZE", "resident memory, such as 128MiB"),
            Option("--descriptors", "N", "open files", kind=WHOLE),
            Option("--queue", "SIZE", "rows that the writer has not taken, such as 2MiB"),
            Option("--reset", "", "the limits of the settings hold again", kind=SWITCH),
        ),
        examples=("agentctl set-limit sampler/process --cpu 2%", "agentctl set-limit sampler/process --reset"),
    ),
)
