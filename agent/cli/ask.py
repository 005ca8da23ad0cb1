"""The command ask: questions with an answer that is more than rows. Each kind of question is a module of its own."""

from agent.cli.call import Call
from agent.cli.option import SWITCH, WHOLE, Argument, Command, Option, near
from agent.model.errors import MisuseError

# Each kind of question, and the module with its `answer(call)`; only that module is imported.
# Each kind of question, and the module with its `answer(call)`; only that module is imported.
KINDS = dict.fromkeys(("percentile", "sum", "avg", "max", "count", "top"), "ask_answer") | {"rows": "ask_rows"}
METRICS = ("cpu", "rss", "read", "write", "llc", "bandwidth")
ASK_SECONDS = 60.0
LINES = 30


def ask(call: Call) -> int:
    """`agentctl ask KIND`. *Raises:* EvergaugeError with a sentence and an exit code."""
    kind = call.words[0]
    if kind not in KINDS:
        remedy = near(kind, KINDS) or f"it answers {', '.join(KINDS)}"
        raise MisuseError("ask", f"there is no question {kind!r}", remedy)
    module = __import__(f"agent.cli.{KINDS[kind]}", fromlist=["answer"])
    code = module.answer(call)
    assert isinstance(code, int)
    return code


COMMANDS = (
    Command(
        "ask",
        ask,
        about="percentiles, sums and the like over processes and pods of one host or all; works without a running agent",
        details="""\
`percentile`, `sum`, `avg`, `max` and `count` are over values: the CPU time (0: it slept), memory or storage I/O of each process in
each tick, or the cache and memory bandwidth of each pod (llc, bandwidth). So a p99 of 20 ms means that in 1 of 100 ticks a process
used more than 20 ms. `top` is the sum for each pod and command, largest first; `rows` are stored rows, newest first.
Each minute of each host is read from its sketch where that is whole, else from rows of processes, else it is not known. A sketch
is within the error that its line shows, 0.54 % as a rule. Where rows name only the largest processes, the number is an estimate,
and the true one lies in the interval behind it: `20 ms [18 ms..25 ms]`. Windows are whole minutes: one that begins before --since
or ends behind --until counts as a whole. What is missing is said below the answer.
Without --lake it reads this host's state folder, with the rows of all hosts that a hub has stored there. --lake URL reads a
fleet's store instead (s3://BUCKET/PREFIX, file:///FOLDER and others); settings lake.endpoint, lake.credentials_file and so on
count for it, and `--lake configured` is the store of setting lake.url.""",
        arguments=(Argument("KIND", f"the question: {', '.join(KINDS)}"),),
        options=(
            Option(
                "--metric",
                "METRIC",
                "cpu: CPU time of a process in a tick; rss: its memory; read, write: storage I/O; llc, bandwidth: of a pod",
                choices=METRICS,
            ),
            Option("--p", "PERCENTS", "which percentiles, such as 50,95,99.9 (default 50,95,99)"),
            Option("--by", "PARTS", "a line for each pod, namespace, command or host, or several of them: pod,command"),
            Option("--pod", "POD", "only this pod or unit, by uid or name; may be given again", many=True),
            Option("--namespace", "NAME", "only pods of this namespace; may be given again", many=True),
            Option("--command", "COMMAND", "only this command, as COMM shows it; may be given again", many=True),
            Option("--host", "GLOB", "only hosts whose names fit, such as node-*; may be given again", many=True),
            Option("--since", "WHEN", "windows since then: 1h (default), 2d, 03:12, 2024-01-31 or 2024-01-31T03:12"),
            Option("--until", "WHEN", "windows before this time"),
            Option("--lake", "URL", "the fleet's store instead of a state folder; `configured`: that of setting lake.url"),
            Option("--explain", "", "say for each host and time whether sketches or rows were read, and why", kind=SWITCH),
            Option("--lines", "N", f"the largest number of lines of the table, the largest first (default {LINES})", kind=WHOLE),
        ),
        examples=(
            "# How much CPU does a process of each pod use in a second, usually and at worst?",
            "agentctl ask percentile --metric cpu --by pod",
            "# The memory of all workers of one program, yesterday:",
            "agentctl ask percentile --metric rss --p 50,99.9 --command nginx --since 2024-01-30 --until 2024-01-31",
            "# Which commands of which pods used most CPU in a fleet, and which host was read how:",
            "agentctl ask top --metric cpu --lake s3://telemetry/fleet --host 'node-*' --explain",
        ),
        timeout_seconds=ASK_SECONDS,
    ),
)
