"""What `agentctl top` shows at a moment: the newest sample with the names that it does not hold."""

import time

from agent.cli.call import Call
from agent.cli.remedy import start_remedy
from agent.model.errors import EvergaugeError, MisuseError, PermissionRefused, UnavailableError
from agent.paths import checkout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.cli.top_picture import View
    from agent.cli.top_sample import Sample

# Pods come and go slowly: their names, and whether the agent runs, are asked for this seldom, and not waited for longer
# than a picture may take.
ASK_AGAIN_SECONDS = 5.0
ASK_SECONDS_MAX = 1.0
# What the picture says of an agent that tells no names of pods.
NOT_RUNNING, SILENT, REFUSES = "agent not running", "agent does not answer", "agent refuses this user"


class Names:
    """What a sample does not hold: names of pods (asked of the agent) and of users, and what ails the agent."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._asked_at = float("-inf")
        self._users: dict[int, str] = {}
        self.pods: dict[str, str] = {}
        self.trouble = NOT_RUNNING

    def refresh(self, now: float) -> None:
        """Ask the agent for its pods unless it was asked a moment ago; without an answer the old names stay.

        *Raises:* MisuseError for a path that no agent can have its socket at.
        """
        if now - self._asked_at < ASK_AGAIN_SECONDS:
            return
        self._asked_at = now
        from agent.cli.control_client import AnsweredError, NoAgentError, ask
        from agent.cli.pods import flat, pod_name

        try:
            result = ask(self._call.control_socket, "list-pods", {}, min(ASK_SECONDS_MAX, self._call.timeout_seconds))
            pods = [flat(pod) for pod in self._call.rows_of(result, "pods")]
        except MisuseError:
            raise
        except EvergaugeError as failure:
            # Not being there is an answer too: the picture says so.
            known = {NoAgentError: NOT_RUNNING, PermissionRefused: REFUSES, AnsweredError: ""}
            self.trouble = known.get(type(failure), SILENT)
            return
        self.trouble = ""
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
            problem = f"there is no sample of processes in {self._state_dir}"
            raise UnavailableError("top", problem, start_remedy("--state-dir", checkout()))
        return newest

    def picture(self, *, width: int | None, height: int, keys: str = "") -> list[str]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        from agent.cli.top_picture import picture

        return picture(self.sample(), self._view(width, height, keys))

    def _view(self, width: int | None, height: int, keys: str) -> "View":
        from agent.cli.top_picture import View

        self._names.refresh(time.monotonic())
        return View(
            width=width,
            height=height,
            sort=self.sort,
            now_wall_ns=time.time_ns(),
            trouble=self._names.trouble,
            pod_names=self._names.pods,
            user_name=self._names.user,
            keys=keys,
        )
