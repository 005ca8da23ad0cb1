"""The command top: who uses the host or its cache now, redrawn in place, or printed once."""

import os
import sys

from agent.cli.call import Call
from agent.cli.option import NUMBER, SWITCH, Command, Option
from agent.cli.render import WIDTH_LEAST, is_colourful
from agent.model.errors import MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.occupancy_view import OccupancyTop
    from agent.cli.process_view import ProcessTop
    from agent.cli.unit_view import UnitTop

INTERVAL_SECONDS = 1.0
INTERVAL_SECONDS_LEAST = 0.1
# Without a screen everything is shown; the samplers bound how much that is.
LINES_UNBOUNDED = 100_000
# Words that several views have stand in each.
_PROCESS_SORTS = ("cpu", "rss", "io", "net", "threads", "age", "pod")
_UNIT_SORTS = ("mem", "throttled", "pressure", "oom")
_OCCUPANCY_SORTS = ("llc", "bw", "name")
COLOUR = ("auto", "always", "never")


def top(call: Call) -> int:
    """`agentctl top`. *Raises:* EvergaugeError."""
    interval_seconds = call.number("--interval", INTERVAL_SECONDS)
    if interval_seconds < INTERVAL_SECONDS_LEAST:
        raise MisuseError("--interval", f"{interval_seconds:g} is not accepted", f"write at least {INTERVAL_SECONDS_LEAST}")
    _check_document(call)
    shown = _view(call)
    if call.wants_json:
        call.show_json(shown.document())
    elif call.output.isatty() and not call.has("--once"):
        from agent.cli.top_screen import print_on, watch

        # No name, or this one: nothing is known of such a terminal, but that it prints lines.
        follow = print_on if call.environment.get("TERM", "") in ("", "dumb") else watch
        follow(shown, call.output, interval_seconds, has_colour=_has_colour(call))
    else:
        from agent.cli.top_style import texts

        lines = shown.lines(_columns(call), LINES_UNBOUNDED)
        call.show(line.rstrip() for line in texts(lines, has_colour=_has_colour(call)))
    return 0


def _check_document(call: Call) -> None:
    """*Raises:* MisuseError for what a document cannot have: nothing that is asked for is passed over."""
    if call.wants_json and call.has("--tree"):
        raise MisuseError("--tree", "a document has no tree", "leave it out; `ppid` or `cgroup` tells what lies below what")
    if call.wants_json and call.has("--occupancy") and call.text("--filter"):
        raise MisuseError("--filter", "the document of --occupancy holds all pods", "leave it out, and choose with jq")


def _view(call: Call) -> "ProcessTop | OccupancyTop | UnitTop":
    _hide_for_msgspec()
    if call.has("--occupancy") and call.has("--units"):
        raise MisuseError("--units", "--occupancy is another view", "leave one of them out")
    if call.has("--units"):
        from agent.cli.unit_view import UnitTop

        return UnitTop(call)
    if call.has("--occupancy"):
        from agent.cli.occupancy_view import OccupancyTop

        return OccupancyTop(call)
    from agent.cli.process_view import ProcessTop

    return ProcessTop(call)


def _hide_for_msgspec() -> None:
    """Import msgspec without `typing_extensions`: 8 ms of the time to the first screen; what needs it later finds it.

    msgspec takes three names from there if it is installed, else from `typing`.
    """
    name = "typing_extensions"
    if name in sys.modules:
        return
    # The import system takes a None for a package that is not installed.
    sys.modules[name] = None  # type: ignore[assignment]  # typeshed does not allow None here
    try:
        import msgspec  # noqa: F401
    finally:
        del sys.modules[name]


def _has_colour(call: Call) -> bool:
    """What --color says; without it colours are for terminals that have them, and never where NO_COLOR is set."""
    asked = call.text("--color") or "auto"
    return is_colourful(call.output, call.environment) if asked == "auto" else asked == "always"


def _columns(call: Call) -> int | None:
    """The terminal's columns, None where there is none: nothing is cut in a pipe or file."""
    if not call.output.isatty():
        return None
    try:
        return os.get_terminal_size(call.output.fileno()).columns or WIDTH_LEAST
    except OSError:
        return WIDTH_LEAST


