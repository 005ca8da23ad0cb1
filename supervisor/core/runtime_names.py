"""Decides what follows when the names of the agent's sockets and locks are gone: made again, or the agent ends. PURE.

A logout removes a runtime folder, a cleaner empties one. The sockets still serve those that are connected, but no new
process finds them: the next worker that dies would never come back.
"""

from supervisor.core.child import Child, ChildState
from supervisor.core.effect import Effect, Log, RuntimeSeen
from supervisor.core.supervisor_state import SupervisorState

CONDITION = "runtime_folder"
DATA_SOCKET = "data.sock"
# A folder that is being removed at this moment cannot be made again at once; housekeeping comes some four times a second.
FAILED_LOOKS_MAX = 4


class RuntimeNameWatch:
    """What was seen of the runtime folder, one look after another."""

    def __init__(self, state: SupervisorState) -> None:
        self._state = state
        self._failed_looks = 0
        self._is_lost = False
        # The data socket that a generation of the writer made: its epoch, and the inode.
        self._data: tuple[int, int] | None = None
        self._generations_without_data = 0

    def on_seen(self, seen: RuntimeSeen, now_ns: int) -> tuple[list[Effect], str]:
        """The effects, and why the agent must end (empty: it need not)."""
        assert seen.problem or not seen.is_taken, seen
        effects: list[Effect] = []
        lost = list(seen.lost)
        writer = next((child for child in self._state.children.values() if child.kind.binds_data_socket), None)
        if writer is not None and not seen.is_taken and self._note_data_socket(writer, seen.data_socket):
            # Only the writer can make it again. Nothing is lost: what is not acknowledged is sent again.
            lost.append(DATA_SOCKET)
            effects += writer.stop("data socket lost", now_ns, wanted=True)
        if lost:
            fields = {"names": ", ".join(lost)} | ({"problem": seen.problem} if seen.problem else {})
            effects.insert(0, Log("runtime_lost", "error" if seen.problem else "warning", fields))
            effects += self._begin(f"{', '.join(lost)} gone; {seen.problem or 'made again'}", now_ns)
        elif self._is_lost and (writer is None or writer.state is ChildState.UP):
            effects += self._end(now_ns)
        self._failed_looks = self._failed_looks + 1 if seen.problem else 0
        if seen.is_taken or self._failed_looks >= FAILED_LOOKS_MAX:
            return effects, f"the runtime folder is lost: {seen.problem}"
        return effects, ""

    def _note_data_socket(self, writer: Child, data_socket: int | None) -> bool:
        """Keep which socket the writer made. True when it is up and no new process can find that."""
        if writer.state is not ChildState.UP or self._state.is_stopping:
            return False
        if self._data is not None and self._data[0] == writer.epoch:
            return self._data[1] != data_socket
        if data_socket is not None:
            self._data = (writer.epoch, data_socket)
            self._generations_without_data = 0
            return False
        # Twice in a row is no accident: another restart would not help.
        self._generations_without_data += 1
        return self._generations_without_data == 1

    def _begin(self, detail: str, now_ns: int) -> list[Effect]:
        self._is_lost = True
        begun = self._state.history.begin_own(CONDITION, detail, now_ns)
        return [] if begun is None else [begun.log()]

    def _end(self, now_ns: int) -> list[Effect]:
        self._is_lost = False
        ended = self._state.history.end_own(CONDITION, now_ns)
        return [*([] if ended is None else [ended.log()]), Log("runtime_remade", "info", {})]
