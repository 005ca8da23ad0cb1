"""What `agentctl top` shows at a moment: the newest sample with the names that it does not hold."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Generic

from agent.cli.call import Call
from agent.cli.remedy import start_remedy
from agent.cli.top_render import SORTS, ProcessView, render
from agent.cli.top_sample import PROCESS_TABLE, TAIL_TABLE, ProcessTicks, Sample
from agent.cli.top_source import SampleT, SpoolFollower, newest_sealed_sample
from agent.model.errors import EvergaugeError, MisuseError, PermissionRefused, UnavailableError
from agent.paths import checkout

# Pods come and go slowly: their names, and whether the agent runs, are asked for this seldom, and not waited for longer
# than one screen may take.
ASK_AGAIN_SECONDS = 5.0
ASK_SECONDS_MAX = 1.0
# What the screen says of an agent that gives no names of pods.
NOT_RUNNING, SILENT, REFUSES = "agent not running", "agent does not answer", "agent refuses this user"


class Names:
    """What a sample does not hold: names of pods (asked of the agent) and of users, and what ails the agent."""

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


class Top(ABC, Generic[SampleT]):
    """Samples and names together: one screen whenever it is asked for. One class for each view."""

    # The orders that it knows, the usual first, and the keys that choose them.
    sorts: ClassVar[tuple[str, ...]]
    sort_by_key: ClassVar[Mapping[str, str]]

    def __init__(self, call: Call) -> None:
        sort = call.text("--sort") or self.sorts[0]
        if sort not in self.sorts:
            raise MisuseError("--sort", f"{sort!r} is no order of this view", f"write one of {', '.join(self.sorts)}")
        self.sort = sort
        self.state_dir = call.state_dir()
        self.names = Names(call)
        self._sealed: SampleT | None = None

    @abstractmethod
    def from_open_spool(self) -> SampleT | None:
        """The newest sample in the open spool. *Raises:* EvergaugeError."""

    @abstractmethod
    def sealed(self) -> SampleT | None:
        """The newest sample of the sealed files. *Raises:* EvergaugeError."""

    @abstractmethod
    def nothing(self) -> UnavailableError:
        """What is said where there is no sample. *Raises:* EvergaugeError that says more."""

    @abstractmethod
    def document(self) -> object:
        """The newest sample as JSON holds it. *Raises:* EvergaugeError."""

    @abstractmethod
    def render(self, *, width: int | None, height: int, keys: str = "") -> list[str]:
        """The lines of the screen now. *Raises:* EvergaugeError."""

    def sample(self) -> SampleT:
        """The newest sample there is. *Raises:* UnavailableError when there is none."""
        newest = self.from_open_spool() or self._sealed
        if newest is None:
            newest = self._sealed = self.sealed()
        if newest is None:
            raise self.nothing()
        return newest


class ProcessTop(Top[Sample]):
    """Who uses CPU and memory, by process and pod."""

    sorts = SORTS
    sort_by_key: ClassVar[Mapping[str, str]] = {"c": "cpu", "r": "rss", "p": "pod"}

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._follower = SpoolFollower(self.state_dir, (PROCESS_TABLE, TAIL_TABLE), ProcessTicks())

    def from_open_spool(self) -> Sample | None:
        """The newest whole tick in the open spool."""
        return self._follower.poll()

    def sealed(self) -> Sample | None:
        """The newest tick of the sealed files."""
        return newest_sealed_sample(self.state_dir)

    def nothing(self) -> UnavailableError:
        """How to come to an agent."""
        problem = f"there is no sample of processes in {self.state_dir}"
        return UnavailableError("top", problem, start_remedy("--state-dir", checkout()))

    def document(self) -> object:
        """The newest tick as JSON."""
        from msgspec import to_builtins

        return to_builtins(self.sample())

    def render(self, *, width: int | None, height: int, keys: str = "") -> list[str]:
        """The lines of the screen now. *Raises:* EvergaugeError."""
        sample = self.sample()
        self.names.refresh(time.monotonic())
        return render(
            sample,
            ProcessView(
                width=width,
                height=height,
                sort=self.sort,
                now_wall_ns=time.time_ns(),
                trouble=self.names.trouble,
                pod_names=self.names.pods,
                user_name=self.names.user,
                keys=keys,
            ),
        )