COMMANDS = (
    Command(
        "top",
        top,
        about="who uses the host now and what is wrong with it: processes, or with --occupancy pods by cache; updates in place",
        details="""\
The head says what is wrong and who causes it; below are the processes, with the name of the program before its path. CPU% is of
one core. The last line holds everything that is not shown by name, so that the lines sum up to the host; what ended since the
last tick has the line before it. The wider the terminal, the more columns. Keys: c CPU, r RSS, i I/O, n network, T threads,
a latest start, p pod; t tree, / filter, space pause, ? help, q quit; Ctrl-Z stops it until `fg`. docs/top.md has the rest.
Words of a filter must all hold. namespace:TEXT, pod:TEXT and container:TEXT look there alone, label:K=V is for a label.
With --occupancy: how much of the last-level cache each pod holds, its memory bandwidth (in total, and to the memory of its
own socket), and the trend of the sorted value over the last ticks (each line is scaled to its own maximum). Pods that
share a group have one value, shown once. An unknown value is `-`, and WHY gives the reason. If some containers of a pod
are not completely in its group, WHY counts those that are. Keys: l by cache, b by bandwidth, n by name, for --sort llc (default),
bw, name.
With --units: what each pod, service, scope, slice and workload costs and suffers: CPU in cores and as part of its limit, the time
in which its limit held it back (THR%), memory, storage, the time in which a thread waited (pCPU, pMEM, pIO), OOM kills of the last
minute; network, cache, bandwidth, GPUs and the model it serves where they are known. A unit that holds others has its line in
the tree (key t), with containers below their pods, so that lines add up. Keys: c m x i p n o a, for --sort cpu (default), mem,
throttled, io, pressure, net, oom, name.
A terminal that can only print (TERM=dumb) gets one screen below the other. Without a terminal it is printed once, in full.
It also works without a running agent; the age of the data is shown.
--at shows a moment of the past. The keys left and right go one tick back and forth, [ and ] a minute, { and } an hour; 0 or
End returns to now. The first line gives the time of the tick and its distance from the requested moment. If there is no tick
within a minute, it gives the nearest ones before and after, and what table `gap` says about that time.""",
        options=(
            Option("--units", "", "pods, services, scopes, slices and workloads: what each costs and suffers", kind=SWITCH),
            Option("--occupancy", "", "pods by cache occupancy and memory bandwidth (resctrl)", kind=SWITCH),
            Option(
                "--sort",
                "ORDER",
                "cpu (default), rss, io, net, threads, age, pod; of units and occupancy as above",
                choices=(*_PROCESS_SORTS, *_UNIT_SORTS, *_OCCUPANCY_SORTS),
            ),
            Option("--filter", "TEXT", "only what has these words in its command, user, pod or container, or this pid"),
            Option("--tree", "", "processes below their parents", kind=SWITCH),
            Option("--color", "WHEN", "auto (default: on terminals, unless NO_COLOR is set), always or never", choices=COLOUR),
            Option("--at", "WHEN", "show that moment: -20m, 03:12, 2024-01-31T03:12, with Z or +01:00 if not local time"),
            Option("--once", "", "print once and end", kind=SWITCH),
            Option("--interval", "SECONDS", f"how often it is drawn (default {INTERVAL_SECONDS:g})", kind=NUMBER),
        ),
        examples=(
            "agentctl top",
            "agentctl top --once --sort rss | head -20",
            "agentctl top --filter nginx --tree",
            "agentctl top --filter 'namespace:shop label:app=web'",
            "agentctl top --units --sort pressure",
            "agentctl top --units --tree --filter 'kind:pod namespace:shop'",
            "agentctl top --occupancy --sort bw",
            "# What was going on at twelve past three, and twenty minutes ago?",
            'agentctl top --at "03:12"',
            "agentctl top --occupancy --at -20m --once",
            "agentctl top --occupancy --json | jq '.pods[] | {pod_name, llc_bytes}'",
        ),
    ),
)
