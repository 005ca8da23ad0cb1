"""The command ask: questions with an answer that is more than rows. Each kind of question is a module of its own."""

from agent.cli.call import Call
from agent.cli.option import WHOLE, Argument, Command, Option, near
from agent.model.errors import MisuseError

# Each kind of question, and the module with its `answer(call)`; only that module is imported.
KINDS = {"percentile": "ask_percentile"}
METRICS = ("cpu", "rss")
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
        about="percentiles of CPU time and memory of processes, by pod and command; works without a running agent",
        details="""\
`ask percentile` puts the sketches of table process_sketch together: of all units and commands, or of those that are chosen, over
the last hour or another time. Each process counts once a tick: with the CPU time that it used in the tick (0: it slept), or with
its resident memory. So a p99 of 20 ms means that in 1 of 100 ticks a process used more than 20 ms.
A percentile is within the error that its line shows, which is 0.54 % as long as nothing had to shrink. Count, sum, least and
largest value are exact. Windows are whole minutes: one that begins before --since or ends behind --until counts as a whole.
What is missing is said below the answer: windows without rows or with fewer ticks than the others, and files left out.""",
        arguments=(Argument("KIND", "the question: percentile"),),
        options=(
            Option("--metric", "METRIC", "cpu: CPU time of a process in a tick; rss: its resident memory", choices=METRICS),
            Option("--p", "PERCENTS", "which percentiles, such as 50,95,99.9 (default 50,95,99)"),
            Option("--by", "PARTS", "a line for each pod, namespace, command or host, or several of them: pod,command"),
            Option("--pod", "POD", "only this pod or unit, by uid or name; may be given again", many=True),
            Option("--namespace", "NAME", "only pods of this namespace; may be given again", many=True),
            Option("--command", "COMMAND", "only this command, as COMM shows it; may be given again", many=True),
            Option(
                "--host", "NAME", "only this host, where a hub has stored the sketches of several; may be given again", many=True
            ),
            Option("--since", "WHEN", "windows since then: 1h (default), 2d, 03:12, 2024-01-31 or 2024-01-31T03:12"),
            Option("--until", "WHEN", "windows before this time"),
            Option("--lines", "N", f"the largest number of lines of the table, the largest first (default {LINES})", kind=WHOLE),
        ),
        examples=(
            "# How much CPU does a process of each pod use in a second, usually and at worst?",
            "agentctl ask percentile --metric cpu --by pod",
            "# The memory of all workers of one program, yesterday:",
            "agentctl ask percentile --metric rss --p 50,99.9 --command nginx --since 2024-01-30 --until 2024-01-31",
        ),
        timeout_seconds=ASK_SECONDS,
    ),
)
