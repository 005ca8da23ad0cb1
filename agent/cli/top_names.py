"""What a sample of `agentctl top` lacks: names of pods and users, and what is wrong with the agent."""

from agent.cli.call import Call
from agent.model.errors import EvergaugeError, MisuseError, PermissionRefused

# Pods come and go slowly: their names, and whether the agent runs, are asked for this seldom, and not waited for longer
# than one screen may take.
ASK_AGAIN_SECONDS = 5.0
ASK_SECONDS_MAX = 1.0
# What the screen says of an agent that gives no names of pods.
NOT_RUNNING, SILENT, REFUSES = "agent not running", "agent does not answer", "agent refuses this user"


class Names:
    """What a sample lacks: names of pods (asked of the agent) and users, and what is wrong with the agent."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._asked_at = float("-inf")
        self._users: dict[int, str] = {}
        self.pods: dict[str, str] = {}
        # Every pod as `list-pods` tells it, flat, and what it is called; None before the first answer.
        self.listed: list[dict[str, object]] | None = None
        self.trouble = NOT_RUNNING

    def refresh(self, now: float) -> None:
        """Ask the agent for its pods unless it was asked a moment ago; without an answer the old names stay.

        *Raises:* MisuseError for a path that no agent can have its socket at.
        """
        if now - self._asked_at < ASK_AGAIN_SECONDS:
            return
        self._asked_at = now
        from agent.cli.control_client import NoAgentError, ask
        from agent.cli.pods import flat, pod_name
        from agent.model.control.answer import AnsweredError

        try:
            result = ask(self._call.control_socket, "list-pods", {}, min(ASK_SECONDS_MAX, self._call.timeout_seconds))
            pods = [flat(pod) for pod in self._call.rows_of(result, "pods")]
        except MisuseError:
            raise
        except EvergaugeError as failure:
            # Not being there is an answer too: the screen says so.
            known = {NoAgentError: NOT_RUNNING, PermissionRefused: REFUSES, AnsweredError: ""}
            self.trouble = known.get(type(failure), SILENT)
            return
        self.trouble = ""
        self.listed = [{**pod, "called": pod_name(pod) or pod.get("uid")} for pod in pods]
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
