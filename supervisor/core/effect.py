"""Events, which the core hears, and effects, which it orders. PURE.

Events are past, effects are orders. An event that names an epoch other than the child's present one is
about a dead generation; it is dropped and counted.
"""

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agent.model.control.document import Document
from agent.model.event_kind import ConditionPhase
from agent.model.heartbeat_page import Beat
from agent.model.limit import SetLimits
from agent.model.message import FromWorker, ToWorker
from supervisor.core.rulebook import Rulebook
from supervisor.core.usage import WorkerUsage
from supervisor.core.watchdog import ProcessState

if TYPE_CHECKING:
    from supervisor.core.settings_change import SettingsChange

# ---- events --------------------------------------------------------------------------------------


class Spawned(Struct, frozen=True):
    """The launcher started the child; it has this pid."""

    child: str
    epoch: int
    pid: int


class SpawnFailed(Struct, frozen=True):
    """The launcher could not start the child."""

    child: str
    epoch: int
    problem: str


class Exited(Struct, frozen=True):
    """The child is gone. `status` as in `subprocess`: an exit code, or minus the number of a signal. *Absent:* unknown.

    `with_launcher`: the fork server died, and the child with it; that is no failure of the child.
    """

    child: str
    epoch: int
    status: int | None
    stderr_tail: tuple[str, ...] = ()
    with_launcher: bool = False


class MessageReceived(Struct, frozen=True):
    """A message of the child arrived on the bus."""

    child: str
    epoch: int
    message: FromWorker


class SendRefused(Struct, frozen=True):
    """A message to the child could not be sent: it does not drain its socket, or is not connected."""

    child: str
    epoch: int


class WorkerObservation(Struct, frozen=True):
    """What was seen of one child. *Absent:* the beat before it wrote one, the state and the usage when they were not read."""

    child: str
    epoch: int
    beat: Beat | None
    process_state: ProcessState | None
    usage: WorkerUsage | None = None


class WorkersObserved(Struct, frozen=True):
    """The answer to ObserveWorkers."""

    observations: tuple[WorkerObservation, ...]


class RuntimeSeen(Struct, frozen=True):
    """What was seen of the names of the agent's sockets and locks.

    `lost` were gone and, unless there is a `problem`, were made again. `data_socket` is the inode of the writer's socket;
    *Absent:* there is none. `is_taken`: another agent has the names now.
    """

    lost: tuple[str, ...]
    data_socket: int | None
    problem: str = ""
    is_taken: bool = False


class Commanded(Struct, frozen=True):
    """A client of the control socket asks for an operation."""

    client: int
    operation: str
    arguments: dict[str, Any]


class Persisted(Struct, frozen=True):
    """The rules document with this token is on the disk, or (`problem`) is not.

    `is_in_place`: the document has its name despite the problem, and whether that outlives a power failure is not known.
    `weakness`: why this file system can never promise it.
    """

    token: int
    problem: str = ""
    is_in_place: bool = False
    weakness: str = ""


class LimitsPersisted(Struct, frozen=True):
    """The document of limits with this token is on the disk, or (`problem`) it is not known to be."""

    token: int
    problem: str = ""


class SettingsRead(Struct, frozen=True):
    """The settings were read again. *Absent:* `change` where they are refused, with the `problem`."""

    token: int
    problem: str = ""
    change: "SettingsChange | None" = None


class ReloadRequested(Struct, frozen=True):
    """A signal asks to read the settings again."""


class StopRequested(Struct, frozen=True):
    """A signal, the end of `--for`, or the operator asks the agent to end."""

    reason: str


class RotateRequested(Struct, frozen=True):
    """SIGUSR1: seal what is open."""


class Survivor(Struct, frozen=True):
    """A living worker of a dead supervisor: since when it runs (monotonic), and the revision of the rules that it holds."""

    child: str
    epoch: int
    pid: int
    started_at_ns: int
    revision: int


class Survivors(Struct, frozen=True):
    """What a supervisor takes over from one that died: the living workers, and how often each was started."""

    workers: tuple[Survivor, ...]
    epochs: dict[str, int]


