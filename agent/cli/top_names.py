"""What a sample of `agentctl top` lacks: names of pods and users, and what is wrong with the agent."""

from typing import TYPE_CHECKING

from agent.cli.call import Call
from agent.cli.known_names import KnownNames
from agent.cli.pod_name import pod_name
from agent.model.errors import EvergaugeError, MisuseError, PermissionRefused

if TYPE_CHECKING:
    from agent.model.control.result import PodRow

# Pods come and go slowly: their names, and whether the agent runs, are asked for this seldom, and not waited for longer
# than one screen may take.
ASK_AGAIN_SECONDS = 5.0
ASK_SECONDS_MAX = 1.0
# What the screen says of an agent that gives no names of pods.
NOT_RUNNING, SILENT, REFUSES = "agent not running", "agent does not answer", "agent refuses this user"


class TopNames:
    """What a sample lacks: names of pods (asked of the agent) and users, and what is wrong with the agent."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._asked_at = float("-inf")
        self._users: dict[int, str] = {}
        # As the agent last gave them.
        self.known = KnownNames()
        # Every pod as `list-pods` tells it; None before the first answer.
        self.listed: list[PodRow] | None = None
        self.trouble = NOT_RUNNING

    def refresh(self, now: float) -> None:
        """Ask the agent for its pods unless it was asked a moment ago; without an answer the old names stay.

        *Raises:* MisuseError for a path that no agent can have its socket at.
        """
        if now - self._asked_at < ASK_AGAIN_SECONDS:
            return
        self._asked_at = now
        from agent.cli.control_client import NoAgentError, ask
        from agent.model.control.answer import AnsweredError
        from agent.model.control.result import PodList

        try:
            result = ask(self._call.control_socket, "list-pods", {}, min(ASK_SECONDS_MAX, self._call.timeout_seconds))
            pods = self._call.read(PodList, result).pods
        except MisuseError:
            raise
        except EvergaugeError as failure:
            # Not being there is an answer too: the screen says so.
            known = {NoAgentError: NOT_RUNNING, PermissionRefused: REFUSES, AnsweredError: ""}
            self.trouble = known.get(type(failure), SILENT)
            return
        self.trouble = ""
        self.listed = pods
        self.known = names_of_pods(pods)

    def user(self, uid: int) -> str:
        """The name of a user, the number where it has none."""
        if uid not in self._users:
            from pwd import getpwuid

            try:
                self._users[uid] = getpwuid(uid).pw_name
            except (KeyError, OverflowError):
                self._users[uid] = str(uid)
        return self._users[uid]


def names_of_pods(pods: "list[PodRow]") -> KnownNames:
    """The names in an answer of `list-pods`."""
    containers: dict[str, str] = {}
    for pod in pods:
        containers.update(pod.container_names)
    return KnownNames(
        {pod.uid: name for pod in pods if (name := pod_name(pod.namespace, pod.name))},
        containers,
        {pod.uid: pod.labels for pod in pods if pod.labels},
        {pod.uid: frozenset(pod.container_names) for pod in pods if pod.container_names},
    )
