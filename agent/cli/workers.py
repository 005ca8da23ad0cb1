"""The commands about workers: list-workers, worker-state, restart-worker, reset-worker."""

from collections.abc import Sequence

from agent.cli.call import Call
from agent.cli.option import Argument, Command
from agent.cli.render import ABSENT, TextColumn, bytes_of, pairs, percent_of, seconds_of, text_of
from agent.model.control.result import WorkerChange, WorkerList, WorkerRow, WorkerState

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
    TextColumn("SAMPLERS", yields=True),
    TextColumn("STDERR", yields=True),
    TextColumn("ASLEEP BECAUSE", yields=True),
)
RSS_COLUMN, PSS_COLUMN = 11, 12


def worker_cells(worker: WorkerRow) -> tuple[str, ...]:
    """One line of the table of workers."""
    return (
        text_of(worker.name),
        text_of(worker.state),
        text_of(worker.pid),
        text_of(worker.epoch),
        seconds_of(worker.uptime_seconds),
        text_of(sum(worker.deaths.values())) if worker.deaths else ABSENT,
        text_of(worker.last_exit),
        seconds_of(worker.backoff_seconds),
        seconds_of(worker.heartbeat_age_seconds),
        _rules_held(worker),
        percent_of(worker.cpu_percent),
        bytes_of(worker.rss_bytes),
        bytes_of(worker.pss_bytes),
        text_of(", ".join(name.removeprefix("sampler/") for name in worker.members)) if worker.members else ABSENT,
        text_of(" / ".join(text_of(line).strip() for line in worker.stderr_tail)),
        text_of(worker.asleep_why),
    )


def _rules_held(worker: WorkerRow) -> str:
    """The revision of the rules that a worker holds; `!` behind it: they are not the rules in force."""
    if worker.rules_revision is None:
        return ABSENT
    return f"{worker.rules_revision}{'!' if worker.in_sync is False else ''}"


def worker_table(call: Call, workers: Sequence[WorkerRow]) -> None:
    """Print the workers. Columns without a value are left out, and RSS where there is PSS, which says more."""
    rows = [worker_cells(worker) for worker in workers]
    kept = [index for index in range(len(WORKER_COLUMNS)) if index < 2 or any(row[index] != ABSENT for row in rows)]
    if PSS_COLUMN in kept:
        kept = [index for index in kept if index != RSS_COLUMN]
    call.show_table([WORKER_COLUMNS[index] for index in kept], [[row[index] for index in kept] for row in rows])


def list_workers(call: Call) -> int:
    """`agentctl list-workers`."""
    answer = call.ask("list-workers")
    if call.wants_json:
        call.show_json(answer)
    else:
        worker_table(call, call.read(WorkerList, answer).workers)
    return 0


def worker_state(call: Call) -> int:
    """`agentctl worker-state NAME`."""
    answer = call.ask("worker-state", {"name": call.words[0]})
    if call.wants_json:
        call.show_json(answer)
        return 0
    from agent.cli.pods import show_pods
    from agent.cli.rules import show_rules

    state = call.read(WorkerState, answer)
    told = (("name", state.name), ("epoch", state.epoch), ("revision", state.revision), ("digest", state.digest))
    call.show(pairs((name, text_of(value)) for name, value in told))
    call.show(["", "rules it holds:"])
    show_rules(call, state.rules)
    call.show(["", "pods it holds:"])
    show_pods(call, state.pods)
    return 0


def _act(call: Call) -> int:
    answer = call.ask(call.command.name, {"name": call.words[0]})
    if call.wants_json:
        call.show_json(answer)
    else:
        change = call.read(WorkerChange, answer)
        call.show([f"{text_of(change.name)} is {text_of(change.state)}"])
    return 0


_NAME = Argument("NAME", "the worker, as list-workers names it")

COMMANDS = (
    Command(
        "list-workers",
        list_workers,
        about="the workers: state, starts, last exit, rules they hold, what they cost",
        details="EPOCH counts starts; DEATHS counts unexpected ends (--json: by cause). BEAT is the age of the last heartbeat.\n"
        "RULES is the revision that the worker holds; an exclamation mark means that another one is in force.\n"
        "RETRY is the time until the next start. STDERR is the end of what its previous process wrote to it; `diag` shows more.\n"
        "SAMPLERS are those that share the worker's process.\n"
        "A worker that is asleep has nothing to do and starts when it is needed.\n"
        "CPU is a share of one core. PSS divides shared memory among its users; RSS is shown where PSS cannot be read.",
        examples=("agentctl list-workers", "agentctl list-workers --json | jq '.workers[] | select(.state != \"up\")'"),
    ),
    Command(
        "worker-state",
        worker_state,
        about="the rules and pods that a worker reports to hold",
        arguments=(_NAME,),
        examples=("agentctl worker-state sampler/process",),
    ),
    Command(
        "restart-worker",
        _act,
        about="stop a worker cleanly and start it again",
        arguments=(_NAME,),
        examples=("agentctl restart-worker writer",),
    ),
    Command(
        "reset-worker",
        _act,
        about="forget a worker's failures and start it again now",
        arguments=(_NAME,),
        examples=("agentctl reset-worker sampler/process",),
    ),
)