class Noted(Struct, frozen=True):
    """The shell has announced something itself, which is in the log already."""

    kind: str
    severity: str
    fields: dict[str, Any]


class Woke(Struct, frozen=True):
    """A deadline may have passed; nothing else happened."""


Event = (
    Spawned
    | SpawnFailed
    | Exited
    | MessageReceived
    | SendRefused
    | WorkersObserved
    | RuntimeSeen
    | Commanded
    | Persisted
    | LimitsPersisted
    | SettingsRead
    | ReloadRequested
    | StopRequested
    | RotateRequested
    | Noted
    | Woke
)

# ---- effects -------------------------------------------------------------------------------------


class Spawn(Struct, frozen=True):
    """Start this generation of the child."""

    child: str
    epoch: int


class ResetLauncher(Struct, frozen=True):
    """The launcher did not answer in time: end it, so that the next start gets a new one."""


class Signal(Struct, frozen=True):
    """Send the child a signal by name: `USR2` writes a traceback to its stderr, `CONT` lets a stopped one do so, `KILL` ends it."""

    child: str
    epoch: int
    name: str


class Send(Struct, frozen=True):
    """Send the child a message, never blocking."""

    child: str
    epoch: int
    message: ToWorker


class ClientAsker(Struct, frozen=True):
    """A client of the control socket waits for the answer."""

    client: int


class WorkerAsker(Struct, frozen=True):
    """A worker waits for the answer to its Request."""

    child: str
    epoch: int
    request: int


Asker = ClientAsker | WorkerAsker


class Problem(Struct, frozen=True):
    """Why an operation did not happen: a code for programs, a sentence for people, an exit code for agentctl."""

    code: str
    sentence: str
    exit: int


class Respond(Struct, frozen=True):
    """Answer the asker. In a result's `workers` the shell fills in what it measures: CPU, RSS, PSS."""

    asker: Asker
    result: Document | None
    problem: Problem | None = None


class Persist(Struct, frozen=True):
    """Make the document of these rules durable, then report Persisted with the token. A background thread encodes it: for
    10,000 rules that takes longer than a client should wait for an answer."""

    token: int
    book: Rulebook


class PersistLimits(Struct, frozen=True):
    """Make the document of these limits durable, then report LimitsPersisted with the token."""

    token: int
    limits: dict[str, SetLimits]


class ReadSettings(Struct, frozen=True):
    """Read the settings again, in a thread, and report SettingsRead with the token."""

    token: int


class ApplySettings(Struct, frozen=True):
    """What was read with this token is in force from now on: for workers that start, and for the log."""

    token: int


class ObserveWorkers(Struct, frozen=True):
    """Read these children's heartbeat pages and what the kernel shows of them, then report WorkersObserved."""

    children: tuple[tuple[str, int], ...]


class Housekeep(Struct, frozen=True):
    """Look at the runtime names and report RuntimeSeen; cut off clients that do not read; sweep strays; fill the standby pool."""


class Log(Struct, frozen=True):
    """Write one event to the log. `phase` and `since_ns` are of a condition, which the fields name."""

    kind: str
    severity: str
    fields: dict[str, Any]
    phase: ConditionPhase | None = None
    since_ns: int | None = None


class Settled(Struct, frozen=True):
    """The start is over: the agent is ready, or these are the reasons why it is not after the time that a start may take."""

    reasons: tuple[str, ...]


class Announce(Struct, frozen=True):
    """One status line for the service manager."""

    status: str
    is_stopping: bool = False


class Finished(Struct, frozen=True):
    """Everything has ended; the supervisor may exit. `try_again`: the service manager is asked to start it again."""

    left_behind: tuple[str, ...] = ()
    try_again: bool = False


Effect = (
    Spawn
    | ResetLauncher
    | Signal
    | Send
    | Respond
    | Persist
    | PersistLimits
    | ReadSettings
    | ApplySettings
    | ObserveWorkers
    | Housekeep
    | Log
    | Settled
    | Announce
    | Finished
)
