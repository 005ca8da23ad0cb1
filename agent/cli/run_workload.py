"""The command run."""

from agent.cli.call import Call
from agent.cli.option import SWITCH, Argument, Command, Option
from agent.cli.render import text_of
from agent.cli.workload_order import RESTARTS, order_of
from agent.model.control.workload import WorkloadChange

_BORN = {
    "clone_into_cgroup": "born in its cgroup",
    "stub": "moved into its cgroup before its first instruction",
    "no_cgroup": "in no cgroup of its own, without limits",
}


def run_workload(call: Call) -> int:
    """`agentctl run NAME -- PROGRAM`."""
    order = order_of(call)
    answer = call.ask("run-workload", {"name": call.words[0]} if order is None else {"workload": order})
    if call.wants_json:
        call.show_json(answer)
        return 0
    change = call.read(WorkloadChange, answer)
    pid = f", process {change.pid}" if change.pid is not None else ""
    born = f", {_BORN.get(change.birth, text_of(change.birth))}" if change.birth else ""
    call.show([f"{text_of(change.name)} is {text_of(change.state)}{pid}{born}"])
    return 0


COMMANDS = (
    Command(
        "run",
        run_workload,
        about="run a program within limits; it outlives the agent's restarts and crashes",
        details="The program is started in a cgroup of its own, so that not one of its instructions runs without the limits.\n"
        "It gets a small environment, none of yours, and writes its output into a bounded file: `agentctl logs NAME`.\n"
        'Without a command it starts again what has ended, or what the settings file describes in [workload."NAME"].\n'
        "Where the kernel cannot set a limit, nothing is started; with --without-limits it runs without them.",
        arguments=(
            Argument("NAME", "its name: letters, digits, . _ and -, at most 63"),
            Argument("PROGRAM", "the program and its arguments, behind --", required=False, rest=True),
        ),
        options=(
            Option("--cpu", "SHARE", "most CPU time: 50%, 200% (two CPUs), or a number of CPUs"),
            Option("--cpu-weight", "N", "its share where CPUs are short, 1 to 10000; 100 is usual"),
            Option("--memory", "SIZE", "most memory, such as 512M or 4G; beyond it the kernel kills"),
            Option("--memory-high", "SIZE", "memory beyond which the kernel slows it down and takes memory back"),
            Option("--pids", "N", "most processes and threads"),
            Option("--io", "LIMITS", "limits on a disk, such as /dev/sda:rbps=50M,wbps=1M,riops=100,wiops=100", many=True),
            Option("--gpu", "ID", "index or UUID of a GPU that it may see", many=True),
            Option("--restart", "WHEN", "start it again when it ends: no, on-failure or always", choices=RESTARTS),
            Option("--env", "K=V", "a variable of its environment; K alone takes the value from yours", many=True),
            Option("--label", "K=V", "a label; `model` says which model it serves", many=True),
            Option("--folder", "DIR", "its working folder; /"),
            Option("--user", "USER", "the user that it runs as; the agent's own"),
            Option("--grace", "TIME", "how long a stop waits after SIGTERM; 10s"),
            Option("--output", "SIZE", "how much of its output is kept; 16M"),
            Option("--no-oom-group", "", "when memory runs out kill one process and not all of them", kind=SWITCH),
            Option("--without-limits", "", "run it also where the kernel cannot limit it", kind=SWITCH),
        ),
        examples=(
            "agentctl run train --cpu 200% --memory 4G --restart on-failure -- python train.py",
            "agentctl run web --env PORT=8080 --env API_TOKEN --label model=org/name --gpu 0 -- ./serve --port 8080",
            "agentctl run train",
        ),
        timeout_seconds=35.0,
    ),
)
