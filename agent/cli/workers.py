"""The commands about workers: list-workers, worker-state, restart-worker, reset-worker."""

from agent.cli.call import Call
from agent.cli.option import Argument, Command
from agent.cli.render import ABSENT, TextColumn, bytes_of, number_of, pairs, percent_of, seconds_of, text_of

WORKER_COLUMNS = (
    TextColumn("NAME"),
    TextColumn("STATE"),
    TextColumn("PID", right=True),
    TextColumn("EPOCH", right=True),
    TextColumn("UPTIME", right=True),
    TextColumn("DEATHS", right=True),
    TextColumn("LAST EXIT", yields=True),
    TextColumn("RETRY", right=True),
    TextColumn("BEAT", right=True),
    TextColumn("RULES", right=True),
    TextColumn("CPU", right=True),
    TextColumn("RSS", right=True),
    TextColumn("PSS", right=True),
    TextColumn("LAST WORDS", yields=True),
)
RSS_COLUMN, PSS_COLUMN = 11, 12


def worker_cells(worker: dict[str, object]) -> tuple[str, ...]:
    """One line of the table of workers."""
    return (
        text_of(worker.get("name")),
        text_of(worker.get("state")),
        text_of(worker.get("pid")),
        text_of(worker.get("epoch")),
        seconds_of(worker.get("uptime_seconds")),
        _deaths(worker),
        text_of(worker.get("last_exit")),
        seconds_of(worker.get("backoff_seconds")),
        seconds_of(worker.get("heartbeat_age_seconds")),
        _rules_held(worker),
        percent_of(worker.get("cpu_percent")),
        bytes_of(worker.get("rss_bytes")),
        bytes_of(worker.get("pss_bytes")),
        _last_words(worker),
    )


def _deaths(worker: dict[str, object]) -> str:
    """How often it has ended, in whatever way."""
    tally = worker.get("deaths")
    return text_of(sum(tally.values())) if isinstance(tally, dict) and tally else ABSENT


def _last_words(worker: dict[str, object]) -> str:
    """What its last generation said on stderr before it ended."""
    words = worker.get("last_words")
    return text_of(" / ".join(text_of(word).strip() for word in words)) if isinstance(words, list) and words else ABSENT


def _rules_held(worker: dict[str, object]) -> str:
    """The revision of the rules that a worker holds; `!` behind it: they are not the rules in force."""
    revision = number_of(worker.get("rules_revision"))
    if revision is None:
        return ABSENT
    return f"{revision:.0f}{'!' if worker.get('in_sync') is False else ''}"


def worker_table(call: Call, workers: list[dict[str, object]]) -> None:
    """Print the workers; columns in which nobody has a value are left out, and RSS where there is PSS, which says more."""
    rows = [worker_cells(worker) for worker in workers]
    kept = [index for index in range(len(WORKER_COLUMNS)) if index < 2 or any(row[index] != ABSENT for row in rows)]
    if PSS_COLUMN in kept:
        kept = [index for index in kept if index != RSS_COLUMN]
    call.show_table([WORKER_COLUMNS[index] for index in kept], [[row[index] for index in kept] for row in rows])


def list_workers(call: Call) -> int:
    """`agentctl list-workers`."""
    result = call.ask("list-workers")
    if call.wants_json:
        call.show_json(result)
    else:
        worker_table(call, call.rows_of(result, "workers"))
    return 0


def worker_state(call: Call) -> int:
    """`agentctl worker-state NAME`."""
    result = call.ask("worker-state", {"name": call.words[0]})
    if call.wants_json:
        call.show_json(result)
        return 0
    from agent.cli.pods import show_pods
    from agent.cli.rules import show_rules

    names = ("name", "epoch", "revision", "digest")
    call.show(pairs((name, text_of(result.get(name))) for name in names))
    call.show(["", "rules it holds:"])
    show_rules(call, call.rows_of(result, "rules"))
    call.show(["", "pods it holds:"])
    show_pods(call, call.rows_of(result, "pods"))
    return 0


def _act(call: Call) -> int:
    result = call.ask(call.command.name, {"name": call.words[0]})
    if call.wants_json:
        call.show_json(result)
    else:
        call.show([f"{text_of(result.get('name'))} is {text_of(result.get('state'))}"])
    return 0


_NAME = Argument("NAME", "the worker, as list-workers names it")

COMMANDS = (
    Command(
        "list-workers",
        list_workers,
        about="the workers: state, starts, last exit, rules they hold, what they cost",
        details="EPOCH counts starts, DEATHS ends (--json has them by their cause). BEAT is the age of the last heartbeat.\n"
        "RULES is the revision that the worker holds; an exclamation mark behind it says that it is not the one in force.\n"
        "RETRY is the time until the next start. LAST WORDS is what its last generation said on stderr; `diag` has all of it.\n"
        "CPU is of one core. PSS counts shared memory once; RSS is shown where PSS cannot be read.",
        examples=("agentctl list-workers", "agentctl list-workers --json | jq '.workers[] | select(.state != \"up\")'"),
    ),
    Command(
        "worker-state",
        worker_state,
        about="the rules and pods that a worker itself says it holds",
        arguments=(_NAME,),
        examples=("agentctl worker-state sampler/process",),
    ),
    Command(
        "restart-worker",
        _act,
        about="stop a worker in good order and start it again",
        arguments=(_NAME,),
        examples=("agentctl restart-worker writer",),
    ),
    Command(
        "reset-worker",
        _act,
        about="forgive a worker its failures: it starts again now",
        arguments=(_NAME,),
        examples=("agentctl reset-worker sampler/process",),
    ),
)
