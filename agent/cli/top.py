"""The command top: who uses the host now, redrawn in place, or one picture of it."""

import os
import time

from agent.cli.call import Call
from agent.cli.option import NUMBER, SWITCH, Command, Option
from agent.cli.render import WIDTH_COLUMNS
from agent.model.errors import EvergaugeError, MisuseError, UnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.top_picture import View
    from agent.cli.top_sample import Sample

INTERVAL_SECONDS = 1.0
INTERVAL_SECONDS_LEAST = 0.1
# Pods come and go slowly: their names, and whether the agent runs, are asked for this seldom.
ASK_AGAIN_SECONDS = 5.0
# Without a screen every named process is shown; the sampler bounds their number.
LINES_UNBOUNDED = 100_000


class Names:
    """What a sample does not hold: names of pods (asked of the agent) and of users, and whether the agent runs."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._asked_at = float("-inf")
        self._users: dict[int, str] = {}
        self.pods: dict[str, str] = {}
        self.is_running = False

    def refresh(self, now: float) -> None:
        """Ask the agent for its pods unless it was asked a moment ago; without an agent the old names stay."""
        if now - self._asked_at < ASK_AGAIN_SECONDS:
            return
        self._asked_at = now
        from agent.cli.control_client import ask
        from agent.cli.pods import flat, pod_name

        try:
            result = ask(self._call.control_socket, "list-pods", {}, min(INTERVAL_SECONDS, self._call.timeout_seconds))
            pods = [flat(pod) for pod in self._call.rows_of(result, "pods")]
        except EvergaugeError:
            # Not being there is an answer too: the picture says so.
            self.is_running = False
            return
        self.is_running = True
        self.pods = {uid: name for pod in pods if isinstance(uid := pod.get("uid"), str) and (name := pod_name(pod))}

    def user(self, uid: int) -> str:
        """The name of a user, the number where it has none."""
        if uid not in self._users:
            from pwd import getpwuid

            try:
                self._users[uid] = getpwuid(uid).pw_name
            except (KeyError, OverflowError):
                self._users[uid] = str(uid)
        return self._users[uid]


class Top:
    """Samples and names together: one picture whenever it is asked for."""

    def __init__(self, call: Call) -> None:
        from agent.cli.top_source import SpoolFollower

        self._state_dir = call.state_dir()
        self._follower = SpoolFollower(self._state_dir)
        self._sealed: Sample | None = None
        self._names = Names(call)
        self.sort = call.text("--sort") or "cpu"

    def sample(self) -> "Sample":
        """The newest sample there is. *Raises:* UnavailableError when there is none."""
        newest = self._follower.poll() or self._sealed
        if newest is None:
            from agent.cli.top_source import newest_sealed_sample

            newest = self._sealed = newest_sealed_sample(self._state_dir)
        if newest is None:
            remedy = "start one with `agentd`, or name its folder with --state-dir DIR"
            raise UnavailableError("top", f"there is no sample of processes in {self._state_dir}", remedy)
        return newest

    def picture(self, *, width: int, height: int, keys: str = "") -> list[str]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        from agent.cli.top_picture import picture

        return picture(self.sample(), self._view(width, height, keys))

    def _view(self, width: int, height: int, keys: str) -> "View":
        from agent.cli.top_picture import View

        self._names.refresh(time.monotonic())
        return View(
            width=width,
            height=height,
            sort=self.sort,
            now_wall_ns=time.time_ns(),
            is_running=self._names.is_running,
            pod_names=self._names.pods,
            user_name=self._names.user,
            keys=keys,
        )


def top(call: Call) -> int:
    """`agentctl top`."""
    interval_seconds = call.number("--interval", INTERVAL_SECONDS)
    if interval_seconds < INTERVAL_SECONDS_LEAST:
        raise MisuseError("--interval", f"{interval_seconds:g} is not accepted", f"write at least {INTERVAL_SECONDS_LEAST}")
    shown = Top(call)
    if call.wants_json:
        from msgspec import to_builtins

        call.show_json(to_builtins(shown.sample()))
    elif call.output.isatty() and not call.has("--once"):
        from agent.cli.top_screen import watch

        watch(shown, call.output, interval_seconds)
    else:
        width = os.get_terminal_size(call.output.fileno()).columns if call.output.isatty() else WIDTH_COLUMNS
        call.show(line.rstrip() for line in shown.picture(width=width, height=LINES_UNBOUNDED))
    return 0


COMMANDS = (
    Command(
        "top",
        top,
        about="who uses the host now: processes with their pods, redrawn in place",
        details="""\
CPU% is of one core. The last line holds everything that is not shown by name, so that the lines sum up to the host;
by pod, each pod's own line is its exact total. Keys: c by CPU, r by RSS, p by pod, q quits.
Without a terminal one picture is printed. The agent need not run: the age of the data is shown.""",
        options=(
            Option("--sort", "ORDER", "cpu (default), rss or pod", choices=("cpu", "rss", "pod")),
            Option("--once", "", "print one picture and end", kind=SWITCH),
            Option("--interval", "SECONDS", f"how often it is drawn (default {INTERVAL_SECONDS:g})", kind=NUMBER),
        ),
        examples=("agentctl top", "agentctl top --once --sort rss | head -20"),
    ),
)
